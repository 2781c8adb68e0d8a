"""The model of a node and its pods, computed from samples: sizes, growth, refaults and shares.

A counter that went backwards, a clock that jumped or a file that could not be read make a value ``None``
("not known"). What is not known never makes a rule fire.
"""

from collections.abc import Mapping, Sequence

import msgspec

from overbook.core.overcommit.swap import ordinary_bytes
from overbook.core.pressure.holdings import holdings_bytes
from overbook.core.pressure.sample import ContainerSample, LimitSample, NodeSample, PodSample, Sample


class NodeModel(msgspec.Struct, frozen=True, gc=False):
    """The sizes of a node, or of a cgroup above pods whose limit stands for the RAM, in one sample.

    Attributes:
        memory_total_bytes: RAM without the huge pages that were set aside; of a cgroup its limit.
        memory_available_bytes: memory that can be used without swapping, as the kernel estimates it.
        working_set_bytes: RAM minus available memory.
        swap_total_bytes: swap, in use or free; 0 if the node has none.
        swap_used_bytes: swap in use.
        swap_cached_bytes: memory that is in RAM and in swap.
        swap_writing_bytes: the part of it that is still being written, at most: it cannot be had yet.
        hugetlb_bytes: the huge pages that were set aside.
        page_bytes: the kernel's page size.
    """

    memory_total_bytes: int
    memory_available_bytes: int | None
    working_set_bytes: int | None
    swap_total_bytes: int
    swap_used_bytes: int
    swap_cached_bytes: int = 0
    swap_writing_bytes: int = 0
    hugetlb_bytes: int = 0
    page_bytes: int = 4096

    @property
    def installed_bytes(self) -> int:
        """RAM, huge pages included: MemTotal."""
        return self.memory_total_bytes + self.hugetlb_bytes

    @property
    def swap_free_bytes(self) -> int:
        """Swap that is free."""
        return self.swap_total_bytes - self.swap_used_bytes

    @property
    def holdings_bytes(self) -> int | None:
        """The working set and the swap in use, counted once; ``None``: not known."""
        if self.working_set_bytes is None:
            return None
        return holdings_bytes(self.working_set_bytes, self.swap_used_bytes, self.swap_cached_bytes)


class PodModel(msgspec.Struct, frozen=True, gc=False):
    """A pod in the newest sample, and its changes over the window.

    Attributes:
        uid: the pod's UID.
        working_set_bytes: memory in use without inactive file pages.
        swappable_bytes: anonymous and shared memory in RAM, which could be swapped out.
        swap_bytes: swap in use.
        swap_room_bytes: how much more its containers may swap under their limits; ``None``: no limit.
        swap_cached_bytes: memory that is in RAM and in swap.
        cache_bytes: page cache in the working set, which the kernel drops when memory is short.
        growth_bytes: how much the holdings without page cache grew in the window; 0 if they shrank.
        refaults: pages of the pod that came back from swap in the window.
        seconds: the time between the two samples that are compared; 0: the pod has only one.
        stall_some_micros: how long at least one of its tasks stalled on memory in the window; ``None``: not
            known.
        refaults_total: pages that came back from swap since its containers started.
        containers: of each container the name, the working set, and the holdings, in bytes.
        protected_bytes: the part of the swappable memory that the kubelet protects from reclaim.
        swap_bound_bytes: the least ``memory.swap.max`` of the cgroups above its containers; ``None``: no
            limit.
    """

    uid: str
    working_set_bytes: int
    swappable_bytes: int
    swap_bytes: int
    swap_room_bytes: int | None
    swap_cached_bytes: int
    cache_bytes: int
    growth_bytes: int
    refaults: int
    seconds: float = 0.0
    stall_some_micros: int | None = None
    refaults_total: int = 0
    containers: tuple[tuple[str, int, int], ...] = ()
    protected_bytes: int = 0
    swap_bound_bytes: int | None = None

    @property
    def swap_max_bytes(self) -> int | None:
        """The swap limits of the pod's containers added up; ``None``: no limit."""
        return None if self.swap_room_bytes is None else self.swap_bytes + self.swap_room_bytes

    @property
    def usage_bytes(self) -> int:
        """The pod's holdings: its working set and its swap, counted once."""
        return holdings_bytes(self.working_set_bytes, self.swap_bytes, self.swap_cached_bytes)

    @property
    def lasting_bytes(self) -> int:
        """The holdings without page cache: what others cannot have while the pod is there."""
        return self.usage_bytes - self.cache_bytes

    @property
    def growth_bytes_per_second(self) -> float:
        """How fast the holdings grew in the window."""
        return self.growth_bytes / self.seconds if self.seconds > 0 else 0.0

    @property
    def refaults_per_second(self) -> float:
        """How fast pages came back from swap in the window."""
        return self.refaults / self.seconds if self.seconds > 0 else 0.0

    @property
    def stall_percent(self) -> float | None:
        """The share of the window in which at least one task stalled on memory; ``None``: not known."""
        if self.stall_some_micros is None or self.seconds <= 0:
            return None
        return min(100.0, self.stall_some_micros / self.seconds / 10_000)


