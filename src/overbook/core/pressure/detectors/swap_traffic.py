"""The detector `swapTraffic`: pages are swapped out and come back, again and again.

Source: *Configuring higher VM workload density* 5.5.3.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from overbook.core.pressure.detectors.detector import Detector, DetectorOption, Figure, Reading
from overbook.core.pressure.detectors.ranges import check_least, check_window
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation


class SwapTraffic(Detector, frozen=True, kw_only=True, tag="swapTraffic"):
    """Average swap-in **and** average swap-out are above their thresholds."""

    reclaim_may_help: ClassVar = False
    options: ClassVar = (
        DetectorOption("max_average_swap_in_pages_per_second", "in_pages_per_second", "N"),
        DetectorOption("max_average_swap_out_pages_per_second", "out_pages_per_second", "N"),
        DetectorOption("average_window_size_seconds", "window_seconds", "SECONDS"),
    )

    in_pages_per_second: float = 1000.0
    out_pages_per_second: float = 1000.0
    window_seconds: float = 30.0

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return (
            f"swap traffic above {self.in_pages_per_second:g} pages/s in and "
            f"{self.out_pages_per_second:g} out for {self.window_seconds:g} s"
        )

    def read(self, seen: Situation) -> Reading:
        """Read both averages."""
        # Traffic before the first sample counts as none: the first seconds of swapping are no average of 30.
        swap_in = seen.history.per_second_of_window("swap_in_pages", self.window_seconds)
        swap_out = seen.history.per_second_of_window("swap_out_pages", self.window_seconds)
        if swap_in is None or swap_out is None:
            return Reading(False, "swap traffic is not known yet", {})
        return Reading(
            swap_in > self.in_pages_per_second and swap_out > self.out_pages_per_second,
            f"{swap_in:.0f} pages/s swapped in and {swap_out:.0f} out over {self.window_seconds:g} s",
            {"swapInPagesPerSecond": swap_in, "swapOutPagesPerSecond": swap_out},
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield each direction, and the lower of both."""
        swap_in, swap_out = numbers["swapInPagesPerSecond"], numbers["swapOutPagesPerSecond"]
        yield Figure("inPagesPerSecond", swap_in, self.in_pages_per_second)
        yield Figure("outPagesPerSecond", swap_out, self.out_pages_per_second)
        # Both have to be above, so this is the highest common threshold at which the rule would have fired.
        lower = min(self.in_pages_per_second, self.out_pages_per_second)
        yield Figure("lowerOfBothPagesPerSecond", min(swap_in, swap_out), lower)

    def check(self) -> None:
        """Refuse negative rates, and a window outside 1 s to 1 h."""
        check_least("swapTraffic.inPagesPerSecond", self.in_pages_per_second, least=0)
        check_least("swapTraffic.outPagesPerSecond", self.out_pages_per_second, least=0)
        check_window("swapTraffic.windowSeconds", self.window_seconds)
