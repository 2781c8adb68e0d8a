import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from overbook.kube.api import reflector
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.kinds import NODES
from overbook.kube.api.objects import Node
from overbook.kube.api.reflector import MOST_STALE_ANSWERS, Reflector
from tests.kube.api.scripted_server import Served, answer, chunked, serving
from tests.running import running, until


def node(name: str, version: int, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}}


def event(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int, *, end: bool = False) -> bytes:
    annotations = {"k8s.io/initial-events-end": "true"} if end else {}
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": annotations}})


def listed(version: int, *items: dict[str, Any]) -> bytes:
    return answer(json.dumps({"metadata": {"resourceVersion": str(version)}, "items": items}).encode())


def refused(code: int, reason: str = "") -> bytes:
    return answer(json.dumps({"code": code, "reason": reason, "message": "no"}).encode(), code)


class Scene:
    """A scene is a server that gives one prepared answer after the other, and a reflector that gets them."""

    def __init__(self, *answers: bytes, silent: bool = False) -> None:
        self.answers = list(answers)
        self.silent = silent
        self.heads: list[str] = []
        self.told: list[tuple[str, str | None, str | None]] = []

    async def script(
        self, served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.heads = served.heads
        while True:
            await served.asked(reader)
            if not self.answers:
                await asyncio.Event().wait()
            raw = self.answers.pop(0)
            writer.write(raw)
            if not raw.endswith(b"0\r\n\r\n") and b"chunked" in raw:
                if self.silent:
                    await reader.read()  # until the client has had enough
                else:
                    await until(lambda: self.answers, "the next answer is asked for", 3600)
                return

    def on_change(self, key: str, old: Node | None, new: Node | None) -> None:
        before, after = (None if each is None else each.metadata.uid for each in (old, new))
        self.told.append((key, before, after))

    def plays(self, condition: Callable[["Reflector[Node]"], bool]) -> "Reflector[Node]":
        async def whole() -> Reflector[Node]:
            async with serving(self.script) as served:
                client = Client(ClusterConfig(server=served.server), timeout_seconds=20)
                reflector = Reflector(client, NODES, on_change=self.on_change, backoff=Backoff(0.01, 0.05))
                async with running(reflector.run()):
                    await until(lambda: condition(reflector), f"the end of the story: {reflector.objects}")
                await client.close()
                return reflector

        return asyncio.run(whole())


def stream(*lines: bytes, end: bool = False) -> bytes:
    return chunked(*lines, end=end)


def versions(reflector: "Reflector[Node]") -> dict[str, str | None]:
    return {key: each.metadata.resource_version for key, each in reflector.objects.items()}


def test_a_lagging_server_does_not_turn_time_back() -> None:
    behind = stream(
        event("ADDED", node("a", 5)), event("ADDED", node("gone", 6)), bookmark(7, end=True), end=True
    )
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        refused(410, "Expired"),
        behind,
        behind,
        stream(event("ADDED", node("a", 15)), bookmark(16, end=True)),
    )
    reflector = scene.plays(lambda it: versions(it) == {"a": "15"})
    assert scene.told == [("a", None, "uid-a"), ("a", "uid-a", "uid-a")]
    assert reflector.synced


def test_a_server_that_keeps_to_an_older_version_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    restored = stream(event("ADDED", node("b", 5)), bookmark(7, end=True), end=True)
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        stream(bookmark(7)),  # a watch that goes on from a version that never was
        *[restored] * (MOST_STALE_ANSWERS - 1),
        stream(event("ADDED", node("b", 5)), bookmark(7, end=True)),
    )
    with caplog.at_level(logging.WARNING):
        scene.plays(lambda it: versions(it) == {"b": "5"})
    assert "nodes: the API server has gone back to version 7" in caplog.text


def test_history_sent_again_changes_nothing() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        stream(
            event("MODIFIED", node("a", 9)),
            event("ADDED", node("gone", 8)),
            event("DELETED", node("a", 11)),
            event("ADDED", node("b", 13)),
        ),
    )
    scene.plays(lambda it: "b" in it.objects)
    assert scene.told == [("a", None, "uid-a"), ("b", None, "uid-b")]
    assert "resourceVersion=12" in scene.heads[1]


def test_versions_that_are_no_numbers_are_only_compared() -> None:
    opaque = {"metadata": {"name": "a", "uid": "u", "resourceVersion": "zz"}}
    newer = {"metadata": {"name": "a", "uid": "u", "resourceVersion": "aa"}}
    end = event(
        "BOOKMARK",
        {"metadata": {"resourceVersion": "zz", "annotations": {"k8s.io/initial-events-end": "true"}}},
    )
    scene = Scene(stream(event("ADDED", opaque), end, event("MODIFIED", opaque), event("MODIFIED", newer)))
    scene.plays(lambda it: versions(it) == {"a": "aa"})
    assert len(scene.told) == 2


