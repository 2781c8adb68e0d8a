"""What the agent imports before it does anything: modules and CPU time."""

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
        note="tests/agent/test_import_budget.py holds a bound on this and names what must not be among them",
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
        note=f"{full / empty:.1f} times what `python -c pass` takes as a whole",
    )


BENCHMARK = Benchmark("imports", "What the agent imports", run)
