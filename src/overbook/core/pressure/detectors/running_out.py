"""The detector `runningOut`: what the node can still give is less than what pods take until one is gone.

An exhausted node need not stall: a pod that leaks cold memory pushes it out without a wait, until swap or the
allowances are used up and the kernel's OOM killer chooses. An eviction takes time, so it has to begin before.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from overbook.core.pressure.candidate import covered_bytes, margin_bytes, swap_room_bytes
from overbook.core.pressure.detectors.detector import Detector, Figure, Reading
from overbook.core.pressure.detectors.ranges import check_least, check_window
from overbook.core.pressure.model import NodeModel, PodModel
from overbook.core.pressure.situation import Situation

LONG_SECONDS: Final = 1e9
"""The time that is left where no pod grows."""


class RunningOut(Detector, frozen=True, kw_only=True, tag="runningOut"):
    """Available memory and room in swap are less than pods take within the time that an eviction needs.

    A pod within its covered memory counts with no more than what it is still covered for: a start or a burst
    that fits ends there.
    """

    reclaim_may_help: ClassVar = False

    within_seconds: float = 10.0
    window_seconds: float = 3.0

    @property
    def window_seconds_needed(self) -> float:
        """The window over which growth is measured."""
        return self.window_seconds

    @property
    def urgent_seconds(self) -> float:
        """The time that an eviction takes."""
        return self.within_seconds

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return f"memory and swap run out within {self.within_seconds:g} s"

    def read(self, seen: Situation) -> Reading:
        """Read the room that is left, and how much of it the growing pods take."""
        available = seen.node.memory_available_bytes
        pods = seen.pods_over(self.window_seconds)
        if available is None or not any(model.seconds >= self.window_seconds / 2 for model in pods.values()):
            return Reading(False, "growth is not known yet", {})
        rooms = {uid: swap_room_bytes(seen.facts[uid], model) for uid, model in pods.items()}
        swap = min(seen.node.swap_free_bytes, seen.swap_rooms.together(rooms))
        room = available + swap + _cached_bytes(seen, pods)
        taken = growth = 0.0
        for uid, model in pods.items():
            if model.seconds < self.window_seconds / 2:
                continue
            covered = covered_bytes(seen.facts[uid], model)
            left = covered + margin_bytes(covered) - model.lasting_bytes
            more = model.growth_bytes_per_second * self.within_seconds
            growth += model.growth_bytes_per_second
            taken += min(more, left) if left > 0 else more
        return Reading(
            taken > room,
            f"{room / 2**20:.0f} MiB of memory and swap are left, and pods take {growth / 2**20:.1f} MiB/s",
            {
                "roomBytes": room,
                "takenBytes": taken,
                "secondsLeft": self.within_seconds * room / taken if taken > 0 else LONG_SECONDS,
            },
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the seconds until the room is used up, as far as pods go on."""
        if numbers["takenBytes"] > 0:
            yield Figure("withinSeconds", numbers["secondsLeft"], self.within_seconds, below=True)

    def check(self) -> None:
        """Refuse a negative time, and a window outside 1 s to 1 min."""
        check_least("runningOut.withinSeconds", self.within_seconds, least=0)
        check_window("runningOut.windowSeconds", self.window_seconds, most=60)


def _cached_bytes(seen: Situation, pods: Mapping[str, PodModel]) -> int:
    """The swap cache that the kernel can free: it has its place in swap and is written.

    Of a pod that is at its swap limit the kernel scans no anonymous memory at all, swap cache included.
    """
    cached = sum(model.swap_cached_bytes for model in pods.values() if model.swap_room_bytes != 0)
    return max(0, cached - seen.node.swap_writing_bytes)
