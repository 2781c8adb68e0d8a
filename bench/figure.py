"""A benchmark's result, and whether it meets its target."""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

Verdict = Literal["met", "missed", "within noise", "for information"]

NOISE: Final = 0.05
"""A figure that misses its target by less than this part of the target counts as within noise."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One measured number.

    Attributes:
        name: what was measured.
        value: the number; a time is the lower quartile of several, unless its name says otherwise.
        unit: its unit.
        at_most: the target; ``None``: there is none, and the figure is only for comparison, unless it has
            ``at_least``.
        at_least: the target of a number of which more is better.
        command: the command that measures it again.
        note: the conditions of the measurement.
    """

    name: str
    value: float
    unit: str
    command: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.at_least is not None:
            if self.value >= self.at_least:
                return "met"
            return "within noise" if self.value >= self.at_least * (1 - NOISE) else "missed"
        if self.at_most is None:
            return "for information"
        if self.value <= self.at_most:
            return "met"
        return "within noise" if self.value <= self.at_most * (1 + NOISE) else "missed"

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}"
        return "-" if self.at_most is None else f"<= {self.at_most:g} {self.unit}"


class Benchmark(msgspec.Struct, frozen=True):
    """One benchmark.

    Attributes:
        name: its name on the command line.
        about: a description in one line.
        run: measures; its argument is whether to be quick, which is less exact.
        by_name_only: whether it runs only if it is named, because it takes long.
    """

    name: str
    about: str
    run: Callable[[bool], Iterable[Figure]]
    by_name_only: bool = False


def low(taken: Sequence[float]) -> float:
    """The lower quartile: the time with little other load on the same cores."""
    return sorted(taken)[len(taken) // 4]


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call, user and system, in this process; the lower quartile of several."""
    taken = []
    for _ in range(times):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return low(taken)


def micros_each(work: Callable[[], object], calls: int, rounds: int = 9) -> float:
    """CPU microseconds of one call of something short, by rounds of many calls."""
    return cpu_seconds(lambda: [work() for _ in range(calls)], rounds) / calls * 1e6


def children_cpu_seconds() -> float:
    """The CPU time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def say(text: str) -> None:
    """Print the progress to standard error."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
