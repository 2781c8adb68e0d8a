"""When a node is in trouble: rules named by sentences, each OR of groups, each AND of detectors.

Two of the shipped rules are documented, in *Configuring higher VM workload density* 5.5.3. The third, on
memory pressure, is ours; see ``docs/rules/pressure.md``.
"""

from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors import AnyDetector
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.detectors.ranges import check_least, check_window
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.detectors.swap_traffic import SwapTraffic

Rank = Literal["culprit", "original"]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Detectors that must all hold."""

    all: tuple[AnyDetector, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reason to act: any of its groups holds.

    Attributes:
        any: its groups.
        name: a sentence for people; empty: the conditions themselves.
    """

    any: tuple[Group, ...]
    name: str = ""

    @property
    def title(self) -> str:
        """Its name, or what it asks."""
        return self.name or ", or ".join(" with ".join(d.condition for d in g.all) for g in self.any)

    @property
    def is_pressure(self) -> bool:
        """Whether it is about stalls: only then may pushing out more memory help."""
        return all(d.is_about_stalls for group in self.any for d in group.all)


class Ruleset(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All rules, and who goes first.

    Attributes:
        rules: looked at in order; the first that holds gives the decision its name.
        rank: the order of candidates.
        rank_window_seconds: over which growth and refaults are compared.
        settle_seconds: after a guest went, how long its effect is given to show.
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
        """Refuse what cannot work.

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
        Rule(any=(Group(all=(MemoryPressure(), LowMemory())),)),
        Rule(any=(Group(all=(SwapTraffic(),)),)),
        Rule(any=(Group(all=(SwapOccupancy(),)),)),
    )
)
"""The three rules that Overbook ships."""
