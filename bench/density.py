"""Which pods leave a node short of memory, and what that does to the others: a few loads.

The whole of it is `overbook sandbox density`.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.figure import Benchmark, Figure, say
from overbook_sandbox.density import catalog, guards
from overbook_sandbox.density.lanes import Results, run_all
from overbook_sandbox.density.plan import plan
from overbook_sandbox.density.report.rows import OURS, Row, rows
from overbook_sandbox.density.run import Runner
from overbook_sandbox.machine.image import prepare

COMMAND = "python -m bench density"
OTHER: Final = "limited"
QUICK: Final = ("wild", "leak", "short-storm")
LOADS: Final = (*QUICK, "wild-tight", "leak-tight", "small", "busy", "no-swap-pod")
RUNS: Final = 3
MOST_GAP_SECONDS: Final = 1.0
MOST_DECISION_SECONDS: Final = 5.0
LEAST_PACE_PERCENT: Final = 95.0


def run(quick: bool) -> Iterator[Figure]:
    made = _measured(QUICK if quick else LOADS, 1 if quick else RUNS)
    ours = [row for row in made if row.guard == OURS]
    other = [row for row in made if row.guard == OTHER]
    runs = f"{len(ours)} loads, {max(row.runs for row in ours)} runs of each; {OTHER}: "
    for name, number, unit, at_most in (
        ("innocent pods lost", _lost, "pods", 0.0),
        ("kills by the kernel's OOM killer", _kills, "kills", 0.0),
        ("longest standstill of an innocent pod", _gap, "s", MOST_GAP_SECONDS),
        ("from the first harm to the right decision", _decision, "s", MOST_DECISION_SECONDS),
    ):
        worst = max(ours, key=number)
        yield Figure(
            name=name,
            value=round(number(worst), 2),
            unit=unit,
            at_most=at_most,
            command=COMMAND,
            note=f"the worst load is {worst.load}; {runs}{_worst(other, number)}",
        )
    slowest = min(ours, key=_pace)
    yield Figure(
        name="pace of the innocent pods, of alone",
        value=_pace(slowest),
        unit="%",
        at_least=LEAST_PACE_PERCENT,
        command=COMMAND,
        note=f"the worst load is {slowest.load}; {runs}{min(map(_pace, other)):g}",
    )


def _measured(names: Sequence[str], runs: int) -> list[Row]:
    loads = [catalog.find(name) for name in names]
    setups = plan(loads, [guards.find(OTHER), guards.find(OURS)], 1, 1, runs)
    image = prepare(say=say)
    with tempfile.TemporaryDirectory(prefix="overbook-density-") as folder, open(os.devnull, "w") as nowhere:
        runner = Runner(image, folder)
        results = Results(folder, keep=False)
        try:
            # One node at a time, as the other benchmarks: nothing else is to slow it down.
            failed = run_all(setups, runner.run, runner.stop, results, 1, nowhere)
        finally:
            results.close()
        if failed:
            raise RuntimeError(f"{failed} of {len(setups)} cells failed; `overbook sandbox density` says why")
        return rows(results.cells.values())


def _worst(made: Sequence[Row], number: Callable[[Row], float]) -> str:
    return f"{max(map(number, made)):g}"


def _lost(row: Row) -> float:
    return row.innocents_lost.median


def _kills(row: Row) -> float:
    return row.kernel_kills.median


def _gap(row: Row) -> float:
    return row.longest_gap_seconds.median


def _decision(row: Row) -> float:
    return row.decision_seconds.median if row.decision_seconds else 0.0


def _pace(row: Row) -> float:
    return row.pace_percent.median if row.pace_percent else 0.0


BENCHMARK = Benchmark("density", "Which pods leave a node short of memory", run, by_name_only=True)
