"""The detector `memoryPressure`: work stalls on memory.

Source: the kernel's ``Documentation/accounting/psi.rst``. ``docs/rules/pressure.md`` gives the reasons for
the defaults.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors.detector import Detector, Figure, Reading
from overbook.core.pressure.detectors.ranges import check_window
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation


class MemoryPressure(Detector, frozen=True, kw_only=True, tag="memoryPressure"):
    """All work of the domain that could run stalls on memory (PSI ``full``) for a share of the window."""

    reclaim_may_help: ClassVar = True

    full_percent: float = 30.0
    window_seconds: float = 2.0

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return f"all work stalled on memory {self.full_percent:g} % of {self.window_seconds:g} s"

    def read(self, seen: Situation) -> Reading:
        """Read the kernel's ``full total``, not its ``avg10``, which lags by seconds."""
        rate = seen.stalls_per_second(self.window_seconds)
        if rate is None:
            return Reading(False, "memory pressure is not known yet", {})
        percent = rate / 10_000
        return Reading(
            percent >= self.full_percent,
            f"all work stalled on memory {percent:.0f} % of {self.window_seconds:g} s",
            {"fullPercent": percent},
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the share of the window."""
        yield Figure("fullPercent", numbers["fullPercent"], self.full_percent)

    def check(self) -> None:
        """Refuse a percentage that is not above 0 and up to 100, and a window outside 1 s to 1 h."""
        if not 0 < self.full_percent <= 100:
            raise InvalidInput("memoryPressure.fullPercent", self.full_percent, "above 0 and up to 100")
        check_window("memoryPressure.windowSeconds", self.window_seconds)
