import pytest

from overbook_sandbox.density.report.rows import finished, rows
from tests.sandbox.density.cells import cell, left


def test_rows_have_the_median_and_the_spread_of_all_runs() -> None:
    runs = [
        cell("wild", "limited", run=0, longest_gap_seconds=0.5, left=(left("vm-x", 10),)),
        cell("wild", "limited", run=1, longest_gap_seconds=0.1, left=(left("vm-x", 14, how="kernel"),)),
        cell(
            "wild",
            "limited",
            run=2,
            longest_gap_seconds=0.2,
            left=(left("vm-1", 3, guilty=False), left("vm-x", 11)),
            innocents_lost=1,
            decision_seconds=2.0,
        ),
    ]
    (row,) = rows([*runs, cell("wild", "alone")])
    assert (row.runs, row.title) == (3, "one VM grows without end")
    gap = row.longest_gap_seconds
    assert (gap.median, gap.least, gap.most) == (0.2, 0.1, 0.5)
    assert [(one.pod, one.seconds, one.runs, one.by_kernel) for one in row.left] == [
        ("vm-x", 11, 3, 1),
        ("vm-1", 3, 1, 0),
    ]
    assert (row.innocents_lost.median, row.innocents_lost.most) == (0, 1)
    assert row.decision_seconds is not None
    assert row.decision_seconds.median == 2.0
    assert row.outcome == "good"


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [({"pace_percent": 94.9}, "slow"), ({"innocents_lost": 1}, "lost"), ({"pace_percent": None}, "good")],
)
def test_the_outcome_is_that_of_the_innocent(changed: dict[str, float], outcome: str) -> None:
    assert rows([cell("wild", "limited", **changed)])[0].outcome == outcome


def test_work_goes_on_at_the_last_pace_when_a_run_ends_sooner() -> None:
    short = cell("wild", "overbook", seconds=10.0, curve=(0, 0, 0, 0, 0, 0, 10, 40, 70, 100, 130, 130))
    assert finished(short, 20.0) == 130 + 10 * 130 / 5
    assert finished(short, 10.0) == 130


def test_a_loss_names_the_better_guard_and_both_numbers() -> None:
    ours = cell("wild", "overbook", longest_gap_seconds=1.5, innocents_lost=1)
    made = rows(
        [
            ours,
            cell("wild", "limited", longest_gap_seconds=0.7, kernel_kills=1),
            cell("wild", "earlyoom", longest_gap_seconds=0.8),
            cell("leak", "limited", longest_gap_seconds=0.0),
            cell("wild", "limited", cpus=2, longest_gap_seconds=0.0),
        ]
    )
    losses = {(row.load, row.guard, row.cpus): row.losses for row in made if row.losses}
    assert losses == {
        ("wild", "overbook", 1): (
            "innocents lost: 1, 0 with limited",
            "longest gap: 1.5 s, 0.7 s with limited",
        )
    }


def test_a_difference_within_the_noise_is_no_loss() -> None:
    ours = cell("wild", "overbook", longest_gap_seconds=0.25, pace_percent=98.5)
    (row,) = [row for row in rows([ours, cell("wild", "limited")]) if row.guard == "overbook"]
    assert row.losses == ()
