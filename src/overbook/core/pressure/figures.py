"""How near a recording came to each rule: the numbers to choose thresholds by."""

from collections.abc import Iterator

import msgspec

from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel, node_model
from overbook.core.pressure.ruleset import (
    AnyDetector,
    LowMemory,
    MemoryPressure,
    Reading,
    Rule,
    SwapOccupancy,
    SwapTraffic,
)


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
                for name, value, threshold in _numbers(detector, reading, node):
                    peak = self._peaks.get((place, number, name))
                    if peak is None:
                        peak = Peak(name, threshold, below=isinstance(detector, LowMemory))
                        self._peaks[place, number, name] = peak
                    peak.take(value, seconds, rest_holds=not failing or failing == [number])
        if held:
            self._figures.samples_held += 1
            if self._figures.first_held_seconds is None:
                self._figures.first_held_seconds = seconds


def _numbers(detector: AnyDetector, reading: Reading, node: NodeModel) -> Iterator[tuple[str, float, float]]:
    """Name, value and threshold, in the unit in which the threshold is set."""
    if not reading.numbers:
        return
    match detector:
        case SwapTraffic():
            swap_in, swap_out = reading.numbers.values()
            yield "inPagesPerSecond", swap_in, detector.in_pages_per_second
            yield "outPagesPerSecond", swap_out, detector.out_pages_per_second
            # Both have to be above: of one threshold for both this is the highest that would have been met.
            lower = min(detector.in_pages_per_second, detector.out_pages_per_second)
            yield "lowerOfBothPagesPerSecond", min(swap_in, swap_out), lower
        case SwapOccupancy():
            beyond = reading.numbers["usedBytes"] - node.memory_total_bytes
            yield "thresholdFactor", beyond / node.swap_total_bytes, detector.threshold_factor
        case MemoryPressure():
            yield "fullPercent", reading.numbers["fullPercent"], detector.full_percent
        case LowMemory():
            yield "availablePercent", reading.numbers["availablePercent"], detector.available_percent
