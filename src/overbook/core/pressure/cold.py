"""Cold memory: which pods' memory is swapped out first, and how much of it may be.

Only memory of pods that may swap, never above an allowance, and never what the kubelet protects by
``memory.min`` or ``memory.low``: the kernel would do so, because a cgroup's own protection does not hold
against its own ``memory.reclaim``. Which pages of a pod are cold is the kernel's
choice; which pods are cold shows in what comes back.
"""

from collections.abc import Callable, Collection
from typing import Final

from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import whole_pages
from overbook.core.pressure.candidate import swap_room_bytes
from overbook.core.pressure.decision import ReclaimStep
from overbook.core.pressure.model import PodModel
from overbook.core.pressure.situation import Situation

RECENT_SECONDS: Final = 2.0
"""The time over which it is looked at what comes back."""
COLD_REFAULTS_PER_SECOND: Final = 20.0
"""Memory of a pod that has more refaults than this is in use; swapping it out again would not help."""
BEHIND_BYTES: Final = 8 * 2**20
"""With so much still to be written the swap disk is behind. Reclaim would then push out far more than it is
asked for: what is being written is not free yet, so the kernel goes on."""
STANDING_MICROS: Final = 300_000.0
STANDING_PAGES: Final = 50.0
"""Where work stalls for so long in a second, and fewer pages than this move, the swap disk stands still."""


def is_behind(seen: Situation) -> bool:
    """Whether the swap disk is behind or stands still, so that nothing more is pushed out."""
    if seen.whole_node.swap_writing_bytes > BEHIND_BYTES:
        return True
    stalled = seen.history.per_second("stall_some_micros", 1.0, 0.0) or 0.0
    moved = [seen.history.per_second(counter, 1.0, 0.0) for counter in ("swap_in_pages", "swap_out_pages")]
    return stalled >= STANDING_MICROS and sum(rate or 0.0 for rate in moved) < STANDING_PAGES


def may_swap(facts: PodFacts) -> bool:
    """Whether a container of the pod may swap."""
    return any(container.swap == "Eligible" for container in facts.containers)


def reclaimable_bytes(facts: PodFacts, model: PodModel) -> int:
    """How much of its memory in RAM a pod may be made to swap out now."""
    return min(swap_room_bytes(facts, model), max(0, model.swappable_bytes - model.protected_bytes))


def room_bytes(seen: Situation) -> int:
    """How much pods that may swap can still swap out, in bytes."""
    rooms = {
        uid: reclaimable_bytes(seen.facts[uid], model)
        for uid, model in seen.pods.items()
        if uid in seen.facts and may_swap(seen.facts[uid])
    }
    return min(seen.swap_rooms.together(rooms), seen.node.swap_free_bytes)


def coldest_steps(
    seen: Situation,
    wanted_bytes: int,
    most_bytes: Callable[[PodModel], int],
    without: Collection[str] = (),
) -> tuple[ReclaimStep, ...]:
    """Choose what to swap out in one tick, pod by pod, the coldest first.

    Args:
        seen: the node and its pods.
        wanted_bytes: how much in all.
        most_bytes: the most of one pod.
        without: UIDs of pods that are left alone.
    """
    recent = seen.pods_over(RECENT_SECONDS)
    cold = [
        model
        for uid, model in seen.pods.items()
        if uid in seen.facts
        and uid not in without
        and may_swap(seen.facts[uid])
        and reclaimable_bytes(seen.facts[uid], model) >= seen.node.page_bytes
        and recent[uid].refaults_per_second <= COLD_REFAULTS_PER_SECOND
    ]
    # The fewest refaults per byte first; among pods without refaults the largest, which suffers least.
    cold.sort(key=lambda model: (model.refaults / model.swappable_bytes, -model.swappable_bytes))
    steps: list[ReclaimStep] = []
    left = wanted_bytes
    rooms = dict(seen.swap_rooms.paths)
    for model in cold:
        facts, above = seen.facts[model.uid], seen.swap_rooms.above(model.uid)
        most = min(
            (left, reclaimable_bytes(facts, model), most_bytes(model), *(rooms[path] for path in above))
        )
        part = whole_pages(most, seen.node.page_bytes)
        if part > 0:
            steps.append(ReclaimStep(model.uid, facts.label, part))
            left -= part
            for path in above:
                rooms[path] -= part
    return tuple(steps)