def test_a_recreated_object_is_first_deleted() -> None:
    scene = Scene(
        stream(
            event("ADDED", node("a", 10, "one")),
            bookmark(12, end=True),
            event("MODIFIED", node("a", 14, "two")),
        )
    )
    scene.plays(lambda it: versions(it) == {"a": "14"})
    assert scene.told == [("a", None, "one"), ("a", "one", None), ("a", None, "two")]


def test_an_old_server_without_watchlist_is_listed() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12)),
        listed(12, node("a", 10), node("b", 11)),
        stream(event("DELETED", node("b", 13))),
    )
    scene.plays(lambda it: it.synced and set(it.objects) == {"a"})
    assert "sendInitialEvents" in scene.heads[0]
    assert "sendInitialEvents" not in "".join(scene.heads[1:])


def test_a_version_refused_again_and_again_is_given_up() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        *[refused(504, "Timeout")] * 3,
        stream(event("ADDED", node("a", 10)), event("ADDED", node("b", 20)), bookmark(21, end=True)),
    )
    scene.plays(lambda it: versions(it) == {"a": "10", "b": "20"})
    assert scene.told == [("a", None, "uid-a"), ("b", None, "uid-b")]
    assert "sendInitialEvents" in scene.heads[-1]


def test_a_load_balancers_503_does_not_cost_the_version() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        *[answer(b"no healthy upstream", 503)] * 4,
        stream(event("ADDED", node("b", 20))),
    )
    scene.plays(lambda it: versions(it) == {"a": "10", "b": "20"})
    assert "resourceVersion=12" in scene.heads[-1]


def test_one_silent_answer_does_not_end_watchlist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "INITIAL_SILENCE_SECONDS", 0.1)
    scene = Scene(
        stream(event("ADDED", node("a", 10))),
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True)),
        silent=True,
    )
    scene.plays(lambda it: it.synced)
    assert all("sendInitialEvents" in head for head in scene.heads)


def test_a_server_always_silent_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "INITIAL_SILENCE_SECONDS", 0.1)
    scene = Scene(
        *[stream(event("ADDED", node("a", 10)))] * reflector.MOST_SILENCES,
        listed(12, node("a", 10), node("b", 11)),
        silent=True,
    )
    scene.plays(lambda it: set(it.objects) == {"a", "b"})


def test_only_what_is_heard_without_a_break_counts_as_heard() -> None:
    now = 0.0

    def clock() -> float:
        return now

    it = Reflector(None, NODES, clock=clock)  # type: ignore[arg-type]  # it asks no server
    it._touch()
    now = 60.0
    it._touch()
    assert it.heard_seconds == 60.0
    it._broken = True
    now = 660.0
    it._touch()
    assert it.heard_seconds == 60.0, "what happened in ten minutes of outage was not heard"
    now = 665.0
    it._touch()
    assert it.heard_seconds == 65.0


def test_a_malformed_event_ends_the_watch_not_the_reflector() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), b"no event\n"),
        stream(event("DREAMT", node("b", 13))),
        answer(b"<html>", 200),
        stream(event("ADDED", node("b", 14))),
    )
    scene.plays(lambda it: set(it.objects) == {"a", "b"})


def test_a_reflector_without_rights_waits_and_keeps_its_objects() -> None:
    scene = Scene(
        stream(event("ADDED", node("a", 10)), bookmark(12, end=True), end=True),
        *[refused(403, "Forbidden")] * 5,
        stream(event("ADDED", node("b", 13))),
    )
    scene.plays(lambda it: set(it.objects) == {"a", "b"})
    assert all("resourceVersion=12" in head for head in scene.heads[1:])


def test_a_quiet_watch_is_heard_if_nothing_was_missed() -> None:
    scene = Scene(stream(event("ADDED", node("a", 10)), bookmark(12, end=True)))
    now = 0.0
    it = scene.plays(lambda it: it.synced)
    it._clock = lambda: now
    it.last_contact, it.heard_seconds, it._broken = 0.0, 0.0, False
    for seen, heard in ((node("a", 11), 0.0), (node("b", 10), 0.0), (node("a", 10), 30.0)):
        now = 30.0
        it.compare(NODES.decode(json.dumps(seen).encode()))
        assert it.heard_seconds == heard
    it._broken, now = True, 60.0
    it.compare(NODES.decode(json.dumps(node("a", 10)).encode()))
    assert it.heard_seconds == 30.0, "a watch that is broken may have missed something"
