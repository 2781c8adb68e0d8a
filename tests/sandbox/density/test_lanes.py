"""A plan runs in lanes, survives a failed cell, and can be continued."""

import io
import pathlib
import threading

import msgspec
import pytest

from overbook_sandbox.density import guards
from overbook_sandbox.density.catalog import find
from overbook_sandbox.density.lanes import Results, run_all
from overbook_sandbox.density.plan import alone_for, plan
from overbook_sandbox.density.result import Cell, Setup, key
from overbook_sandbox.machine.errors import NodeError
from tests.sandbox.density.test_judge import ALONE

LIMITED = guards.find("limited")
SETUPS = plan([find("wild"), find("busy")], [LIMITED], 1, seed=3, runs=2)


def cell_for(setup: Setup) -> Cell:
    return msgspec.structs.replace(
        ALONE, load=setup.load, guard=setup.guard, cpus=setup.cpus, seed=setup.seed, run=setup.run
    )


def run_with(results: Results, fails: str = "") -> tuple[int, str, list[tuple[Setup, Cell | None]]]:
    ran: list[tuple[Setup, Cell | None]] = []

    def run(setup: Setup, alone: Cell | None) -> Cell:
        ran.append((setup, alone))
        if (setup.load, setup.guard) == (fails, "limited"):
            raise NodeError("the node did not boot")
        return cell_for(setup)

    stream = io.StringIO()
    failed = run_all(SETUPS, run, lambda: None, results, 2, stream)
    results.close()
    return failed, stream.getvalue(), ran


def test_a_plan_begins_alone_and_gives_a_load_its_cpus() -> None:
    assert [(setup.load, setup.guard, setup.cpus, setup.run) for setup in SETUPS] == [
        ("wild", "alone", 1, 0),
        ("busy", "alone", 2, 0),
        ("wild", "limited", 1, 0),
        ("busy", "limited", 2, 0),
        ("wild", "limited", 1, 1),
        ("busy", "limited", 2, 1),
    ]


def test_the_run_alone_has_the_same_load_and_cpus() -> None:
    cells = [
        msgspec.structs.replace(ALONE, guard=guard, load=load, cpus=cpus, seed=seed, work_units=n)
        for n, (guard, load, cpus, seed) in enumerate(
            [
                ("alone", "wild", 1, 1),
                ("alone", "wild", 2, 3),
                ("limited", "wild", 1, 3),
                ("alone", "leak", 1, 3),
            ]
        )
    ]
    first = alone_for(SETUPS[2], {key(cell): cell for cell in cells})
    assert first is not None
    assert first.work_units == 0
    assert alone_for(SETUPS[3], {key(cell): cell for cell in cells}) is None


def test_every_cell_is_run_with_the_one_alone_and_kept(tmp_path: pathlib.Path) -> None:
    failed, shown, ran = run_with(Results(str(tmp_path), keep=False))
    assert failed == 0
    assert {(setup.load, alone.load) for setup, alone in ran if alone} == {("wild", "wild"), ("busy", "busy")}
    assert "[6/6] " in shown
    again = Results(str(tmp_path), keep=True)
    assert set(again.cells) == {key(setup) for setup in SETUPS}
    assert run_with(again)[2] == []


def test_a_failed_cell_is_said_and_the_others_run(tmp_path: pathlib.Path) -> None:
    failed, shown, _ = run_with(Results(str(tmp_path), keep=False), fails="wild")
    assert failed == 2
    assert "wild · limited run 2: failed: the node did not boot" in shown
    again = Results(str(tmp_path), keep=True)
    assert len(again.cells) == 4
    assert [setup.load for setup, _ in run_with(again)[2]] == ["wild", "wild"]


def test_cells_of_before_are_gone_unless_they_are_kept(tmp_path: pathlib.Path) -> None:
    run_with(Results(str(tmp_path), keep=False))
    fresh = Results(str(tmp_path), keep=False)
    fresh.close()
    assert not fresh.cells
    assert (tmp_path / "cells.jsonl").read_text() == ""


def test_an_interrupt_ends_all_nodes(tmp_path: pathlib.Path) -> None:
    stopped = threading.Event()

    def run(setup: Setup, _alone: Cell | None) -> Cell:
        if setup.load == "leak":
            raise KeyboardInterrupt
        stopped.wait(30)
        raise NodeError("the node was stopped")

    setups = plan([find("wild"), find("leak")], [LIMITED], 1, seed=3, runs=1)
    results = Results(str(tmp_path), keep=False)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_all(setups, run, stopped.set, results, 2, io.StringIO())
    results.close()
    assert stopped.is_set()
    assert threading.active_count() == before
