"""What a benchmark found, and whether that is good enough."""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

Verdict = Literal["met", "missed", "within noise", "for information"]

NOISE: Final = 0.05
"""A figure that misses its target by less than this part of it is not told apart from one that meets it."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One measured number.

    Attributes:
        name: what was measured.
        value: the number; a time is the lower quartile of several, unless its name says otherwise.
        unit: its unit.
        at_most: the target; ``None``: there is none, the figure is there to be compared.
        command: how to measure it again.
        note: what one has to know to read it.
    """

    name: str
    value: float
    unit: str
    command: str
    at_most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.at_most is None:
            return "for information"
        if self.value <= self.at_most:
            return "met"
        return "within noise" if self.value <= self.at_most * (1 + NOISE) else "missed"

    @property
    def target(self) -> str:
        return "-" if self.at_most is None else f"<= {self.at_most:g} {self.unit}"


class Benchmark(msgspec.Struct, frozen=True):
    """One thing that is measured.

    Attributes:
        name: as given on the command line.
        about: one line.
        run: measures; takes whether to be quick, which is less exact.
        by_name_only: it takes long, and is run only when it is named.
    """

    name: str
    about: str
    run: Callable[[bool], Iterable[Figure]]
    by_name_only: bool = False


def low(taken: Sequence[float]) -> float:
    """The lower quartile: what it takes when neighbours on the same cores do not disturb too much."""
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
    """CPU time of all children that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def say(text: str) -> None:
    """What is going on, to whoever waits."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
