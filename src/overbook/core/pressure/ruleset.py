"""The ruleset: rules that say when a node is under pressure. A rule fires if any of its groups holds.

Two of the shipped rules are from Red Hat's *Configuring higher VM workload density* 5.5.3. The others, on
stalls and on room that runs out, are Overbook's own; see ``docs/rules/pressure.md``.
"""

from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors import AnyDetector
from overbook.core.pressure.detectors.covered_stall import CoveredStall
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.detectors.ranges import check_least, check_window
from overbook.core.pressure.detectors.running_out import RunningOut
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.detectors.swap_traffic import SwapTraffic

Rank = Literal["culprit", "original"]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of detectors; it holds if all of them do."""

    all: tuple[AnyDetector, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule; it fires if any of its groups holds.

    Attributes:
        any: the rule's groups.
        name: a sentence for people; empty: the detectors' conditions are the name.
    """

    any: tuple[Group, ...]
    name: str = ""

    @property
    def title(self) -> str:
        """The rule's name, or its detectors' conditions."""
        return self.name or ", or ".join(" with ".join(d.condition for d in g.all) for g in self.any)

    @property
    def is_about_stalls(self) -> bool:
        """Whether the rule is about stalls only: then swapping out more cold memory may help."""
        return all(d.reclaim_may_help for group in self.any for d in group.all)

    @property
    def urgent_seconds(self) -> float:
        """The time that an eviction takes, for a rule about memory that runs out; 0: it is not about that."""
        return max((d.urgent_seconds for group in self.any for d in group.all), default=0.0)


class Ruleset(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All rules, and the rank of the candidates.

    Attributes:
        rules: the rules in order; the first one that fires gives the decision its name.
        rank: the order of candidates.
        rank_window_seconds: the window over which growth and refaults are compared.
        settle_seconds: after a pod has left, the time that its effect is given to show.
    """

    rules: tuple[Rule, ...]
    rank: Rank = "culprit"
    rank_window_seconds: float = 10.0
    settle_seconds: float = 10.0

    @property
    def window_seconds(self) -> float:
        """The longest history that a rule needs."""
        return max((d.window_seconds_needed for d in self._detectors()), default=0.0)

    def check(self) -> None:
        """Refuse a ruleset that cannot work.

        Raises:
            InvalidInput: an empty rule, a name used twice, a setting out of range.
        """
        titles = [rule.title for rule in self.rules]
        for rule in self.rules:
            if not rule.any or not all(group.all for group in rule.any):
                raise InvalidInput(
                    f"rule {rule.name!r}", rule.any, "at least one group of at least one detector"
                )
            if titles.count(rule.title) > 1:
                raise InvalidInput("ruleset", rule.title, "a different name for each rule")
        for detector in self._detectors():
            detector.check()
        check_window("rankWindowSeconds", self.rank_window_seconds, most=120)
        check_least("settleSeconds", self.settle_seconds, least=0)

    def _detectors(self) -> tuple[AnyDetector, ...]:
        return tuple(d for rule in self.rules for group in rule.any for d in group.all)


DEFAULT_RULESET: Final = Ruleset(
    rules=(
        # In this order: the pods' stalls are read only where memory is low.
        Rule(any=(Group(all=(LowMemory(), CoveredStall())),)),
        Rule(any=(Group(all=(MemoryPressure(), LowMemory())),)),
        Rule(any=(Group(all=(RunningOut(),)),)),
        Rule(any=(Group(all=(SwapTraffic(),)),)),
        Rule(any=(Group(all=(SwapOccupancy(),)),)),
    )
)
"""The ruleset with the rules that Overbook ships."""
DOCUMENTED_RULESET: Final = Ruleset(
    rules=(Rule(any=(Group(all=(SwapTraffic(),)),)), Rule(any=(Group(all=(SwapOccupancy(),)),))),
    rank="original",
)
"""The two documented rules with the order of wasp-agent, for comparison."""
