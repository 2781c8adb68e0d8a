import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiUnavailable
from overbook.kube.api.kinds import Kind
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.configmaps import MINE, NOTES, Note, client_of, note
from tests.cluster.conftest import make_namespace
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.running import running, until

WATCH = "^GET .*[?&]watch=1"
LIST = "^GET [^?]*/configmaps[?](?!.*watch=1)"


class Ledger:
    """A ledger checks each change as the listener gets it."""

    def __init__(self) -> None:
        self.view: dict[str, Note] = {}
        self.told: list[tuple[str, str]] = []

    def on_change(self, key: str, old: Note | None, new: Note | None) -> None:
        assert self.view.get(key) == old
        if new is None:
            del self.view[key]
        else:
            assert old is None or old.metadata.uid == new.metadata.uid
            self.view[key] = new
        self.told.append(
            (key.rpartition("/")[2], "gone" if new is None else "new" if old is None else "changed")
        )


class Following:
    """A reflector runs behind a faulty proxy, and a client goes past the proxy."""

    def __init__(
        self, proxy: FaultyProxy, direct: Client, client: Client, namespace: str, **how: Any
    ) -> None:
        self.proxy = proxy
        self.direct = direct
        self.namespace = namespace
        self.ledger = Ledger()
        self.reflector = Reflector(
            client,
            NOTES,
            namespace=namespace,
            label_selector=MINE,
            on_change=self.ledger.on_change,
            **{"inactivity_seconds": 2.0, "backoff": Backoff(0.05, 0.5), **how},
        )

    async def set(self, name: str, text: str) -> None:
        await self.direct.apply(NOTES, in_namespace(note(name, text), self.namespace), manager="test")

    async def delete(self, name: str) -> None:
        await self.direct.delete(NOTES, name, self.namespace)

    def texts(self) -> dict[str, str]:
        return {
            key.rpartition("/")[2]: (each.data or {}).get("text", "")
            for key, each in self.reflector.objects.items()
        }

    async def sees(self, **texts: str) -> None:
        await until(lambda: self.texts() == texts, f"the view is {texts}")
        assert self.ledger.view == self.reflector.objects


