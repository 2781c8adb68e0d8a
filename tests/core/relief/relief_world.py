"""A simulated cluster for the tests of relief: nodes, pods, KubeVirt, an API server that may fail.

The world shows the plan what it would see of a real cluster. It also keeps what the plan must not be trusted
to keep: which pods were really evicted or deleted.
"""

from collections.abc import Iterable

import msgspec

from overbook.core.api.overcommit import ReliefSpec
from overbook.core.api.overcommit_node import ReliefCandidate, ReliefRecord, ReliefRequest
from overbook.core.kubevirt.objects import EVACUATION_ANNOTATION, Migration
from overbook.core.relief.answer import ACCEPTED, EvictionAnswer
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import (
    Cancel,
    ClusterCase,
    Delete,
    Evict,
    Look,
    MigrationLimits,
    NodeCase,
    Step,
    Uncancelled,
    Write,
)
from overbook.core.relief.plan import plan
from overbook.core.relief.record import IN_FLIGHT
from overbook.core.timestamp import to_timestamp

START = 1_800_000_000.0
GI = 2**30


def candidate(name: str, **changes: object) -> ReliefCandidate:
    plain = ReliefCandidate(
        uid=f"uid-{name}", namespace="shop", name=name, usage_bytes=GI, over_request_bytes=1
    )
    return msgspec.structs.replace(plain, **changes)


def request(name: str, *candidates: ReliefCandidate, at: float = START) -> ReliefRequest:
    return ReliefRequest(id=name, decided_at=to_timestamp(at), rule="stalls", candidates=candidates)


def migration(
    instance: str, phase: str, at: float, *, evacuates: str = "", rejected: bool = False, **state: str
) -> Migration:
    """Return a migration; `evacuates`: the node from which an eviction made it leave."""
    conditions = [{"type": "migrationRejectedByResourceQuota", "status": "True"}] if rejected else []
    return msgspec.convert(
        {
            "metadata": {
                "name": f"kubevirt-evacuation-{instance}",
                "namespace": "shop",
                "creationTimestamp": to_timestamp(at),
                "annotations": {EVACUATION_ANNOTATION: evacuates} if evacuates else {},
            },
            "spec": {"vmiName": instance},
            "status": {
                "phase": phase,
                "conditions": conditions,
                "migrationState": state,
                "phaseTransitionTimestamps": [{"phase": phase, "phaseTransitionTimestamp": to_timestamp(at)}],
            },
        },
        Migration,
    )


class World:
    """Nodes by name, with their pods; a test moves the world step by step.

    Args:
        nodes: the nodes' names; each node is a destination for the others.
        spec: fields of the relief's settings.
    """

    def __init__(self, *nodes: str, **spec: object) -> None:
        self.now = START
        self.cases = {name: NodeCase(name=name, critical=True) for name in nodes}
        self.pods: dict[str, CandidatePod] = {}
        self.answers: dict[str, EvictionAnswer] = {}
        self.migrations: dict[str, Migration] = {}
        self.held_back = ""
        self.destinations = frozenset(nodes)
        self.limits: MigrationLimits | None = MigrationLimits()
        self.kubevirt_known = True
        self.migrations_silent: float | None = 0.0
        self.phase_seen: dict[str, float] = {}
        self.spec = msgspec.structs.replace(ReliefSpec(), **spec)
        self.evicted: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        self.cancelled: list[str] = []
        self.uncancelled: Uncancelled | None = None
        self.records: list[ReliefRecord] = []

    def record(self, node: str) -> ReliefRecord:
        return self.cases[node].record

    def change(self, node: str, **changes: object) -> None:
        self.cases[node] = msgspec.structs.replace(self.cases[node], **changes)

    def pod(self, name: str, **changes: object) -> None:
        self.pods[f"uid-{name}"] = msgspec.structs.replace(CandidatePod("Here", self.now), **changes)

    def cluster(self) -> ClusterCase:
        return ClusterCase(
            spec=self.spec,
            held_back=self.held_back,
            migrations=tuple(self.migrations.values()),
            kubevirt_known=self.kubevirt_known,
            limits=self.limits,
            migrations_silent_seconds=self.migrations_silent,
            phase_seen=self.phase_seen,
            destinations=self.destinations,
        )

    def plan(self) -> dict[str, Step]:
        return plan(self.cases.values(), self.cluster(), self.now)

    def perform(self, node: str, step: Step) -> None:
        """Carry out a step as the controller would."""
        case = self.cases[node]
        match step:
            case Write(record=record):
                self.records.append(record)
                self.change(node, record=record, answer=None, uncancelled=None)
            case Look(uid=uid):
                seen = msgspec.structs.replace(
                    self.pods.get(uid, CandidatePod("Gone", 0.0)), seen_at=self.now
                )
                self.change(node, pods={**case.pods, uid: seen})
            case Evict(uid=uid):
                self.evicted.append((node, uid))
                self.change(node, answer=self.answers.get(uid, ACCEPTED))
            case Delete(uid=uid):
                self.deleted.append(uid)
                self.change(node, answer=ACCEPTED)
            case Cancel(uid=uid):
                self.cancel(node, uid)
            case _:
                pass

    def cancel(self, node: str, uid: str) -> None:
        """Cancel an evacuation as KubeVirt does, or fail to."""
        found = self.uncancelled or Uncancelled("marked again")
        self.change(node, uncancelled=msgspec.structs.replace(found, at=self.now), pods={})
        if self.uncancelled is not None:
            return
        self.cancelled.append(uid)
        known = self.pods.get(uid)
        if known is not None:
            self.pods[uid] = msgspec.structs.replace(known, evacuating=False)
        for name, moving in self.migrations.items():
            if moving.instance == (known.instance if known else "") and not moving.is_over:
                self.migrations[name] = migration(name, "Failed", self.now, failureReason="aborted")

    def settle(self, seconds: float = 0.0, every: float = 1.0) -> None:
        """Carry out steps until none is left, now and at each moment of the given time."""
        end = self.now + seconds
        while True:
            for _ in range(400):
                steps = {name: step for name, step in self.plan().items() if not _is_rest(step)}
                if not steps:
                    break
                for name, step in steps.items():
                    self.perform(name, step)
            else:
                raise AssertionError(f"never comes to rest: {steps}")
            if self.now >= end:
                return
            self.now += every

    def under_way(self) -> list[str]:
        return [name for name, case in self.cases.items() if case.record.stage in IN_FLIGHT]

    def outcomes(self, node: str) -> list[tuple[str, str]]:
        return [(known.victim, known.outcome) for known in self.record(node).outcomes]

    def refusals(self, node: str) -> list[tuple[str, str]]:
        return [(known.label, known.reason) for known in self.record(node).refusals]


def _is_rest(step: Step) -> bool:
    return not isinstance(step, Write | Look | Evict | Delete | Cancel)


def uids(names: Iterable[str]) -> list[str]:
    return [f"uid-{name}" for name in names]
