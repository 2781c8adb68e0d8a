"""What samples mean: occupancy, rates and shares, per node and per pod. Pure functions of samples.

A counter that went backwards, a clock that jumped or a file that could not be read make a value ``None``
("not known"), and what is not known never makes a rule fire.
"""

from collections.abc import Mapping, Sequence

import msgspec

from overbook.core.pressure.sample import NodeSample, PodSample, Sample


class NodeModel(msgspec.Struct, frozen=True, gc=False):
    """The node now.

    Attributes:
        memory_total_bytes: RAM.
        memory_available_bytes: what can be had without swapping, the kernel's own estimate.
        working_set_bytes: RAM that is not available.
        swap_total_bytes: swap, 0 where there is none.
        swap_used_bytes: swap in use.
    """

    memory_total_bytes: int
    memory_available_bytes: int | None
    working_set_bytes: int | None
    swap_total_bytes: int
    swap_used_bytes: int

    @property
    def swap_free_bytes(self) -> int:
        """Swap that nobody uses."""
        return self.swap_total_bytes - self.swap_used_bytes


class PodModel(msgspec.Struct, frozen=True, gc=False):
    """A pod now, and what it did in the window.

    Attributes:
        uid: its UID.
        working_set_bytes: memory in use without inactive file pages.
        swappable_bytes: anonymous and shared memory in RAM: what could be swapped out.
        swap_bytes: swap in use.
        swap_room_bytes: what its containers may still swap out; ``None``: no limit.
        growth_bytes: by how much memory and swap together grew in the window, 0 where they shrank.
        refaults: pages of its that came back from swap in the window.
        containers: the containers' numbers, for rules that look inside.
    """

    uid: str
    working_set_bytes: int
    swappable_bytes: int
    swap_bytes: int
    swap_room_bytes: int | None
    growth_bytes: int
    refaults: int
    containers: tuple[tuple[str, int, int], ...] = ()

    @property
    def swap_max_bytes(self) -> int | None:
        """What its containers may swap together; ``None``: no limit."""
        return None if self.swap_room_bytes is None else self.swap_bytes + self.swap_room_bytes

    @property
    def usage_bytes(self) -> int:
        """Memory and swap together: what the pod holds of the node."""
        return self.working_set_bytes + self.swap_bytes


def node_model(node: NodeSample) -> NodeModel:
    """The node's sizes. A swap that reports more free than total (as seen on some kernels) is empty."""
    total, available = node.memory_total_bytes, node.memory_available_bytes
    swap_total = node.swap_total_bytes or 0
    swap_free = min(swap_total, node.swap_free_bytes if node.swap_free_bytes is not None else swap_total)
    return NodeModel(
        memory_total_bytes=total,
        memory_available_bytes=None if available is None else min(available, total),
        working_set_bytes=None if available is None else max(0, total - available),
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_total - swap_free,
    )


def increase(earlier: int | None, later: int | None) -> int | None:
    """How much a counter grew; ``None`` where that is not known, a counter that went backwards included."""
    if earlier is None or later is None or later < earlier:
        return None
    return later - earlier


def pod_models(window: Sequence[Sample]) -> dict[str, PodModel]:
    """Each pod of the newest sample, compared with the oldest sample of the window that has it.

    Args:
        window: samples, oldest first, at least one.
    """
    first_seen: dict[str, PodSample] = {}
    for sample in window:
        for pod in sample.pods:
            first_seen.setdefault(pod.uid, pod)
    return {pod.uid: _pod_model(first_seen[pod.uid], pod) for pod in window[-1].pods}


def _pod_model(before: PodSample, now: PodSample) -> PodModel:
    earlier = {container.name: container for container in before.containers}
    working_set = swappable = swap = refaults = growth = 0
    room: int | None = 0
    parts: list[tuple[str, int, int]] = []
    for container in now.containers:
        mine = max(0, container.memory_current_bytes - container.inactive_file_bytes)
        working_set += mine
        swappable += container.swappable_bytes
        swap += container.swap_current_bytes
        parts.append((container.name, mine, container.swap_current_bytes))
        if container.swap_max_bytes is None:
            room = None
        elif room is not None:
            room += max(0, container.swap_max_bytes - container.swap_current_bytes)
        old = earlier.get(container.name)
        if old is None:
            continue
        refaults += increase(old.refaults, container.refaults) or 0
        was = max(0, old.memory_current_bytes - old.inactive_file_bytes) + old.swap_current_bytes
        growth += mine + container.swap_current_bytes - was
    return PodModel(now.uid, working_set, swappable, swap, room, max(0, growth), refaults, tuple(parts))


def shares(numbers: Mapping[str, int]) -> dict[str, float]:
    """Each key's share (0–1) of the sum; all 0 where the sum is 0."""
    whole = sum(numbers.values())
    return {key: number / whole if whole > 0 else 0.0 for key, number in numbers.items()}
