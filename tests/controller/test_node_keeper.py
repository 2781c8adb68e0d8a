"""The keeper of nodes clears what a dead agent left, whatever fails meanwhile, and nothing of a live one."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest

from overbook.controller.kinds import AgentLease, AskingNode
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.node_keeper import NodeKeeper
from overbook.controller.settings import ControllerSettings
from overbook.controller.situation import ClusterSituation
from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_KEY, PressureStatus
from overbook.core.relief.node import KeptNode, NodeMeta, NodeTaint, PressureCondition
from overbook.kube.api.errors import ApiError, ApiUnavailable, UnexpectedAnswer
from tests.controller.virtual_time import run_in_virtual_time

STALE_SECONDS = 90.0
REPORTS_SECONDS = 20.0
TROUBLE_SECONDS = 2000.0
ERRORS: tuple[Exception, ...] = (
    ApiUnavailable("connection reset"),
    ApiError(403, "Forbidden", "a policy protects it"),
    ApiError(404, "", "404 page not found"),
    ApiError(409, "Conflict", "changed"),
    ApiError(422, "Invalid", "the test failed"),
    ApiError(429, "TooManyRequests", "later", retry_after_seconds=3),
    ApiError(500, "InternalError", "etcd"),
    ApiError(502, "", "<html>Bad Gateway</html>"),
    UnexpectedAnswer("half a body"),
    KeyError("a defect"),
)


class FakeApi:
    """The API server's Nodes, with answers that fail while there is trouble."""

    def __init__(self, chance: random.Random, clock: Callable[[], float]) -> None:
        self.chance = chance
        self.clock = clock
        self.nodes: dict[str, KeptNode] = {}
        self.situation: ClusterSituation | None = None
        self.unseen: set[str] = set()
        self.version = 0
        self.untainted: list[str] = []

    @property
    def in_trouble(self) -> bool:
        return self.clock() < TROUBLE_SECONDS

    async def _answer(self) -> None:
        await asyncio.sleep(self.chance.choice([0.01, 0.1, 2.0]))
        if self.in_trouble and self.chance.random() < 0.5:
            raise self.chance.choice(ERRORS)

    async def strategic_patch(self, _kind: object, name: str, patch: dict[str, Any], **_: object) -> None:
        await self._answer()
        written = patch["status"]["conditions"][0]
        condition = msgspec.convert(written, PressureCondition)
        status = msgspec.structs.replace(self.nodes[name].status, conditions=(condition,))
        self.write(name, status=status)

    async def json_patch(self, _kind: object, name: str, operations: list[dict[str, Any]]) -> None:
        await self._answer()
        taints = self.nodes[name].spec.taints or ()
        index = int(operations[-1]["path"].rpartition("/")[2])
        if index >= len(taints) or taints[index].key != operations[0]["value"]:
            raise ApiError(422, "Invalid", "the test failed")
        left = (*taints[:index], *taints[index + 1 :])
        self.untainted.append(name)
        self.write(name, spec=msgspec.structs.replace(self.nodes[name].spec, taints=left))

    async def pages(self, *_: object, **__: object) -> AsyncGenerator[object, None]:
        await self._answer()
        nothing: tuple[object, ...] = ()
        for page in nothing:
            yield page

    def write(self, name: str, **changes: object) -> None:
        self.version += 1
        about = NodeMeta(name=name, uid=name, resource_version=str(self.version))
        self.nodes[name] = msgspec.structs.replace(
            self.nodes.get(name, KeptNode()), metadata=about, **changes
        )
        self.unseen.add(name)

    async def watch(self) -> None:
        """Show the changes of Nodes with a delay, and late while there is trouble."""
        assert self.situation is not None
        while True:
            await asyncio.sleep(self.chance.uniform(0.1, 30.0 if self.in_trouble else 1.0))
            for name in list(self.unseen):
                self.unseen.discard(name)
                self.situation.nodes._put(name, self.nodes[name])


def of(taints: tuple[NodeTaint, ...]) -> Any:
    return msgspec.structs.replace(KeptNode().spec, taints=taints)


async def report(situation: ClusterSituation, api: FakeApi, name: str, *, dies_at: float) -> None:
    """An agent reports under pressure, and keeps its taint, until it dies."""
    number = 0
    while api.clock() < dies_at:
        number += 1
        pressure = PressureStatus("Critical", rule="stall")
        status = type(AskingNode().status)(observed_at=f"t{number}", mode="Enforce", pressure=pressure)
        about = NodeMeta(name=name, uid=name, resource_version=str(number))
        situation.asking._put(name, AskingNode(metadata=about, status=status))
        situation.asking._touch()
        renewed = type(AgentLease().spec)(renew_time=f"t{number}")
        lease = AgentLease(metadata=NodeMeta(name=name, uid=name, resource_version=str(number)), spec=renewed)
        situation.heartbeats._put(f"overbook-node/{name}", lease)
        situation.heartbeats._touch()
        if not any(taint.key == TAINT_KEY for taint in api.nodes[name].spec.taints or ()):
            others = NodeTaint(key="example.com/other", effect="NoSchedule")
            api.write(name, spec=of((others, NodeTaint(key=TAINT_KEY, effect="NoSchedule"))))
        await asyncio.sleep(REPORTS_SECONDS)


async def bookmarks(situation: ClusterSituation, api: FakeApi) -> None:
    """The watch of the heartbeats is heard, or broken for minutes while there is trouble."""
    while True:
        if api.in_trouble and api.chance.random() < 0.1:
            situation.heartbeats._broken = True
            await asyncio.sleep(api.chance.uniform(10, 300))
        situation.heartbeats._touch()
        await asyncio.sleep(api.chance.uniform(5, 60))


@pytest.mark.parametrize("seed", range(25))
def test_a_dead_agents_taint_goes_and_a_live_ones_stays(seed: int) -> None:
    chance = random.Random(seed)
    deaths = {f"n{number}": chance.choice([float("inf"), chance.uniform(0, 1500)]) for number in range(6)}

    async def story(clock: Callable[[], float]) -> FakeApi:
        api = FakeApi(chance, clock)
        situation = ClusterSituation(api, ControllerSettings(), clock, clock)  # type: ignore[arg-type]
        api.situation = situation
        keeper = NodeKeeper(api, situation, lambda: True, ControllerMetrics(), clock, clock)  # type: ignore[arg-type]
        for name in deaths:
            api.write(name)
            situation.nodes._put(name, api.nodes[name])
        for reflector in (situation.asking, situation.nodes, situation.overcommits):
            reflector._synced.set()
        situation.kubevirt._looked.set()
        works = [keeper.run(), api.watch(), bookmarks(situation, api)]
        works += [report(situation, api, name, dies_at=dies_at) for name, dies_at in deaths.items()]
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(TROUBLE_SECONDS + 1000)
        for task in tasks:
            if task.done() and task.exception():
                raise AssertionError from task.exception()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return api

    api = run_in_virtual_time(story)
    for name, dies_at in deaths.items():
        node = api.nodes[name]
        condition = node.condition(PRESSURE_CONDITION)
        keys = {taint.key for taint in node.spec.taints or ()}
        assert "example.com/other" in keys or dies_at < 1
        if dies_at < TROUBLE_SECONDS:
            assert TAINT_KEY not in keys, name
            assert condition is None or condition.status == "Unknown", name
        else:
            assert TAINT_KEY in keys, name
            assert name not in api.untainted
            assert condition is not None
            assert condition.status == "True"
