"""Rows of the report: one load under one guard, with the median and the spread of its runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Final, Literal, NamedTuple

import msgspec

from overbook_sandbox.density.catalog import LOADS
from overbook_sandbox.density.guards import BASELINE, GUARDS
from overbook_sandbox.density.loads import Disk
from overbook_sandbox.density.result import CURVE_SECONDS, Cell

OURS: Final = "overbook"
TAIL_SECONDS: Final = 5
"""The last seconds of a run, from which the work is continued to the length of the longest run."""

Outcome = Literal["good", "slow", "lost"]
Measure = Literal["innocents_lost", "kernel_kills", "pace_percent", "longest_gap_seconds", "work_units"]


class Spread(msgspec.Struct, frozen=True):
    """A number in several runs.

    Attributes:
        median: the median.
        least: the smallest.
        most: the largest.
    """

    median: float
    least: float
    most: float


class RunsLeft(msgspec.Struct, frozen=True):
    """A pod and the runs in which it left.

    Attributes:
        pod: its name.
        guilty: whether it was one of the guilty.
        seconds: when, the median, in seconds after the event.
        runs: in how many runs.
        by_kernel: in how many of them by the kernel.
    """

    pod: str
    guilty: bool
    seconds: float
    runs: int
    by_kernel: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load under one guard.

    Attributes:
        load: the load's name.
        title: the load in a few words.
        guard: the guard's name.
        cpus: the node's CPUs.
        disk: what was swapped to.
        runs: the number of runs.
        left: the pods that left, those of most runs first.
        innocents_lost: as in :class:`Cell`.
        kernel_kills: as in :class:`Cell`.
        pace_percent: as in :class:`Cell`.
        longest_gap_seconds: as in :class:`Cell`.
        work_units: the same, continued to the length of the longest run of all guards on this load.
        decision_seconds: as in :class:`Cell`.
        given_back_mib: as in :class:`Cell`.
        losses: what another guard did better, in words.
    """

    load: str
    title: str
    guard: str
    cpus: int
    disk: Disk
    runs: int
    left: tuple[RunsLeft, ...]
    innocents_lost: Spread
    kernel_kills: Spread
    longest_gap_seconds: Spread
    work_units: Spread
    given_back_mib: Spread
    pace_percent: Spread | None = None
    decision_seconds: Spread | None = None
    losses: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What became of the innocent pods: lost ones, slowed ones, or neither."""
        if self.innocents_lost.median > 0:
            return "lost"
        return "slow" if self.pace_percent is not None and self.pace_percent.median < GOOD_PACE else "good"


GOOD_PACE: Final = 95.0


class _Compared(NamedTuple):
    """A number in which guards are compared.

    Attributes:
        measure: the attribute of :class:`Row`.
        words: what is said of a loss.
        sign: 1: less is better; -1: more is.
        margin: the difference that is no loss: the noise between runs.
        share: the same as a share of the other guard's number.
    """

    measure: Measure
    words: str
    sign: int
    margin: float = 0.0
    share: float = 0.0


_COMPARED: Final = (
    _Compared("innocents_lost", "innocents lost: {ours:g}, {other:g} with {guard}", 1),
    _Compared("kernel_kills", "kernel kills: {ours:g}, {other:g} with {guard}", 1),
    _Compared("pace_percent", "pace: {ours:.0f} %, {other:.0f} % with {guard}", -1, margin=2.0),
    _Compared("longest_gap_seconds", "longest gap: {ours:.1f} s, {other:.1f} s with {guard}", 1, margin=0.2),
    _Compared("work_units", "work: {ours:.0f} units, {other:.0f} with {guard}", -1, share=0.02),
)


def spread(numbers: Iterable[float | None]) -> Spread | None:
    """The spread of numbers that are known; None: none is."""
    known = [number for number in numbers if number is not None]
    return Spread(round(median(known), 2), min(known), max(known)) if known else None


def _known(numbers: Iterable[float]) -> Spread:
    return spread(numbers) or Spread(0, 0, 0)


def rows(cells: Iterable[Cell]) -> list[Row]:
    """The rows of all cells but those of the baseline, by CPUs, in the order of loads and guards."""
    cells = [cell for cell in cells if cell.guard != BASELINE.name]
    longest: dict[tuple[str, int], float] = {}
    groups: dict[tuple[int, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.cpus, cell.load, cell.guard), []).append(cell)
        place = (cell.load, cell.cpus)
        longest[place] = max(longest.get(place, 0.0), cell.seconds)
    loads = _places(load.name for load in LOADS)
    guards = _places(guard.name for guard in GUARDS)
    ordered = sorted(
        groups, key=lambda one: (one[0], loads.get(one[1], len(loads)), guards.get(one[2], len(guards)))
    )
    made = [_row(groups[one], longest[one[1], one[0]]) for one in ordered]
    return [_judged(row, made) if row.guard == OURS else row for row in made]


def _places(names: Iterable[str]) -> Mapping[str, int]:
    return {name: place for place, name in enumerate(names)}


def _row(runs: Sequence[Cell], seconds: float) -> Row:
    first = runs[0]
    titles = {load.name: load.title for load in LOADS}
    return Row(
        load=first.load,
        title=titles.get(first.load, first.load),
        guard=first.guard,
        cpus=first.cpus,
        disk=first.disk,
        runs=len(runs),
        left=_left(runs),
        innocents_lost=_known(cell.innocents_lost for cell in runs),
        kernel_kills=_known(cell.kernel_kills for cell in runs),
        longest_gap_seconds=_known(cell.longest_gap_seconds for cell in runs),
        work_units=_known(finished(cell, seconds) for cell in runs),
        given_back_mib=_known(cell.given_back_mib for cell in runs),
        pace_percent=spread(cell.pace_percent for cell in runs),
        decision_seconds=spread(cell.decision_seconds for cell in runs),
    )


def finished(cell: Cell, seconds: float) -> float:
    """The units that a run would have finished in this time, had it gone on as in its last seconds.

    A run ends soon after the shortage does, and earlier under a guard that acts sooner.
    """
    *whole, last = cell.curve or (0,)
    since = max(0, len(whole) - 1 - TAIL_SECONDS)
    if not whole or cell.seconds <= since * CURVE_SECONDS:
        return float(last)
    pace = (last - whole[since]) / (cell.seconds - since * CURVE_SECONDS)
    return last + pace * max(0.0, seconds - cell.seconds)


def _left(runs: Sequence[Cell]) -> tuple[RunsLeft, ...]:
    found: dict[str, list[tuple[float, bool, bool]]] = {}
    for cell in runs:
        for one in cell.left:
            found.setdefault(one.pod, []).append((one.seconds, one.how == "kernel", one.guilty))
    made = [
        RunsLeft(
            pod=pod,
            guilty=times[0][2],
            seconds=round(median(seconds for seconds, _, _ in times), 1),
            runs=len(times),
            by_kernel=sum(kernel for _, kernel, _ in times),
        )
        for pod, times in found.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.runs, one.seconds)))


def _judged(ours: Row, all_rows: Iterable[Row]) -> Row:
    """Our row with what another guard did better on the same load and node."""
    others = [
        row for row in all_rows if (row.load, row.cpus) == (ours.load, ours.cpus) and row.guard != ours.guard
    ]
    found = (_loss(compared, ours, others) for compared in _COMPARED)
    return msgspec.structs.replace(ours, losses=tuple(words for words in found if words))


def _loss(compared: _Compared, ours: Row, others: Iterable[Row]) -> str:
    """How the best other guard is better than ours, in words; empty: it is not."""
    number: Callable[[Row], Spread | None] = lambda row: getattr(row, compared.measure)  # noqa: E731
    own = number(ours)
    known = [(other.median, row.guard) for row in others if (other := number(row)) is not None]
    if own is None or not known:
        return ""
    best, guard = min(known, key=lambda one: compared.sign * one[0])
    margin = max(compared.margin, compared.share * abs(best))
    if compared.sign * (own.median - best) <= margin:
        return ""
    return compared.words.format(ours=own.median, other=best, guard=guard)
