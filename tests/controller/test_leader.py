"""One leadership without an API server: what it does with plans, and what it reports."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from overbook.controller.journal import ReliefJournal
from overbook.controller.kinds import AskingNode
from overbook.controller.leader import Leadership
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.settings import ControllerSettings
from overbook.core.api.overcommit import WrittenOvercommit
from overbook.core.api.overcommit_node import ReliefCandidate, ReliefRequest
from overbook.core.relief.node import NodeMeta
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.events import MOST_PENDING
from overbook.kube.api.objects import ObjectReference

T = TypeVar("T")
CANDIDATE = ReliefCandidate(uid="u", namespace="shop", name="a")


def led(act: Callable[[Leadership, ControllerMetrics], T]) -> T:
    """Return what an act does in a leadership whose steps and requests do nothing."""

    async def run() -> T:
        metrics = ControllerMetrics()
        client = Client(ClusterConfig(server="https://127.0.0.1:1"))
        leader = Leadership(
            client,
            client,
            client,
            ControllerSettings(),
            leads=lambda: False,
            journal=ReliefJournal(),
            metrics=metrics,
        )
        try:
            return act(leader, metrics)
        finally:
            await client.close()

    return asyncio.run(run())


def asks(leader: Leadership, name: str, candidates: object = (CANDIDATE,)) -> None:
    request = ReliefRequest("r1", "2026-09-01T10:00:00Z", candidates=candidates)  # type: ignore[arg-type]
    status = type(AskingNode().status)(observed_at="then", mode="Enforce", request=request)
    obj = AskingNode(metadata=NodeMeta(name=name, uid=name, resource_version="1"), status=status)
    leader.situation.asking._put(name, obj)


def overcommit(leader: Leadership, spec: bytes | None) -> None:
    metadata = {"name": "cluster", "uid": "u", "resourceVersion": str(spec)}
    obj = {"metadata": metadata, "spec": msgspec.Raw(spec or b"{}")}
    written = msgspec.json.decode(msgspec.json.encode(obj), type=WrittenOvercommit)
    leader.situation.overcommits._put("cluster", written if spec is not None else None)
    leader.situation._take_over()


def test_a_defect_for_one_node_leaves_the_others_planned() -> None:
    def act(leader: Leadership, metrics: ControllerMetrics) -> None:
        overcommit(leader, b'{"mode":"Enforce"}')
        asks(leader, "bad", candidates=None)
        asks(leader, "good")
        leader._plan_once()
        assert list(leader._busy) == ["good"]
        assert metrics.failures["plan"] == 1

    led(act)


def test_each_node_left_out_takes_a_place() -> None:
    def act(leader: Leadership, _: ControllerMetrics) -> None:
        overcommit(leader, b'{"mode":"Enforce","relief":{"perCluster":1}}')
        asks(leader, "bad", candidates=None)
        asks(leader, "good")
        steps = leader._planned(leader.situation.cases(), leader.situation.cluster())
        assert "limit of 0 reliefs" in getattr(steps["good"], "record").message  # noqa: B009 - a Write

    led(act)


def test_no_usable_overcommit_holds_back_and_says_so_once() -> None:
    def act(leader: Leadership, metrics: ControllerMetrics) -> None:
        overcommit(leader, b'{"mode":"Enforce","relief":{"perCluster":7}}')
        leader._note_overcommit()
        assert leader.situation.cluster().held_back == ""
        for spec, word in ((None, "NoOvercommit"), (b'{"mode":"Suggest"}', "OvercommitUnreadable")):
            overcommit(leader, spec)
            leader._note_overcommit()
            leader._note_overcommit()
            assert "nothing is changed" in leader.situation.cluster().held_back
            assert leader.situation.spec.relief.per_cluster == 7
            assert metrics.events[word] == 1
            assert b"overbook_controller_overcommit_usable 0" in metrics.render(leader.situation)
        events = [(each.regarding.kind, each.reason, each.type) for each in leader._events._pending.values()]
        assert events == [
            ("Overcommit", "NoOvercommit", "Warning"),
            ("Overcommit", "OvercommitUnreadable", "Warning"),
        ]
        overcommit(leader, b'{"mode":"Enforce"}')
        leader._note_overcommit()
        assert leader.situation.cluster().held_back == ""
        assert b"overbook_controller_overcommit_usable 1" in metrics.render(leader.situation)

    led(act)


def test_dropped_events_are_counted() -> None:
    def act(leader: Leadership, metrics: ControllerMetrics) -> None:
        for number in range(MOST_PENDING + 9):
            leader._events.record(ObjectReference(kind="Node", name=f"n{number}"), "R", "m")
        leader._note_overcommit()
        leader._note_overcommit()
        dropped = metrics.events_dropped
        assert dropped >= 9
        assert f"overbook_controller_events_dropped_total {dropped}".encode() in metrics.render(None)

    led(act)