def in_namespace(obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


@pytest.fixture(scope="module")
def proxy(cluster: ControlPlane) -> Iterator[FaultyProxy]:
    with FaultyProxy(cluster) as one:
        yield one


@pytest.fixture(autouse=True)
def _behaves_again(proxy: FaultyProxy) -> Iterator[None]:
    yield
    proxy.forget_faults()
    proxy.resume()
    proxy.accept()
    proxy.cut_all()


def follow(
    proxy: FaultyProxy,
    cluster: ControlPlane,
    namespace: str,
    story: Callable[[Following], Coroutine[Any, Any, None]],
    *,
    synced: bool = True,
    timeout_seconds: float = 3.0,
    **how: Any,
) -> None:
    async def whole() -> None:
        async with (
            client_of(cluster) as direct,
            client_of(proxy.config(), timeout_seconds=timeout_seconds) as client,
        ):
            following = Following(proxy, direct, client, namespace, **how)
            await following.set("a", "1")
            await following.set("b", "1")
            async with running(following.reflector.run()):
                if synced:
                    await following.reflector.wait_synced()
                await story(following)

    asyncio.run(whole())


def test_reflector_follows_without_ever_listing(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        await it.sees(a="1", b="1")
        await it.set("a", "2")
        await it.delete("b")
        await it.set("c", "1")
        await it.sees(a="2", c="1")
        assert it.ledger.told == [
            ("a", "new"),
            ("b", "new"),
            ("a", "changed"),
            ("b", "gone"),
            ("c", "new"),
        ]
        assert it.reflector.last_contact is not None

    before = len(proxy.requests)
    follow(proxy, cluster, namespace, story)
    asked = [each for each in proxy.requests[before:] if namespace in each]
    assert len(asked) == 1
    assert "sendInitialEvents=true" in asked[0]


@pytest.mark.parametrize("how", ["cut_all", "half_close_all"])
def test_changes_during_a_cut_are_seen(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str, how: str
) -> None:
    async def story(it: Following) -> None:
        proxy.answer(503, matching=WATCH, times=2)
        getattr(proxy, how)()
        await it.set("a", "2")
        await it.delete("b")
        await it.set("c", "1")
        await it.sees(a="2", c="1")

    follow(proxy, cluster, namespace, story)


def test_a_silent_connection_is_noticed(proxy: FaultyProxy, cluster: ControlPlane, namespace: str) -> None:
    async def story(it: Following) -> None:
        proxy.stall()
        await it.set("a", "2")
        last = it.reflector.last_contact
        await asyncio.sleep(3.0)
        assert it.reflector.last_contact == last
        proxy.cut_all()
        proxy.resume()
        await it.sees(a="2", b="1")

    follow(proxy, cluster, namespace, story)


def test_a_watch_without_any_event_is_given_up(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        proxy.silence(matching=WATCH)
        proxy.cut_all()
        await it.set("a", "2")
        await it.sees(a="2", b="1")

    follow(proxy, cluster, namespace, story)


def test_a_forgotten_version_means_reading_all_again(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        proxy.answer(410, matching=WATCH, reason="Expired")
        proxy.cut_all()
        await it.delete("a")
        await it.set("a", "2")
        await it.delete("b")
        await it.sees(a="2")
        assert it.ledger.told[2:] in (
            [("a", "gone"), ("a", "new"), ("b", "gone")],
            [("b", "gone"), ("a", "gone"), ("a", "new")],
        )

    follow(proxy, cluster, namespace, story)


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_watchlist_is_listed_and_watched(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str, status: int
) -> None:
    async def story(it: Following) -> None:
        await it.sees(a="1", b="1")
        await it.set("a", "2")
        proxy.answer(410, matching=WATCH, reason="Expired")
        proxy.cut_all()
        await it.delete("b")
        await it.sees(a="2")

    proxy.answer(status, matching="sendInitialEvents", reason="Invalid", times=EVER)
    follow(proxy, cluster, namespace, story)


def test_lists_that_fail_and_are_cut_short_are_read_again(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        await it.sees(a="1", b="1")

    proxy.answer(422, matching="sendInitialEvents", reason="Invalid", times=EVER)
    proxy.answer(500, matching=LIST)
    proxy.truncate(matching=LIST, after_bytes=300)
    proxy.lose_answer(matching=LIST)
    proxy.cut(matching=WATCH)
    follow(proxy, cluster, namespace, story)


def test_a_stream_cut_within_its_beginning_is_begun_again(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        await it.sees(a="1", b="1")
        assert it.ledger.told == [("a", "new"), ("b", "new")]

    proxy.truncate(matching=WATCH, after_bytes=700)
    proxy.truncate(matching=WATCH, after_bytes=10)
    follow(proxy, cluster, namespace, story)


def test_reflector_retries_when_the_server_allows_it(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        loop = asyncio.get_running_loop()
        proxy.answer(429, matching=WATCH, retry_after=2)
        before = len(proxy.requests)
        proxy.cut_all()
        began = loop.time()
        await it.set("a", "2")
        await it.sees(a="2", b="1")
        assert loop.time() - began >= 2.0
        assert len(proxy.requests) - before == 2

    follow(proxy, cluster, namespace, story)


def test_refused_connections_do_not_end_the_reflector(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story(it: Following) -> None:
        proxy.refuse()
        proxy.cut_all()
        await it.set("a", "2")
        await asyncio.sleep(1.0)
        proxy.accept()
        await it.sees(a="2", b="1")

    follow(proxy, cluster, namespace, story)


def test_a_listener_that_fails_misses_nothing(
    cluster: ControlPlane, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        seen: list[str] = []

        def on_change(key: str, _old: Note | None, _new: Note | None) -> None:
            seen.append(key)
            raise RuntimeError("the listener fails")

        async with client_of(cluster) as client:
            reflector = Reflector(
                client, NOTES, namespace=namespace, label_selector=MINE, on_change=on_change
            )
            async with running(reflector.run()):
                await reflector.wait_synced()
                await client.create(NOTES, note("a"), namespace)
                await client.create(NOTES, note("b"), namespace)
                await until(lambda: len(seen) == 2, "both are told")
                assert set(reflector.objects) == {f"{namespace}/a", f"{namespace}/b"}

    asyncio.run(whole())
    assert f"ConfigMap {namespace}/a: the change could not be handled" in caplog.text


class Numbered(KubeStruct, frozen=True):
    """An object whose ``data`` must be absent."""

    metadata: ObjectMeta = ObjectMeta()
    data: None = None


NUMBERED: Kind[Numbered] = Kind("", "v1", "configmaps", "ConfigMap", True, Numbered)


@pytest.mark.parametrize("watch_list", [True, False])
def test_an_undecodable_object_is_left_out_and_does_not_stay(
    proxy: FaultyProxy,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    watch_list: bool,
) -> None:
    async def whole() -> None:
        async with client_of(proxy.config()) as client:
            good = {"metadata": {"labels": {"test": "notes"}}}
            for name in "ab":
                await client.create(NOTES, {"metadata": {**good["metadata"], "name": name}}, namespace)
            await client.create(NOTES, note("c", "data that does not fit"), namespace)
            reflector = Reflector(client, NUMBERED, namespace=namespace, label_selector=MINE)
            async with running(reflector.run()):
                await reflector.wait_synced()
                assert set(reflector.objects) == {f"{namespace}/a", f"{namespace}/b"}
                for text in "123":
                    await client.merge_patch(NOTES, "a", {"data": {"text": text}}, namespace)
                await until(lambda: set(reflector.objects) == {f"{namespace}/b"}, "a is left out")
                await client.merge_patch(NOTES, "a", {"data": None}, namespace)
                await until(lambda: len(reflector.objects) == 2, "a is back")

    if not watch_list:
        proxy.answer(422, matching="sendInitialEvents", reason="Invalid", times=EVER)
    with caplog.at_level(logging.WARNING):
        asyncio.run(whole())
    warned = [each.getMessage() for each in caplog.records if "is left out" in each.getMessage()]
    assert len(warned) == 2
    assert "$.data" in warned[0]


def test_a_watch_request_reports_how_it_ended(proxy: FaultyProxy, namespace: str) -> None:
    async def whole() -> None:
        async with client_of(proxy.config()) as client:
            await client.create(NOTES, note("a"), namespace)

            async def types(**how: Any) -> list[str]:
                async with aclosing(client.watch(NOTES, namespace, label_selector=MINE, **how)) as events:
                    return [each.type async for each in events]

            with pytest.raises(ApiUnavailable, match="was silent for 1 s"):
                await types(send_initial_events=True, inactivity_seconds=1.0)
            proxy.truncate(matching=WATCH, after_bytes=300)
            with pytest.raises(ApiUnavailable, match=r"before the end of the body|within the body"):
                await types(send_initial_events=True)

    asyncio.run(whole())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "delete", "recreate", "fault", "cut", "half_close", "pause"]),
        st.sampled_from("abcd"),
        st.sampled_from(["410", "500", "truncate", "lose", "silence", "429"]),
    ),
    min_size=3,
    max_size=14,
)


def test_reflector_always_converges_on_the_servers_objects(proxy: FaultyProxy, cluster: ControlPlane) -> None:
    namespace = make_namespace(cluster)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(STEPS, st.booleans())
    def any_story(steps: list[tuple[str, str, str]], watch_list: bool) -> None:
        proxy.forget_faults()
        if not watch_list:
            proxy.answer(422, matching="sendInitialEvents", reason="Invalid", times=EVER)
        short: dict[str, Any] = {
            "timeout_seconds": 1.0,
            "inactivity_seconds": 1.0,
            "backoff": Backoff(0.02, 0.2),
        }
        follow(proxy, cluster, namespace, lambda it: perform(it, steps), synced=False, **short)

    any_story()


async def perform(it: Following, steps: list[tuple[str, str, str]]) -> None:
    there = {"a", "b"}
    for number, (step, name, fault) in enumerate(steps):
        if step in ("delete", "recreate") and name in there:
            await it.delete(name)
            there.discard(name)
        if step in ("set", "recreate"):
            await it.set(name, str(number))
            there.add(name)
        elif step == "fault":
            fail(it.proxy, f"^GET .*/{it.namespace}/configmaps", fault, number)
        elif step == "half_close":
            it.proxy.half_close_all()
        elif step == "pause":
            await asyncio.sleep(0.05)
        if step in ("fault", "cut"):
            it.proxy.cut_all()
    await it.reflector.wait_synced()
    listed = it.direct.list(NOTES, it.namespace, label_selector=MINE)
    truth = {f"{it.namespace}/{each.metadata.name}": each async for each in listed}
    await until(lambda: it.ledger.view == it.reflector.objects == truth, f"the view is {truth}")
    for name in there:
        await it.delete(name)


def fail(proxy: FaultyProxy, matching: str, fault: str, number: int) -> None:
    if fault == "truncate":
        proxy.truncate(matching, after_bytes=200 + 37 * number)
    elif fault == "lose":
        proxy.lose_answer(matching)
    elif fault == "silence":
        proxy.silence(matching)
    else:
        proxy.answer(int(fault), matching=matching)
