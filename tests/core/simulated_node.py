"""A simulated node for tests: its memory and its pods change second by second, and the engine decides."""

from collections.abc import Mapping
from typing import Any

import msgspec

from overbook.core.overcommit.facts import ContainerFacts, PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import Engine, ReliefState
from overbook.core.pressure.offload import OffloadPolicy
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Ruleset
from overbook.core.pressure.sample import ContainerSample, LimitSample, NodeSample, PodSample, Sample

MI = 1 << 20
GI = 1 << 30


def vm(uid: str, request: int = 200 * MI, allowed: int | None = 100 * MI, **facts: Any) -> PodFacts:
    """Return the facts of a virtual machine's pod, called ``demo/UID``, that may swap."""
    container = ContainerFacts("compute", memory_request_bytes=request, swap="Eligible")
    return PodFacts(
        uid=uid,
        label=f"demo/{uid}",
        qos_class="Burstable",
        memory_request_bytes=request,
        original_request_bytes=request,
        swap_allowed_bytes=allowed,
        **{"virtual_machine": True, "containers": (container,), **facts},
    )


def holding(
    memory: int,
    swap: int = 0,
    *,
    swap_max: int | None = 100 * MI,
    refaults: int = 0,
    name: str = "compute",
    cached: int = 0,
) -> ContainerSample:
    """Return a container with that much anonymous memory in RAM and in swap, and so much of it in both."""
    return ContainerSample(name, memory, 0, memory, swap, swap_max, refaults, cached)


class SimulatedNode:
    """A simulated node has 1 GiB, half of it available, and 512 MiB of swap, all of it free.

    Args:
        pods: the facts of the known pods.
        ruleset: the engine's ruleset.
        reclaim: the policy of reclaim; ``None``: the engine does not reclaim.
        own_uids: the UIDs that the engine takes for Overbook's own pods.
        offload: the policy of offload; ``None``: the engine plans none.
    """

    def __init__(
        self,
        *pods: PodFacts,
        ruleset: Ruleset = DEFAULT_RULESET,
        reclaim: ReclaimPolicy | None = None,
        own_uids: frozenset[str] = frozenset(),
        offload: OffloadPolicy | None = None,
    ) -> None:
        self.engine = Engine(ruleset, reclaim, own_uids, offload)
        self.facts = {pod.uid: pod for pod in pods}
        self.at = 5000.0
        self.node = NodeSample(
            memory_total_bytes=GI,
            memory_available_bytes=GI // 2,
            swap_total_bytes=512 * MI,
            swap_free_bytes=512 * MI,
            swap_in_pages=7_000,
            swap_out_pages=9_000,
            oom_kills=0,
            stall_some_micros=500_000,
            stall_full_micros=300_000,
        )
        self.holds = {pod.uid: holding(300 * MI) for pod in pods}
        self.stalled = dict.fromkeys(self.holds, 0)
        self.limits: dict[str, LimitSample] = {}
        self.below: dict[str, str] = {}
        self.told: list[Sample] = []

    def set(self, **node: int | None) -> None:
        """Change the node's numbers."""
        self.node = msgspec.structs.replace(self.node, **node)

    def limit(self, path: str, kind: str = "kubepods", **numbers: int | None) -> None:
        """Make a limited cgroup above pods, or change its numbers; its counters begin at 0."""
        known = self.limits.get(path) or LimitSample(
            path, kind, refaults=0, stall_some_micros=0, stall_full_micros=0
        )
        self.limits[path] = msgspec.structs.replace(known, **numbers)

    def starve(self) -> None:
        """Leave 20 MiB available from now on."""
        self.set(memory_available_bytes=20 * MI)

    def second(
        self,
        seconds: float = 1.0,
        *,
        swap_in: int = 0,
        swap_out: int = 0,
        stall: float = 0.0,
        pod_stalls: Mapping[str, float] | None = None,
        limit_stalls: Mapping[str, float] | None = None,
        relief: ReliefState = "idle",
    ) -> Decision | None:
        """Let time pass with so many pages swapped and such a share of it stalled; then decide."""
        self.at += seconds
        for uid, share in (pod_stalls or {}).items():
            self.stalled[uid] += round(share * seconds * 1e6)
        node = self.node
        if node.swap_in_pages is not None and node.swap_out_pages is not None:
            self.set(
                swap_in_pages=node.swap_in_pages + round(swap_in * seconds),
                swap_out_pages=node.swap_out_pages + round(swap_out * seconds),
            )
        if node.stall_full_micros is not None:
            self.set(stall_full_micros=node.stall_full_micros + round(stall * seconds * 1e6))
        for path, share in (limit_stalls or {}).items():
            before = self.limits[path].stall_full_micros or 0
            self.limit(path, stall_full_micros=before + round(share * seconds * 1e6))
        pods = tuple(
            PodSample(uid, (container,), self.stalled.get(uid), None, self.below.get(uid))
            for uid, container in self.holds.items()
        )
        sample = Sample(self.at, 1.7e9 + self.at, self.node, pods, tuple(self.limits.values()))
        self.told.append(sample)
        return self.engine.step(sample, self.facts, relief)

    def seconds(self, count: int, **what: Any) -> list[Decision | None]:
        """Let many seconds pass in the same way."""
        return [self.second(**what) for _ in range(count)]

    def until(self, count: int, **what: Any) -> tuple[int, Decision]:
        """Return the second in which the engine decides something, and the decision.

        Raises:
            AssertionError: the engine decides nothing.
        """
        for passed in range(1, count + 1):
            decision = self.second(**what)
            if decision is not None:
                return passed, decision
        raise AssertionError(f"nothing decided in {count} s")
