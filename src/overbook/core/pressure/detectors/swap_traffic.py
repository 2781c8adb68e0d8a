"""The detector `swapTraffic`: pages are swapped out and come back, again and again.

Pages count wherever they go: to a disk, into zswap, or nowhere because they are full of zeros. The document's
thresholds are pages of 4 KiB; on a kernel with pages of 64 KiB the same number is 16 times the bytes, so that
thresholds in bytes can be set instead.

The kernel counts traffic for the node. It is a cgroup's where most of what comes back is memory from below
it.

Source: *Configuring higher VM workload density* 5.5.3.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors.detector import Detector, DetectorOption, Figure, Reading
from overbook.core.pressure.detectors.ranges import check_least, check_window
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation

DOCUMENTED_PAGES_PER_SECOND: Final = 1000.0
MOST_SHARE: Final = 0.5
"""The share of the node's swap-in from which a cgroup's own refaults make the traffic its own."""
MIB: Final = 1 << 20


class SwapTraffic(Detector, frozen=True, kw_only=True, tag="swapTraffic"):
    """Average swap-in **and** average swap-out are above their thresholds."""

    reclaim_may_help: ClassVar = False
    options: ClassVar = (
        DetectorOption(
            "max_average_swap_in_pages_per_second", "in_pages_per_second", "N", "in_bytes_per_second"
        ),
        DetectorOption(
            "max_average_swap_out_pages_per_second", "out_pages_per_second", "N", "out_bytes_per_second"
        ),
        DetectorOption("average_window_size_seconds", "window_seconds", "SECONDS"),
    )

    in_pages_per_second: float | None = None
    out_pages_per_second: float | None = None
    window_seconds: float = 30.0
    in_bytes_per_second: float | None = None
    out_bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        """Use the documented thresholds where none is set."""
        for pages, size in (
            ("in_pages_per_second", self.in_bytes_per_second),
            ("out_pages_per_second", self.out_bytes_per_second),
        ):
            if size is None and getattr(self, pages) is None:
                msgspec.structs.force_setattr(self, pages, DOCUMENTED_PAGES_PER_SECOND)

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        there = _threshold(self.in_pages_per_second, self.in_bytes_per_second, " pages/s")
        unit = "" if self.in_bytes_per_second is None else " pages/s"
        back = _threshold(self.out_pages_per_second, self.out_bytes_per_second, unit)
        return f"swap traffic above {there} in and {back} out for {self.window_seconds:g} s"

    def read(self, seen: Situation) -> Reading:
        """Read both averages."""
        # Traffic before the first sample counts as none: the first seconds of swapping are no average of 30.
        swap_in = seen.history.per_second_of_window("swap_in_pages", self.window_seconds)
        swap_out = seen.history.per_second_of_window("swap_out_pages", self.window_seconds)
        if swap_in is None or swap_out is None:
            return Reading(False, "swap traffic is not known yet", {})
        page = seen.whole_node.page_bytes
        both = swap_in > self._in_pages(page) and swap_out > self._out_pages(page)
        return Reading(
            both and (seen.is_whole or self._is_of_domain(seen)),
            f"{swap_in:.0f} pages/s swapped in and {swap_out:.0f} out over {self.window_seconds:g} s "
            f"({swap_in * page / MIB:.1f} and {swap_out * page / MIB:.1f} MiB/s)",
            {"swapInPagesPerSecond": swap_in, "swapOutPagesPerSecond": swap_out},
        )

    def _in_pages(self, page_bytes: int) -> float:
        """The threshold of swap-in in pages per second."""
        return _pages(self.in_pages_per_second, self.in_bytes_per_second, page_bytes)

    def _out_pages(self, page_bytes: int) -> float:
        """The threshold of swap-out in pages per second."""
        return _pages(self.out_pages_per_second, self.out_bytes_per_second, page_bytes)

    def _is_of_domain(self, seen: Situation) -> bool:
        """Whether most of the pages that come back are memory from below the domain's cgroup."""
        path, window = seen.domain.path, self.window_seconds
        if path is None:
            return True
        of_node = seen.history.per_second("swap_in_pages", window, 0)
        back = seen.history.limit_per_second(path, "refaults", window, 0)
        return back is not None and of_node is not None and back >= of_node * MOST_SHARE

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield each direction, and the lower of both."""
        swap_in, swap_out = numbers["swapInPagesPerSecond"], numbers["swapOutPagesPerSecond"]
        wanted_in, wanted_out = self._in_pages(node.page_bytes), self._out_pages(node.page_bytes)
        if self.in_bytes_per_second is None:
            yield Figure("inPagesPerSecond", swap_in, wanted_in)
        else:
            yield Figure("inBytesPerSecond", swap_in * node.page_bytes, self.in_bytes_per_second)
        if self.out_bytes_per_second is None:
            yield Figure("outPagesPerSecond", swap_out, wanted_out)
        else:
            yield Figure("outBytesPerSecond", swap_out * node.page_bytes, self.out_bytes_per_second)
        # Both have to be above, so this is the highest common threshold at which the rule would have fired.
        lower = min(wanted_in, wanted_out)
        yield Figure("lowerOfBothPagesPerSecond", min(swap_in, swap_out), lower)

    def check(self) -> None:
        """Refuse negative rates, a rate in pages and in bytes, and a window outside 1 s to 1 h."""
        for name, pages, size in (
            ("in", self.in_pages_per_second, self.in_bytes_per_second),
            ("out", self.out_pages_per_second, self.out_bytes_per_second),
        ):
            if pages is not None and size is not None:
                raise InvalidInput(
                    f"swapTraffic.{name}BytesPerSecond", size, f"one of it and {name}PagesPerSecond, not both"
                )
            if pages is not None:
                check_least(f"swapTraffic.{name}PagesPerSecond", pages, least=0)
            if size is not None:
                check_least(f"swapTraffic.{name}BytesPerSecond", size, least=0)
        check_window("swapTraffic.windowSeconds", self.window_seconds)


def _pages(pages: float | None, size: float | None, page_bytes: int) -> float:
    if size is not None:
        return size / page_bytes
    return DOCUMENTED_PAGES_PER_SECOND if pages is None else pages


def _threshold(pages: float | None, size: float | None, unit: str) -> str:
    if size is not None:
        return f"{size / MIB:g} MiB/s"
    return f"{_pages(pages, None, 1):g}{unit}"
