"""Parts of the API are missing, late, failing or started again in any order: one pressure costs one pod.

A request of one node stands the whole time, and no pod refuses. So exactly one pod may be evicted, whatever
was lost on the way, whatever a new leader does not know, and however wrong its clock is.
"""

import random

import msgspec
import pytest

from overbook.controller.progress import MigrationProgress
from overbook.core.relief.answer import ACCEPTED, no_answer
from overbook.core.relief.case import Evict, Look, MigrationLimits, NodeCase, Step, Write
from overbook.core.relief.migrating import BEFORE_SIGHT_SECONDS
from overbook.core.relief.plan import plan
from overbook.core.relief.record import counted_from
from tests.core.relief.relief_world import START, World, candidate, migration, request

REQUEST_SECONDS = 35.0
"""The longest time after which a request that was given up may still be carried out."""
ENDING_SECONDS = 20.0
CLOCKS = (0.0, 0.0, -600.0, -90.0, -20.0, 20.0, 90.0, 600.0)
"""How far leaders' clocks are from the right time."""


class FaultyWorld(World):
    """A world whose API loses, delays and refuses, and whose leaders are replaced.

    ``now`` is the time of the leader's clock; ``true`` is the right one, of which KubeVirt's dates are.

    Args:
        seed: of everything that happens.
        machine: whether the first candidate is a VM, which is live-migrated.
        faults: the chance of each fault.
    """

    def __init__(self, seed: int, *, machine: bool, faults: float = 0.25) -> None:
        super().__init__("n", "m")
        self.chance = random.Random(seed)
        self.faults = faults
        self.true = START
        self.offset = 0.0
        self.busy_until = 0.0
        self.arrivals: list[tuple[float, str]] = []
        self.leaves: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self.sighted: tuple[str | None, float] | None = None
        self.progress = MigrationProgress(lambda: self.now)
        for name in "abc":
            self.pod(name)
        if machine:
            self.pod("a", how="Migrated", is_vm=True, instance="shop/a", instance_node="n")
        self.change("n", request=request("r1", *map(candidate, "abc")))

    def fails(self) -> bool:
        return self.chance.random() < self.faults

    def pass_time(self, seconds: float) -> None:
        self.true += seconds
        self.now = self.true + self.offset
        for moment, uid in list(self.arrivals):
            if moment <= self.true:
                self.arrivals.remove((moment, uid))
                self.arrives(uid)
        for uid, moment in self.leaves.items():
            if moment <= self.true:
                self.pods[uid] = msgspec.structs.replace(self.pods[uid], presence="Gone", instance_node="m")
        for name, began in self.began.items():
            passed = self.true - began
            if passed < 0:
                continue
            phases = (("Pending", 0.0), ("Scheduling", 10.0), ("Running", 60.0), ("Succeeded", 130.0))
            phase, since = max(((each, at) for each, at in phases if at <= passed), key=lambda each: each[1])
            self.migrations[name] = migration(name, phase, began + since)

    def arrives(self, uid: str) -> None:
        """An eviction reaches the API server. A second one of the same pod changes nothing."""
        self.evicted.append(("n", uid))
        pod = self.pods[uid]
        if pod.presence != "Here" or uid in self.leaves:
            return
        if pod.is_vm:
            name = uid.removeprefix("uid-")
            self.began.setdefault(name, self.true + 3)
            self.pods[uid] = msgspec.structs.replace(pod, evacuating=True)
            self.leaves[uid] = self.true + 3 + 130
        else:
            ends = self.true + ENDING_SECONDS
            self.pods[uid] = msgspec.structs.replace(pod, presence="Leaving", leaves_at=ends)
            self.leaves[uid] = ends

    def another_leader(self) -> None:
        """The next leader knows the record, and nothing else; its clock is another one."""
        self.change("n", pods={}, answer=None)
        self.offset = self.chance.choice(CLOCKS)
        self.now = self.true + self.offset
        self.busy_until = 0.0
        self.sighted = (self.record("n").stage_since, self.now)
        self.progress = MigrationProgress(lambda: self.now)

    def not_heard(self) -> None:
        """The watches are silent, or are heard again."""
        heard = not self.fails()
        self.kubevirt_known = heard or not self.fails()
        self.limits = MigrationLimits() if heard else None
        self.migrations_silent = 0.0 if heard else self.chance.choice([None, 400.0])

    def plan(self) -> dict[str, Step]:
        self.phase_seen = dict(self.progress.seen(self.migrations.values()))
        return plan(map(self.dated, self.cases.values()), self.cluster(), self.now)

    def dated(self, case: NodeCase) -> NodeCase:
        """What the leader sees of a record that it has not written."""
        if self.sighted is None or self.sighted[0] != case.record.stage_since:
            return case
        earliest = self.sighted[1] - BEFORE_SIGHT_SECONDS
        return msgspec.structs.replace(case, record=counted_from(case.record, earliest))

    def perform(self, node: str, step: Step) -> None:
        match step:
            case Write() | Look() if self.fails():
                return  # the answer is an error; nothing was done
            case Evict(uid=uid):
                self.evict(uid)
            case _:
                super().perform(node, step)

    def evict(self, uid: str) -> None:
        assert self.record("n").victim_uid == uid, "a pod is evicted whose UID is not in the record"
        if not self.fails():
            self.arrives(uid)
            self.change("n", answer=no_answer("lost") if self.fails() else ACCEPTED_AS[self.pods[uid].is_vm])
            return
        late = self.chance.random() < 0.5
        if late:
            self.arrivals.append((self.true + self.chance.uniform(1, REQUEST_SECONDS), uid))
        self.busy_until = self.true + (REQUEST_SECONDS if late else 1.0)
        self.change("n", answer=no_answer("cut"))

    def live(self, seconds: float) -> None:
        """Let the world go on, one step of the plan at a time."""
        end = self.true + seconds
        while self.true < end:
            self.pass_time(self.chance.uniform(0.2, 3.0))
            self.not_heard()
            if self.chance.random() < self.faults / 10:
                self.another_leader()
            if self.true >= self.busy_until:
                self.perform("n", self.plan()["n"])


ACCEPTED_AS = {
    False: ACCEPTED,
    True: msgspec.structs.replace(ACCEPTED, meaning="Evacuating", message="Eviction triggered evacuation"),
}


@pytest.mark.parametrize("machine", [False, True], ids=["pod", "vm"])
@pytest.mark.parametrize("seed", range(100))
def test_one_pressure_costs_one_pod_whatever_fails(seed: int, machine: bool) -> None:
    world = FaultyWorld(seed, machine=machine)
    world.live(600)
    assert len(set(world.evicted)) <= 1, world.evicted
    world.faults = 0.0
    world.live(1200)
    assert set(world.evicted) == {("n", "uid-a")}
    assert world.record("n").stage is None
    assert [victim for victim, _ in world.outcomes("n")] == ["shop/a"]
