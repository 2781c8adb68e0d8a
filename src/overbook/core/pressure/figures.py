"""How near a recording came to each rule: the numbers to choose thresholds by."""

import msgspec

from overbook.core.pressure.history import History
from overbook.core.pressure.model import node_model
from overbook.core.pressure.ruleset import Rule


class Peak(msgspec.Struct, gc=False, rename="camel"):
    """The worst value of one number.

    Attributes:
        name: of the number.
        threshold: what the rule asks for.
        below: whether the rule asks for less than the threshold, so that the worst is the least.
        value: the worst; ``None``: it was never known.
        seconds: when that was, since the first sample.
        value_with_rest: the worst while all other detectors of its group held; ``None``: they never did.
    """

    name: str
    threshold: float
    below: bool = False
    value: float | None = None
    seconds: float = 0.0
    value_with_rest: float | None = None

    def take(self, value: float, seconds: float, *, rest_holds: bool) -> None:
        """One reading."""
        if self.value is None or (value < self.value if self.below else value > self.value):
            self.value, self.seconds = value, seconds
        if rest_holds:
            worst = self.value_with_rest
            if worst is None or (value < worst if self.below else value > worst):
                self.value_with_rest = value


class RuleFigures(msgspec.Struct, gc=False, rename="camel"):
    """One rule over a whole recording.

    Attributes:
        rule: its name.
        samples_held: in how many samples it held.
        first_held_seconds: when it first did; ``None``: never.
        peaks: the worst of each of its numbers.
    """

    rule: str
    samples_held: int = 0
    first_held_seconds: float | None = None
    peaks: list[Peak] = []


class RuleWatch:
    """Collects a rule's figures.

    Args:
        rule: the rule.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._peaks: dict[tuple[int, int, str], Peak] = {}
        self._figures = RuleFigures(rule.title)

    @property
    def figures(self) -> RuleFigures:
        """What was found so far, in the order of the rule's detectors."""
        in_order = [peak for _, peak in sorted(self._peaks.items(), key=lambda item: item[0][:2])]
        return msgspec.structs.replace(self._figures, peaks=in_order)

    def take(self, seconds: float, history: History) -> None:
        """The newest sample of a course."""
        node = node_model(history.newest.node)
        held = False
        for place, group in enumerate(self._rule.any):
            readings = [detector.read(node, history) for detector in group.all]
            failing = [number for number, reading in enumerate(readings) if not reading.holds]
            held = held or not failing
            for number, (detector, reading) in enumerate(zip(group.all, readings, strict=True)):
                if not reading.numbers:
                    continue
                for name, value, threshold, below in detector.figures(reading.numbers, node):
                    peak = self._peaks.get((place, number, name))
                    if peak is None:
                        peak = self._peaks[place, number, name] = Peak(name, threshold, below)
                    peak.take(value, seconds, rest_holds=not failing or failing == [number])
        if held:
            self._figures.samples_held += 1
            if self._figures.first_held_seconds is None:
                self._figures.first_held_seconds = seconds
