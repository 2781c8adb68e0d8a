"""`overbook sandbox density` says what it can run, and refuses what it cannot."""

import pytest

from overbook.cli import main
from overbook_sandbox.density import judge
from overbook_sandbox.density.catalog import LOADS
from overbook_sandbox.density.guards import GUARDS
from overbook_sandbox.density.result import Setup
from overbook_sandbox.density.table import cell_line, table, who_left
from tests.sandbox.density.test_judge import ALONE, SETUP
from tests.sandbox.density.traces import LOAD, end, left, working


def density(*arguments: str) -> int:
    return main(["sandbox", "density", *arguments])


def test_the_list_has_all_loads_and_guards(capsys: pytest.CaptureFixture[str]) -> None:
    assert density("--list") == 0
    shown = capsys.readouterr().out
    for name in (*(load.name for load in LOADS), *(guard.name for guard in GUARDS)):
        assert f"\n  {name} " in shown


def test_a_dry_run_lists_cells_and_boots_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert density("--dry-run", "--load", "busy", "--guard", "overbook", "--runs", "2") == 0
    assert capsys.readouterr().out.splitlines() == [
        "busy under alone, CPUs: 2, run 1",
        "busy under overbook, CPUs: 2, run 1",
        "busy under overbook, CPUs: 2, run 2",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--load", "wlid"), "--load: 'wlid' is not valid; expected one of wild, leak,"),
        (("--guard", "nobody"), "--guard: 'nobody' is not valid; expected one of no-swap, limited,"),
        (("--cpus", "0"), "--cpus: 0 is not valid"),
        (("--runs", "-1"), "--runs: -1 is not valid"),
    ],
)
def test_wrong_words_and_numbers_are_refused_with_the_right_ones(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert density(*arguments) == 2
    assert said in capsys.readouterr().err


def test_a_row_of_the_table_has_medians_of_all_runs() -> None:
    cells = [
        judge.cell(
            Setup(load="made", guard="limited", cpus=1, seed=1, run=run),
            LOAD,
            working(20, rate),
            [left("vm-x", 9.2)],
            end(20, vm_1=gap),
            ALONE,
        )
        for run, (rate, gap) in enumerate([(10, 0.2), (4, 3.0), (8, 0.4)])
    ]
    head, *rows = table(cells).splitlines()
    assert head.startswith("load  guard    CPUs  who left")
    assert [row.split() for row in rows] == [
        ["made", "limited", "1", "vm-x", "9", "s", "kernel", "0", "0", "80", "0.4", "-", "0"]
    ]


def test_a_line_says_who_left_and_what_that_did() -> None:
    made = judge.cell(SETUP, LOAD, working(20), [left("vm-1", -2.6, -3)], end(20, vm_2=1.26), ALONE, 41.6)
    assert cell_line(made) == "vm-1 -3 s; pace 100 %, longest gap 1.3 s, 1 innocent lost (42 s)"
    assert who_left(ALONE) == "nobody"
