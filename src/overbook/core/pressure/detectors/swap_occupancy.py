"""The detector `swapOccupancy`: memory and swap in use are close to all that the node has.

The documented formula is about the node. Of a cgroup above pods that has a limit, the limit stands for the
RAM, and the swap is what is used below it and what it can still use.

Source: *Configuring higher VM workload density* 5.5.3, with the inequality the right way round: the document
prints ``<``; wasp-agent used ``>``.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors.detector import Detector, DetectorOption, Figure, Reading
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation


class SwapOccupancy(Detector, frozen=True, kw_only=True, tag="swapOccupancy"):
    """Working set and used swap together are above RAM plus a share of the swap."""

    reclaim_may_help: ClassVar = False
    options: ClassVar = (DetectorOption("swap_utilization_threshold_factor", "threshold_factor", "0-1"),)

    threshold_factor: float = 0.8

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return f"memory and swap in use above RAM plus {100 * self.threshold_factor:g} % of swap"

    def read(self, seen: Situation) -> Reading:
        """Read whether ``working set + swap used > RAM + swap × factor``."""
        node = seen.node
        used = node.holdings_bytes
        if used is None or node.swap_total_bytes == 0:
            return Reading(False, "there is no swap to fill", {})
        threshold = node.memory_total_bytes + int(node.swap_total_bytes * self.threshold_factor)
        return Reading(
            used > threshold,
            f"{used / 2**20:.0f} MiB of memory and swap in use, threshold {threshold / 2**20:.0f} MiB",
            {"usedBytes": used, "thresholdBytes": threshold},
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the highest factor at which the condition would have held."""
        beyond = numbers["usedBytes"] - node.memory_total_bytes
        yield Figure("thresholdFactor", beyond / node.swap_total_bytes, self.threshold_factor)

    def check(self) -> None:
        """Refuse a factor outside 0 to 1."""
        if not 0 <= self.threshold_factor <= 1:
            raise InvalidInput("swapOccupancy.thresholdFactor", self.threshold_factor, "a number from 0 to 1")
