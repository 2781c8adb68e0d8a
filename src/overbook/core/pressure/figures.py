"""How near a recording came to each rule: numbers for choosing thresholds."""

import msgspec

from overbook.core.pressure.ruleset import Rule
from overbook.core.pressure.situation import Situation


class Peak(msgspec.Struct, gc=False, rename="camel"):
    """The worst value of one number of a rule over a recording.

    Attributes:
        name: the number's name, which is the setting's.
        threshold: the value at which the detector's condition holds.
        below: whether values below the threshold are the bad ones, so that the worst is the least.
        value: the worst value; ``None``: it was never known.
        seconds: when the worst value was read, since the first sample.
        value_with_rest: the worst value while all other detectors of its group held; ``None``: they never
            did.
    """

    name: str
    threshold: float
    below: bool = False
    value: float | None = None
    seconds: float = 0.0
    value_with_rest: float | None = None

    def take(self, value: float, seconds: float, *, rest_holds: bool) -> None:
        """Add one reading."""
        if self.value is None or (value < self.value if self.below else value > self.value):
            self.value, self.seconds = value, seconds
        if rest_holds:
            worst_with_rest = self.value_with_rest
            if worst_with_rest is None or (
                value < worst_with_rest if self.below else value > worst_with_rest
            ):
                self.value_with_rest = value


class RuleFigures(msgspec.Struct, gc=False, rename="camel"):
    """One rule over a whole recording.

    Attributes:
        rule: the rule's name.
        samples_held: the number of samples in which the rule fired.
        first_held_seconds: when it first fired, since the first sample; ``None``: never.
        peaks: the worst value of each of its numbers.
    """

    rule: str
    samples_held: int = 0
    first_held_seconds: float | None = None
    peaks: list[Peak] = []


class RuleWatch:
    """Collects a rule's figures, sample by sample.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._peaks: dict[tuple[int, int, str], Peak] = {}
        self._figures = RuleFigures(rule.title)

    @property
    def figures(self) -> RuleFigures:
        """The figures so far, in the order of the rule's detectors."""
        in_order = [peak for _, peak in sorted(self._peaks.items(), key=lambda item: item[0][:2])]
        return msgspec.structs.replace(self._figures, peaks=in_order)

    def take(self, seconds: float, seen: Situation) -> None:
        """Read a situation."""
        held = False
        for place, group in enumerate(self._rule.any):
            readings = [detector.read(seen) for detector in group.all]
            failing = [number for number, reading in enumerate(readings) if not reading.holds]
            held = held or not failing
            for number, (detector, reading) in enumerate(zip(group.all, readings, strict=True)):
                if not reading.numbers:
                    continue
                for name, value, threshold, below in detector.figures(reading.numbers, seen.node):
                    peak = self._peaks.get((place, number, name))
                    if peak is None:
                        peak = self._peaks[place, number, name] = Peak(name, threshold, below)
                    peak.take(value, seconds, rest_holds=not failing or failing == [number])
        if held:
            self._figures.samples_held += 1
            if self._figures.first_held_seconds is None:
                self._figures.first_held_seconds = seconds
