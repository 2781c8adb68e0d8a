"""The plan of a benchmark: which cells run, and what is alone beside them."""

from collections.abc import Mapping, Sequence

from overbook_sandbox.density.guards import BASELINE
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.loads import Load
from overbook_sandbox.density.result import Cell, Key, Setup


def plan(
    loads: Sequence[Load], guards: Sequence[type[Guard]], cpus: int, seed: int, runs: int
) -> list[Setup]:
    """All cells: first each load's innocent pods alone, then the guards, run by run.

    A load that needs more CPUs gets them.
    """

    def setup(load: Load, guard: type[Guard], run: int) -> Setup:
        return Setup(load=load.name, guard=guard.name, cpus=max(cpus, load.least_cpus), seed=seed, run=run)

    compared = [guard for guard in guards if guard is not BASELINE]
    alone = [setup(load, BASELINE, 0) for load in loads]
    return [*alone, *(setup(load, guard, run) for run in range(runs) for load in loads for guard in compared)]


def alone_for(setup: Setup, cells: Mapping[Key, Cell]) -> Cell | None:
    """The run of a load's innocent pods alone on the same node, of the same seed if there is one."""
    found = [
        one
        for one in cells.values()
        if one.guard == BASELINE.name and one.load == setup.load and one.cpus == setup.cpus
    ]
    return min(found, key=lambda one: one.seed != setup.seed, default=None)
