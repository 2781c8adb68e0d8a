import asyncio
from typing import Any

import pytest

from overbook.core.kubernetes.pod import ObjectMeta
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiUnavailable
from overbook.kube.api.events import EventRecorder
from overbook.kube.api.kinds import EVENTS
from overbook.kube.api.objects import ObjectReference
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.configmaps import MINE, NOTES, Note, client_of, note
from tests.cluster.conftest import make_namespace
from tests.running import running, until


async def restart(cluster: ControlPlane, while_down: Any = None) -> None:
    cluster.kill_api_server()
    if while_down is not None:
        await while_down()
    await asyncio.to_thread(cluster.start_api_server)


def test_a_reflector_continues_where_it_was(breakable_cluster: ControlPlane) -> None:
    namespace = make_namespace(breakable_cluster)

    async def story() -> None:
        async with client_of(breakable_cluster, timeout_seconds=5.0) as client:
            reflector = Reflector(client, NOTES, namespace=namespace, label_selector=MINE)
            await client.create(NOTES, note("a"), namespace)
            await client.create(NOTES, note("b"), namespace)
            async with running(reflector.run()):
                await reflector.wait_synced()
                await restart(breakable_cluster)
                assert len(reflector.objects) == 2
                loop = asyncio.get_running_loop()
                up = loop.time()
                await client.delete(NOTES, "a", namespace)
                await client.create(NOTES, note("c"), namespace)
                names = {f"{namespace}/b", f"{namespace}/c"}
                await until(lambda: set(reflector.objects) == names, "deletion and creation are seen")
                assert loop.time() - up < 20

    asyncio.run(story())


def test_client_survives_kills_in_the_middle_of_calls(breakable_cluster: ControlPlane) -> None:
    """Every call ends with an answer or ApiUnavailable; afterwards the same client works again."""
    namespace = make_namespace(breakable_cluster)

    async def story() -> None:
        async with client_of(breakable_cluster, timeout_seconds=5.0) as client:
            for number in range(30):
                await client.create(NOTES, note(f"n{number:02}"), namespace)
            outcomes: dict[str, int] = {}

            async def ask(number: int) -> None:
                try:
                    if number % 2:
                        listed = client.list(NOTES, namespace, label_selector=MINE, limit=3)
                        assert len([each async for each in listed]) == 30
                    else:
                        text = {"data": {"text": str(number)}}
                        await client.merge_patch(NOTES, f"n{number:02}", text, namespace)
                    outcome = "answered"
                except ApiUnavailable:
                    outcome = "unavailable"
                outcomes[outcome] = outcomes.get(outcome, 0) + 1

            async def down() -> None:
                await asyncio.gather(*asking)

            asking = [asyncio.create_task(ask(number)) for number in range(30)]
            await until(lambda: outcomes, "the first answer")
            await restart(breakable_cluster, down)
            assert sum(outcomes.values()) == 30
            assert outcomes["unavailable"] > 0
            await asyncio.gather(*(ask(number) for number in range(10)))

    asyncio.run(story())


def test_events_wait_for_the_api_server_and_are_counted(breakable_cluster: ControlPlane) -> None:
    namespace = make_namespace(breakable_cluster)
    guest = ObjectReference(kind="Pod", namespace=namespace, name="guest", uid="u-1", api_version="v1")

    async def events(client: Client) -> dict[str, tuple[str, int | None]]:
        return {each.reason: (each.message, each.count) async for each in client.list(EVENTS, namespace)}

    async def story() -> None:
        async with client_of(breakable_cluster, timeout_seconds=5.0) as client:
            recorder = EventRecorder(client, component="overbook-agent", host="node-1")
            async with running(recorder.run()):
                recorder.record(guest, "Reclaimed", "64 MiB pushed out")
                await until(lambda: not recorder.pending, "it is sent")

                async def down() -> None:
                    for number in range(3):
                        recorder.record(guest, "Pressure", f"full {number} %", same_as="x", type="Warning")
                    recorder.record(guest, "Reclaimed", "64 MiB pushed out")
                    await asyncio.sleep(0.5)
                    assert recorder.pending == 2

                await restart(breakable_cluster, down)
                await until(lambda: not recorder.pending, "they are sent")
                await asyncio.sleep(0.2)
            again = EventRecorder(client, component="overbook-agent", host="node-1")
            async with running(again.run()):
                again.record(guest, "Reclaimed", "64 MiB pushed out")
                await until(lambda: not again.pending, "a second process's event is sent")
                await asyncio.sleep(0.5)
            assert await events(client) == {
                "Reclaimed": ("64 MiB pushed out", 3),
                "Pressure": ("full 2 %", 3),
            }

    asyncio.run(story())


@pytest.mark.parametrize("watch_list", [True, False])
def test_a_reflector_may_start_before_the_api_server(
    breakable_cluster: ControlPlane, watch_list: bool
) -> None:
    namespace = make_namespace(breakable_cluster)

    async def story() -> None:
        async with client_of(breakable_cluster, timeout_seconds=5.0) as client:
            wanted = Note(metadata=ObjectMeta(name="a", namespace=namespace, labels={"test": "notes"}))
            await client.apply(NOTES, wanted, manager="test")
            reflector = Reflector(
                client, NOTES, namespace=namespace, label_selector=MINE, backoff=Backoff(0.1, 1.0)
            )
            reflector._listing_until = 0.0 if watch_list else float("inf")
            breakable_cluster.kill_api_server()
            async with running(reflector.run()):
                await asyncio.sleep(0.5)
                assert not reflector.synced
                await asyncio.to_thread(breakable_cluster.start_api_server)
                await until(lambda: reflector.synced, "it has found everything")
                assert set(reflector.objects) == {f"{namespace}/a"}

    asyncio.run(story())
