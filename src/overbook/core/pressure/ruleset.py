"""When a node is in trouble: rules named by sentences, each OR of groups, each AND of detectors.

The two documented conditions come from *Configuring higher VM workload density* 5.5.3, with the second
inequality the right way round (the document prints ``<``; the original agent used ``>``). The third, on
memory pressure, is ours; see ``docs/rules/pressure.md`` for its defaults and their reason.
"""

from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel

Rank = Literal["culprit", "original"]


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a detector saw.

    Attributes:
        holds: whether its condition holds; not known counts as no.
        sentence: the numbers, for people.
        numbers: the same, for programs.
    """

    holds: bool
    sentence: str
    numbers: dict[str, float]


class Detector(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="detector",
    forbid_unknown_fields=True,
):
    """One condition: ``read`` says whether it holds, ``check`` refuses settings out of range."""

    @property
    def window_seconds_needed(self) -> float:
        """How much history it looks back on."""
        return 0.0


class SwapTraffic(Detector, frozen=True, kw_only=True, tag="swapTraffic"):
    """Average swap-in **and** swap-out both above their maximum."""

    in_pages_per_second: float = 1000.0
    out_pages_per_second: float = 1000.0
    window_seconds: float = 30.0

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """What it asks, as a part of a rule's name."""
        return (
            f"swap traffic above {self.in_pages_per_second:g} pages/s in and "
            f"{self.out_pages_per_second:g} out for {self.window_seconds:g} s"
        )

    def read(self, node: NodeModel, history: History) -> Reading:
        """Compare both averages."""
        # What was before the first sample counts as none: the first seconds of swap are no average of 30.
        swap_in = history.per_second_of_window("swap_in_pages", self.window_seconds)
        swap_out = history.per_second_of_window("swap_out_pages", self.window_seconds)
        if swap_in is None or swap_out is None:
            return Reading(False, "swap traffic is not known yet", {})
        return Reading(
            swap_in > self.in_pages_per_second and swap_out > self.out_pages_per_second,
            f"{swap_in:.0f} pages/s swapped in and {swap_out:.0f} out over {self.window_seconds:g} s",
            {"swapInPagesPerSecond": swap_in, "swapOutPagesPerSecond": swap_out},
        )

    def check(self) -> None:
        """Rates must not be negative; the window is 1 s to 1 h."""
        _positive("swapTraffic.inPagesPerSecond", self.in_pages_per_second, least=0)
        _positive("swapTraffic.outPagesPerSecond", self.out_pages_per_second, least=0)
        _window("swapTraffic.windowSeconds", self.window_seconds)


class SwapOccupancy(Detector, frozen=True, kw_only=True, tag="swapOccupancy"):
    """Working set and used swap together above RAM plus a part of the swap."""

    threshold_factor: float = 0.8

    @property
    def condition(self) -> str:
        """What it asks, as a part of a rule's name."""
        return f"memory and swap in use above RAM plus {100 * self.threshold_factor:g} % of swap"

    def read(self, node: NodeModel, history: History) -> Reading:
        """``working set + swap used > RAM + swap × factor``."""
        if node.working_set_bytes is None or node.swap_total_bytes == 0:
            return Reading(False, "there is no swap to fill", {})
        used = node.working_set_bytes + node.swap_used_bytes
        threshold = node.memory_total_bytes + int(node.swap_total_bytes * self.threshold_factor)
        return Reading(
            used > threshold,
            f"{used / 2**20:.0f} MiB of memory and swap in use, threshold {threshold / 2**20:.0f} MiB",
            {"usedBytes": used, "thresholdBytes": threshold},
        )

    def check(self) -> None:
        """The factor is 0 to 1."""
        if not 0 <= self.threshold_factor <= 1:
            raise InvalidInput("swapOccupancy.thresholdFactor", self.threshold_factor, "a number from 0 to 1")


class MemoryPressure(Detector, frozen=True, kw_only=True, tag="memoryPressure"):
    """Everything that could run stalls on memory (PSI ``full``) for a part of the window."""

    full_percent: float = 30.0
    window_seconds: float = 2.0

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """What it asks, as a part of a rule's name."""
        return f"all work stalled on memory {self.full_percent:g} % of {self.window_seconds:g} s"

    def read(self, node: NodeModel, history: History) -> Reading:
        """The kernel's ``full total``, not its ``avg10``, which lags by seconds."""
        rate = history.per_second("stall_full_micros", self.window_seconds, self.window_seconds)
        if rate is None:
            return Reading(False, "memory pressure is not known yet", {})
        percent = rate / 10_000
        return Reading(
            percent >= self.full_percent,
            f"all work stalled on memory {percent:.0f} % of {self.window_seconds:g} s",
            {"fullPercent": percent},
        )

    def check(self) -> None:
        """A percentage above 0 and up to 100; the window is 1 s to 1 h."""
        if not 0 < self.full_percent <= 100:
            raise InvalidInput("memoryPressure.fullPercent", self.full_percent, "above 0 and up to 100")
        _window("memoryPressure.windowSeconds", self.window_seconds)


class LowMemory(Detector, frozen=True, kw_only=True, tag="lowMemory"):
    """Little memory is available on the node: tells a starved node from a guest that hit its own limit."""

    available_percent: float = 10.0

    @property
    def condition(self) -> str:
        """What it asks, as a part of a rule's name."""
        return f"less than {self.available_percent:g} % of RAM available"

    def read(self, node: NodeModel, history: History) -> Reading:
        """Available memory's share of RAM."""
        if node.memory_available_bytes is None or node.memory_total_bytes <= 0:
            return Reading(False, "available memory is not known", {})
        percent = 100 * node.memory_available_bytes / node.memory_total_bytes
        return Reading(
            percent < self.available_percent,
            f"{percent:.0f} % of RAM available",
            {"availablePercent": percent},
        )

    def check(self) -> None:
        """A percentage above 0 and up to 100."""
        if not 0 < self.available_percent <= 100:
            raise InvalidInput("lowMemory.availablePercent", self.available_percent, "above 0 and up to 100")


AnyDetector = SwapTraffic | SwapOccupancy | MemoryPressure | LowMemory


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
        return all(isinstance(d, MemoryPressure | LowMemory) for group in self.any for d in group.all)


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
        _window("rankWindowSeconds", self.rank_window_seconds, most=120)
        _positive("settleSeconds", self.settle_seconds, least=0)

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


def _positive(where: str, value: float, *, least: float) -> None:
    if not least <= value < float("inf"):
        raise InvalidInput(where, value, f"a number from {least:g}")


def _window(where: str, value: float, most: float = 3600) -> None:
    if not 1 <= value <= most:
        raise InvalidInput(where, value, f"1 to {most:g} seconds")
