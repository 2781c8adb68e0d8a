"""Texts for a terminal: a plain table of cells, and the list of loads and guards."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from overbook_sandbox.density.catalog import LOADS
from overbook_sandbox.density.guards import BASELINE, GUARDS
from overbook_sandbox.density.result import Cell

_COLUMNS: Final = (
    "load",
    "guard",
    "CPUs",
    "who left",
    "innocents lost",
    "kernel kills",
    "pace %",
    "gap s",
    "decision s",
    "given back MiB",
)
_BY_NUMBERS: Final = 4
"""The first column that is aligned to the right."""


def listing() -> str:
    """All loads and guards with a sentence each."""
    names = [*(load.name for load in LOADS), *(guard.name for guard in GUARDS)]
    width = max(map(len, names))
    lines = ["loads:"]
    lines += [f"  {load.name:<{width}}  {load.about}" for load in LOADS]
    lines += ["", "guards:"]
    lines += [f"  {guard.name:<{width}}  {guard.title}" for guard in GUARDS]
    lines += ["", f"run for each load, as 100 %: {BASELINE.title}"]
    return "\n".join(lines)


def cell_line(cell: Cell) -> str:
    """A cell in a line."""
    pace = "" if cell.pace_percent is None else f"pace {cell.pace_percent:.0f} %, "
    gap = f"longest gap {cell.longest_gap_seconds:.1f} s"
    lost = f", {cell.innocents_lost} innocent lost" if cell.innocents_lost else ""
    return f"{who_left(cell)}; {pace}{gap}{lost} ({cell.wall_seconds:.0f} s)"


def who_left(cell: Cell) -> str:
    """The pods that left, with the time and, where it was not the guard, how."""
    words = [
        f"{one.pod} {one.seconds:.0f} s" + ("" if one.how == "guard" else f" {one.how}") for one in cell.left
    ]
    return ", ".join(words) or "nobody"


def table(cells: Iterable[Cell]) -> str:
    """A table of all cells; of several runs, the median of each number and the first run's pods."""
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.load, cell.guard, cell.cpus), []).append(cell)
    order = {load.name: n for n, load in enumerate(LOADS)}
    places = {guard.name: n for n, guard in enumerate((BASELINE, *GUARDS))}
    names = sorted(
        groups, key=lambda name: (name[2], order.get(name[0], len(order)), places.get(name[1], len(places)))
    )
    return _aligned([_COLUMNS, *(_row(groups[name]) for name in names)])


def _row(runs: Sequence[Cell]) -> tuple[str, ...]:
    first = min(runs, key=lambda cell: cell.run)
    paces = [cell.pace_percent for cell in runs if cell.pace_percent is not None]
    decisions = [cell.decision_seconds for cell in runs if cell.decision_seconds is not None]
    return (
        first.load,
        first.guard,
        str(first.cpus),
        who_left(first),
        f"{median(cell.innocents_lost for cell in runs):g}",
        f"{median(cell.kernel_kills for cell in runs):g}",
        f"{median(paces):.0f}" if paces else "-",
        f"{median(cell.longest_gap_seconds for cell in runs):.1f}",
        f"{median(decisions):.1f}" if decisions else "-",
        f"{median(cell.given_back_mib for cell in runs):.0f}",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        texts = [
            text.rjust(width) if n >= _BY_NUMBERS else text.ljust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(texts).rstrip())
    return "\n".join(lines)
