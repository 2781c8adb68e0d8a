"""Loads as data: which pods run on a node, what each holds, and what it does from the event on.

The node fills, everything settles, and then the *event* begins. Some pods are *guilty*: the node is short of
memory because of them, and any of them may go. All others are innocent.
"""

import random
from typing import Final, Literal

import msgspec

from overbook.core.overcommit.allowance import Allowance
from overbook.core.overcommit.swap import covered_bytes

PERCENT: Final = 150
"""The overcommit percentage of the benchmark: swap is half of RAM."""
OVERHEAD_MIB: Final = 20
"""The overhead that KubeVirt adds to a VM's request, in a fair load."""
PROCESS_MIB: Final = 1
"""What a pod's process holds beside the memory of its load."""

Shape = Literal["VM", "Guaranteed", "Pod", "NoSwap", "Sandbox"]
"""A VM's Burstable pod; a Guaranteed VM; a Burstable pod that is no VM; one that says that it may not swap;
a Burstable pod in a namespace whose pods may swap."""
Disk = Literal["fast", "slow", "stalling", "zram"]
Starts = Literal["before", "at the event"]

SWAPPING_SHAPES: Final = frozenset({"VM", "Sandbox"})
"""The shapes that swap by Overbook's default eligibility."""


class Grow(msgspec.Struct, frozen=True, kw_only=True, tag="grow"):
    """The pod takes more and more memory.

    Attributes:
        mib_per_second: how fast, if the node is fast enough.
        hot: whether it uses the new memory all the time, or only once.
        most_mib: where it stops; 0: it never does.
    """

    mib_per_second: float
    hot: bool
    most_mib: float = 0


class AllHot(msgspec.Struct, frozen=True, kw_only=True, tag="allHot"):
    """The pod uses all that it holds, all the time.

    Attributes:
        seconds: for how long; 0: for good.
    """

    seconds: float = 0


class Rotate(msgspec.Struct, frozen=True, kw_only=True, tag="rotate"):
    """The pod's hot memory is another part of what it holds, again and again.

    Attributes:
        every_seconds: the time after which the next part is hot.
    """

    every_seconds: float


class FloodCache(msgspec.Struct, frozen=True, kw_only=True, tag="floodCache"):
    """The pod reads and writes a disk, and so fills the node's page cache.

    Attributes:
        mib_per_second: how much; half of it is read, half written.
    """

    mib_per_second: float


class Burn(msgspec.Struct, frozen=True, kw_only=True, tag="burn"):
    """The pod computes all the time, from its start on."""


class Wake(msgspec.Struct, frozen=True, kw_only=True, tag="wake"):
    """The pod, idle since it was filled, uses all that it holds for a moment.

    Attributes:
        after_seconds: when it wakes first, after the event.
        seconds: for how long it is awake.
        every_seconds: when it wakes again; 0: never.
    """

    after_seconds: float
    seconds: float
    every_seconds: float = 0


Act = Grow | AllHot | Rotate | FloodCache | Burn | Wake


class LoadPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of a load.

    Attributes:
        name: the pod's name.
        shape: what kind of pod it is.
        request_mib: its memory request; of a Guaranteed pod also its limit.
        limit_mib: the memory limit of another pod; 0: none.
        hot_mib: the memory that it uses all the time.
        cold_mib: the memory that it uses once.
        overhead_mib: of a VM: the part of the request that is no guest's.
        priority: its Kubernetes priority.
        critical: whether it is a critical pod, which is never evicted.
        idle: whether it only waits once it is filled.
        acts: what it does from the event on.
        offset_seconds: how long its start waits, and so its place among the others.
    """

    name: str
    shape: Shape
    request_mib: float
    hot_mib: float
    cold_mib: float
    limit_mib: float = 0
    overhead_mib: float = 0
    priority: int = 0
    critical: bool = False
    idle: bool = False
    acts: tuple[Act, ...] = ()
    offset_seconds: float = 0

    @property
    def held_mib(self) -> float:
        """What the pod holds when it is filled, its process included."""
        return self.hot_mib + self.cold_mib + PROCESS_MIB


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load.

    Attributes:
        name: one word, as on the command line.
        title: a few words, for tables.
        about: what happens, in a sentence.
        pods: the pods in the order of their start.
        guilty: the names of the pods that cause the shortage.
        must_go: how many pods have to leave at least before the others can work.
        event_seconds: the length of the event.
        memory_mib: the node's RAM.
        swap_mib: its swap.
        percent: the overcommit percentage that the requests follow.
        disk: what is swapped to.
        starts: whether the pods start before the event, or all of them with it.
        fill_mib_per_second: how fast all pods together fill their cold memory; all have filled it at the
            same time.
        steady_seconds: the time between filled pods and the event.
        least_cpus: how many CPUs the load needs.
        allowance: how Overbook divides the node's swap.
        reserved_mib: RAM that the kubelet reserves for the system: its limit on all pods is the rest. Without
            a reserve the limit is all RAM, as kubeadm leaves it.
    """

    name: str
    title: str
    about: str
    pods: tuple[LoadPod, ...]
    guilty: tuple[str, ...] = ()
    must_go: int = 0
    event_seconds: float = 25
    memory_mib: int = 1024
    swap_mib: int = 512
    percent: int = PERCENT
    disk: Disk = "fast"
    starts: Starts = "before"
    fill_mib_per_second: float = 100
    steady_seconds: float = 4
    least_cpus: int = 1
    allowance: Allowance = "proportional"
    reserved_mib: float = 0

    @property
    def innocent(self) -> tuple[str, ...]:
        """The names of the pods that do not cause the shortage."""
        return tuple(pod.name for pod in self.pods if pod.name not in self.guilty)

    @property
    def innocents_to_go(self) -> int:
        """How many innocent pods have to leave because no guilty one can."""
        movable = [pod for pod in self.pods if pod.name in self.guilty and not pod.critical]
        return max(0, self.must_go - len(movable))

    def covered_mib(self, pod: LoadPod) -> float:
        """What the node has room for: a pod's request, and its share of the swap if it may swap."""
        if pod.shape not in SWAPPING_SHAPES or pod.critical:
            return pod.request_mib
        mib = 2**20
        request = int(pod.request_mib * mib)
        return covered_bytes(request, self.memory_mib * mib, self.swap_mib * mib) / mib


def jittered(load: Load, seed: int) -> Load:
    """The load with sizes changed by up to 3 %, in another order and rhythm; the same for the same seed.

    A pod's request changes as its sizes do, so that what it holds is covered as before.
    """
    chance = random.Random(f"{seed}/{load.name}")  # noqa: S311 - no secret

    def changed(pod: LoadPod) -> LoadPod:
        factor = 1 + chance.uniform(-0.03, 0.03)
        return msgspec.structs.replace(
            pod,
            hot_mib=pod.hot_mib * factor,
            cold_mib=pod.cold_mib * factor,
            request_mib=pod.request_mib * factor,
            overhead_mib=pod.overhead_mib * factor,
            offset_seconds=chance.uniform(0, 0.5),
        )

    pods = [changed(pod) for pod in load.pods]
    return msgspec.structs.replace(load, pods=tuple(sorted(pods, key=lambda pod: pod.offset_seconds)))
