"""Cells of a benchmark that never ran."""

from typing import Any

from overbook_sandbox.density.result import Cell, Leaving


def left(pod: str, seconds: float, *, guilty: bool = True, how: str = "guard") -> Leaving:
    return Leaving(pod=pod, seconds=seconds, how=how, guilty=guilty)  # type: ignore[arg-type]


def cell(load: str, guard: str, **changed: Any) -> Cell:
    """A cell in which nobody is harmed: 30 units a second for 20 s."""
    facts: dict[str, Any] = {
        "cpus": 1,
        "disk": "fast",
        "seed": 1,
        "run": 0,
        "seconds": 20.0,
        "left": (),
        "kernel_kills": 0,
        "innocents_lost": 0,
        "guilty_left": 0,
        "curve": (*range(0, 601, 30), 600),
        "pace_percent": 100.0,
        "longest_gap_seconds": 0.1,
    } | changed
    return Cell(load=load, guard=guard, work_units=facts["curve"][-1], **facts)
