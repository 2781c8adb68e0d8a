"""The result of one cell: a load under a guard, once."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook_sandbox.density.loads import Disk
from overbook_sandbox.density.trace import How

CURVE_SECONDS: Final = 1.0

Key = tuple[str, str, int, int, int]
"""Load, guard, CPUs, seed and run: what makes a cell another one than the others of a benchmark."""


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that left the node.

    Attributes:
        pod: its name.
        seconds: when, in seconds after the event; negative: before it.
        how: who ended it.
        guilty: whether it was one of the guilty.
        reason: why, in the guard's words.
    """

    pod: str
    seconds: float
    how: How
    guilty: bool
    reason: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the benchmark's table, once.

    Attributes:
        load: the load's name.
        guard: the guard's name.
        cpus: the node's CPUs.
        disk: what was swapped to.
        seed: the seed of sizes, order and rhythm.
        run: which of several runs, from 0.
        seconds: the length of the event.
        left: the pods that left, in their order.
        kernel_kills: processes that the kernel's OOM killer ended.
        innocents_lost: innocent pods that left, beyond those that had to.
        guilty_left: guilty pods that left.
        work_units: what all innocent pods finished after the event.
        curve: the same at each second after the event, from 0.
        pace_percent: the same in percent of what they finish alone; None: no such run.
        longest_gap_seconds: the longest standstill of an innocent pod after the event, while it lived.
        harm_at: when an innocent pod was first harmed, in seconds after the event; None: never.
        decision_seconds: from then to the decision that took the first guilty pod; None: no harm, or none
            was taken.
        decision_when_beyond_seconds: the same from the first harm while a guilty pod held more than what it
            is covered for; None: there was no such moment, or none was taken.
        given_back_mib: innocent pods' memory that was only in swap at the end.
        guard_cpu_seconds: CPU time of the guard after the event; None: it has no process.
        guard_figures: what the guard counted itself.
        wall_seconds: the time for the whole cell on the host, the boot included.
        host_load: the host's load average over a minute at the end.
    """

    load: str
    guard: str
    cpus: int
    disk: Disk
    seed: int
    run: int
    seconds: float
    left: tuple[Leaving, ...]
    kernel_kills: int
    innocents_lost: int
    guilty_left: int
    work_units: int
    curve: tuple[int, ...]
    longest_gap_seconds: float
    pace_percent: float | None = None
    harm_at: float | None = None
    decision_seconds: float | None = None
    decision_when_beyond_seconds: float | None = None
    given_back_mib: float = 0
    guard_cpu_seconds: float | None = None
    guard_figures: dict[str, float] = {}
    wall_seconds: float = 0
    host_load: float = 0


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a cell before it runs.

    Attributes:
        load: the load's name.
        guard: the guard's name.
        cpus: the node's CPUs.
        seed: the seed.
        run: which of several runs.
    """

    load: str
    guard: str
    cpus: int
    seed: int
    run: int


def key(found: Cell | Setup) -> Key:
    """The key of a cell, or of one that has not run yet."""
    return found.load, found.guard, found.cpus, found.seed, found.run


def read_cells(lines: Iterable[bytes]) -> Mapping[Key, Cell]:
    """The cells of ``cells.jsonl`` by their keys; a later one replaces an earlier one."""
    decoder = msgspec.json.Decoder(Cell)
    cells = (decoder.decode(line) for line in lines if line.strip())
    return {key(found): found for found in cells}


def as_json(cells: Iterable[Cell]) -> str:
    """Cells as a JSON list."""
    return msgspec.json.format(msgspec.json.encode(list(cells)), indent=1).decode()