def node_model(node: NodeSample) -> NodeModel:
    """Compute the node's sizes. Swap with more free than total (seen on some kernels) counts as empty."""
    huge = min(node.hugetlb_bytes, node.memory_total_bytes)
    total, available = ordinary_bytes(node.memory_total_bytes, huge), node.memory_available_bytes
    swap_total = node.swap_total_bytes or 0
    swap_free = min(swap_total, node.swap_free_bytes if node.swap_free_bytes is not None else swap_total)
    return NodeModel(
        memory_total_bytes=total,
        memory_available_bytes=None if available is None else min(available, total),
        working_set_bytes=None if available is None else max(0, total - available),
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_total - swap_free,
        swap_cached_bytes=node.swap_cached_bytes or 0,
        swap_writing_bytes=min(node.swap_cached_bytes or 0, node.writeback_bytes or 0),
        hugetlb_bytes=huge,
        page_bytes=node.page_bytes,
    )


def increase(earlier: int | None, later: int | None) -> int | None:
    """How much a counter grew; ``None`` if that is not known or the counter went backwards."""
    if earlier is None or later is None or later < earlier:
        return None
    return later - earlier


def pod_models(window: Sequence[Sample]) -> dict[str, PodModel]:
    """Model each pod of the newest sample, compared with the oldest sample of the window that has the pod.

    Args:
        window: at least one sample, the oldest first.
    """
    first_seen: dict[str, tuple[float, PodSample]] = {}
    for sample in window:
        for pod in sample.pods:
            if pod.uid not in first_seen:
                first_seen[pod.uid] = (sample.at_seconds, pod)
    now = window[-1].at_seconds
    bounds = _SwapBounds(window[-1].limits)
    return {
        pod.uid: _pod_model(first_seen[pod.uid], pod, now, bounds.of(pod.below)) for pod in window[-1].pods
    }


def is_below(path: str, above: str) -> bool:
    """Whether a cgroup is another one or below it."""
    return not above or path == above or path.startswith(above + "/")


class _SwapBounds:
    """How much may be swapped at most below each cgroup, whoever does.

    Args:
        limits: the limited cgroups of a sample.
    """

    def __init__(self, limits: Sequence[LimitSample]) -> None:
        self._limits = {each.path: each.swap_max_bytes for each in limits if each.swap_max_bytes is not None}
        self._known: dict[str, int | None] = {}

    def of(self, below: str | None) -> int | None:
        """Return the least limit of swap from a cgroup up to the root; ``None``: no limit."""
        if below is None or not self._limits:
            return None
        if below not in self._known:
            above = (most for path, most in self._limits.items() if is_below(below, path))
            self._known[below] = min(above, default=None)
        return self._known[below]


def recent(window: Sequence[Sample], seconds: float) -> Sequence[Sample]:
    """Return the end of a window that begins with the youngest sample at least `seconds` old."""
    for place in range(len(window) - 1, -1, -1):
        if window[-1].at_seconds - window[place].at_seconds >= seconds:
            return window[place:]
    return window


def container_holdings_bytes(container: ContainerSample) -> int:
    """Return a container's working set and swap, counted once."""
    working = max(0, container.memory_current_bytes - container.inactive_file_bytes)
    return holdings_bytes(working, container.swap_current_bytes, container.swap_cached_bytes)


def protected_bytes(container: ContainerSample) -> int:
    """Return how much of a container's swappable memory is protected; what it uses beyond is not."""
    if not container.protected_bytes:
        return 0
    beyond = max(0, container.memory_current_bytes - container.protected_bytes)
    return max(0, container.swappable_bytes - beyond)


def _lasting_bytes(container: ContainerSample, held: int) -> int:
    return held - min(held, container.active_file_bytes)


def _pod_model(
    first: tuple[float, PodSample], now: PodSample, at_seconds: float, swap_bound: int | None
) -> PodModel:
    begun, before = first
    earlier = {container.name: container for container in before.containers}
    working_set = swappable = swap = cached = cache = refaults = total = growth = protected = 0
    room: int | None = 0
    parts: list[tuple[str, int, int]] = []
    for container in now.containers:
        working = max(0, container.memory_current_bytes - container.inactive_file_bytes)
        working_set += working
        swappable += container.swappable_bytes
        protected += protected_bytes(container)
        swap += container.swap_current_bytes
        total += container.refaults
        held = container_holdings_bytes(container)
        cached += working + container.swap_current_bytes - held
        cache += min(working, container.active_file_bytes)
        parts.append((container.name, working, held))
        if container.swap_max_bytes is None:
            room = None
        elif room is not None:
            room += max(0, container.swap_max_bytes - container.swap_current_bytes)
        old = earlier.get(container.name)
        if old is None:
            continue
        refaults += increase(old.refaults, container.refaults) or 0
        growth += _lasting_bytes(container, held) - _lasting_bytes(old, container_holdings_bytes(old))
    return PodModel(
        uid=now.uid,
        working_set_bytes=working_set,
        swappable_bytes=swappable,
        swap_bytes=swap,
        swap_room_bytes=room,
        swap_cached_bytes=cached,
        cache_bytes=cache,
        growth_bytes=max(0, growth),
        refaults=refaults,
        seconds=at_seconds - begun,
        stall_some_micros=increase(before.stall_some_micros, now.stall_some_micros),
        refaults_total=total,
        containers=tuple(parts),
        protected_bytes=protected,
        swap_bound_bytes=swap_bound,
    )


def shares(numbers: Mapping[str, int]) -> dict[str, float]:
    """Compute each key's share (0–1) of the sum; all are 0 if the sum is 0."""
    whole = sum(numbers.values())
    return {key: number / whole if whole > 0 else 0.0 for key, number in numbers.items()}
