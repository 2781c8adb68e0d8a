"""The modules that the agent imports at its start, and the CPU time for that."""

import subprocess
import sys
from collections.abc import Iterator

from bench.figure import Benchmark, Figure, children_cpu_seconds, low

COMMAND = "python -m bench imports"
IMPORT = "import sys; before = len(sys.modules); import overbook.agent.loop, overbook.agent.settings; "
COUNT = IMPORT + "print(len(sys.modules) - before)"


def run(quick: bool) -> Iterator[Figure]:
    counted = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, check=True, text=True)  # noqa: S603 - ours
    yield Figure(
        name="modules that the agent imports",
        value=int(counted.stdout),
        unit="modules",
        command=COMMAND,
        note="tests/agent/test_import_budget.py has the limit, and the modules that must not be imported",
    )
    taken: dict[str, list[float]] = {"pass": [], IMPORT: []}
    for _ in range(7 if quick else 21):
        for program, seconds in taken.items():
            before = children_cpu_seconds()
            subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - ours
            seconds.append(children_cpu_seconds() - before)
    empty, full = low(taken["pass"]), low(taken[IMPORT])
    yield Figure(
        name="CPU of importing them",
        value=round((full - empty) * 1e3, 1),
        unit="ms",
        command=COMMAND,
        note=f"{full / empty:.1f} times the whole of `python -c pass`",
    )


BENCHMARK = Benchmark("imports", "The modules that the agent imports", run)
