"""The domains of shortage: the node, and each cgroup above pods whose limit is below the node's memory.

Memory can be short below a cgroup while the node has some: the kubelet limits all pods together
(``kubepods``), and QoS classes can be limited, too. The kernel then reclaims and kills below that cgroup
only, and MemAvailable of the node does not fall. So the rules look at every domain, the tightest first; its
limit stands for the RAM.

Swap is limited along the whole path to the root: a pod has the room of the narrowest cgroup above it.

Source: the kernel's ``Documentation/admin-guide/cgroup-v2.rst``, memory.max, memory.swap.max.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from overbook.core.pressure.model import NodeModel, is_below, node_model
from overbook.core.pressure.sample import LimitSample, Sample

SHORT_SHARE: Final = 0.01
"""Of a cgroup's page cache the part that counts as in use is at most this share of its limit. The kernel's
estimate for the node leaves out half of the page cache, or its low watermark, whichever is less."""
GIB: Final = 1 << 30


class ShortageDomain(msgspec.Struct, frozen=True, gc=False):
    """Memory with a limit of its own, and the pods in it.

    Attributes:
        path: the cgroup's path; ``None``: the node.
        label: its name for people.
        sizes: its sizes; the limit stands for the RAM.
    """

    path: str | None
    label: str
    sizes: NodeModel

    @property
    def available_share(self) -> float:
        """The available share of the limit, 0-1; 1 where it is not known."""
        available, total = self.sizes.memory_available_bytes, self.sizes.memory_total_bytes
        return 1.0 if available is None or total <= 0 else available / total

    def sentence(self, node: NodeModel) -> str:
        """The domain's memory beside the node's, for people.

        Args:
            node: the node's sizes.
        """
        left, limit = self.sizes.memory_available_bytes or 0, shown(self.sizes.memory_total_bytes)
        has = f"{self.label} is at its limit of {limit}"
        if left * 100 >= self.sizes.memory_total_bytes:
            has = f"{self.label} has {shown(left)} left of its limit of {limit}"
        if node.memory_available_bytes is None:
            return has
        return f"{has}; the node itself has {shown(node.memory_available_bytes)}"


class SwapRooms:
    """How much more can be swapped below each limited cgroup.

    Args:
        sample: the newest sample.
    """

    def __init__(self, sample: Sample) -> None:
        self._rooms = {
            limit.path: max(0, limit.swap_max_bytes - (limit.swap_current_bytes or 0))
            for limit in sample.limits
            if limit.swap_max_bytes is not None
        }
        self._below = {pod.uid: pod.below for pod in sample.pods} if self._rooms else {}

    @property
    def paths(self) -> Mapping[str, int]:
        """The room of each cgroup that limits swap, by its path."""
        return self._rooms

    def above(self, uid: str) -> tuple[str, ...]:
        """Return the paths of the cgroups above a pod that limit swap."""
        below = self._below.get(uid)
        return () if below is None else tuple(path for path in self._rooms if is_below(below, path))

    def least(self, path: str | None) -> int | None:
        """Return the least room from a cgroup up to the root; ``None``: nothing limits it."""
        if path is None:
            return None
        return min((room for above, room in self._rooms.items() if is_below(path, above)), default=None)

    def together(self, rooms: Mapping[str, int]) -> int:
        """Return how much pods can swap together.

        Args:
            rooms: how much each pod could swap by itself, by UID.
        """
        if not self._rooms:
            return sum(rooms.values())
        sums: dict[str | None, int] = {}
        for uid, room in rooms.items():
            place = self._parent(self._below.get(uid), itself=True)
            sums[place] = sums.get(place, 0) + room
        for path in sorted(self._rooms, key=_depth, reverse=True):
            place = self._parent(path, itself=False)
            sums[place] = sums.get(place, 0) + min(self._rooms[path], sums.pop(path, 0))
        return sums.get(None, 0)

    def _parent(self, path: str | None, *, itself: bool) -> str | None:
        """The nearest cgroup at or above a path that limits swap."""
        if path is None:
            return None
        above = [each for each in self._rooms if is_below(path, each) and (itself or each != path)]
        return max(above, key=_depth, default=None)


def domains(sample: Sample, swap_bytes: Mapping[str, int]) -> tuple[ShortageDomain, ...]:
    """Return the domains of a node, the one with the least available share first; the node is always there.

    Args:
        sample: the newest sample.
        swap_bytes: the swap that each pod uses, by UID, for a kernel that does not count it by cgroup.
    """
    node = node_model(sample.node)
    whole = ShortageDomain(None, "the node", node)
    if not sample.limits:
        return (whole,)
    return tuple(sorted((whole, *_limited(sample, node, swap_bytes)), key=lambda each: each.available_share))


def shown(size_bytes: int) -> str:
    """A size in GiB or MiB, short."""
    return f"{size_bytes / GIB:.1f}Gi" if size_bytes >= GIB else f"{size_bytes / 2**20:.0f}Mi"


def _limited(sample: Sample, node: NodeModel, swap_bytes: Mapping[str, int]) -> Iterator[ShortageDomain]:
    rooms = SwapRooms(sample)
    for limit in sample.limits:
        total, current = limit.memory_max_bytes, limit.memory_current_bytes
        if limit.kind == "pod" or total is None or current is None or total >= node.memory_total_bytes:
            continue
        available = min(total, max(0, total - current + _cache_bytes(limit, total)))
        used = limit.swap_current_bytes
        if used is None:
            used = sum(swap_bytes.get(pod.uid, 0) for pod in sample.pods if _holds(limit.path, pod.below))
        least = rooms.least(limit.path)
        free = node.swap_free_bytes if least is None else min(least, node.swap_free_bytes)
        yield ShortageDomain(
            limit.path,
            _label(limit),
            NodeModel(
                memory_total_bytes=total,
                memory_available_bytes=available,
                working_set_bytes=total - available,
                swap_total_bytes=used + free,
                swap_used_bytes=used,
                swap_cached_bytes=limit.swap_cached_bytes,
                swap_writing_bytes=min(limit.swap_cached_bytes, node.swap_writing_bytes),
                page_bytes=node.page_bytes,
            ),
        )


def held_uids(sample: Sample, path: str | None) -> frozenset[str] | None:
    """Return the UIDs of the pods below a cgroup; ``None``: all."""
    if path is None:
        return None
    return frozenset(pod.uid for pod in sample.pods if _holds(path, pod.below))


def _holds(path: str, below: str | None) -> bool:
    return below is not None and is_below(below, path)


def _cache_bytes(limit: LimitSample, total: int) -> int:
    """What the kernel can drop below the cgroup without swapping."""
    found = 0
    for cache in (limit.inactive_file_bytes + limit.active_file_bytes, limit.slab_reclaimable_bytes):
        found += cache - min(cache // 2, int(total * SHORT_SHARE))
    return found


def _label(limit: LimitSample) -> str:
    if limit.kind in {"Burstable", "BestEffort", "Guaranteed"}:
        return f"QoS class {limit.kind}"
    return limit.path.rpartition("/")[2].removesuffix(".slice") or "the container that the node is"


def _depth(path: str) -> int:
    return path.count("/") + 1 if path else 0
