"""The detector `lowMemory`: it tells a node without memory from a node with a pod at its own limit.

Of a cgroup above pods that has a limit, the limit stands for the RAM.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors.detector import Detector, Figure, Reading
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation


class LowMemory(Detector, frozen=True, kw_only=True, tag="lowMemory"):
    """Little memory is available in the domain."""

    reclaim_may_help: ClassVar = True

    available_percent: float = 10.0

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return f"less than {self.available_percent:g} % of RAM available"

    def read(self, seen: Situation) -> Reading:
        """Read the available memory's share of RAM."""
        node = seen.node
        if node.memory_available_bytes is None or node.memory_total_bytes <= 0:
            return Reading(False, "available memory is not known", {})
        percent = 100 * node.memory_available_bytes / node.memory_total_bytes
        return Reading(
            percent < self.available_percent,
            f"{percent:.0f} % of {'RAM' if seen.is_whole else 'the limit'} available",
            {"availablePercent": percent},
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the share of RAM."""
        available = numbers["availablePercent"]
        yield Figure("availablePercent", available, self.available_percent, below=True)

    def check(self) -> None:
        """Refuse a percentage that is not above 0 and up to 100."""
        if not 0 < self.available_percent <= 100:
            raise InvalidInput("lowMemory.availablePercent", self.available_percent, "above 0 and up to 100")
