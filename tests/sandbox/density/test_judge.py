"""A cell's result follows from its trace."""

import msgspec
import pytest

from overbook_sandbox.density import judge
from overbook_sandbox.density.catalog import find
from overbook_sandbox.density.result import Cell, Setup, as_json, key, read_cells
from overbook_sandbox.density.trace import Left
from tests.sandbox.density.traces import LOAD, end, left, pod, point, working

SETUP = Setup(load="made", guard="limited", cpus=1, seed=1, run=0)
ALONE = judge.cell(SETUP, LOAD, working(20), (), end(20), None)


def test_innocent_pods_units_count_from_the_event_on() -> None:
    assert ALONE.work_units == 400
    assert ALONE.curve[:3] == (0, 20, 40)
    assert ALONE.pace_percent is None


@pytest.mark.parametrize(("seconds", "rate", "percent"), [(20, 10, 100), (20, 5, 50), (7, 10, 100)])
def test_pace_compares_with_the_same_time_alone(seconds: int, rate: int, percent: float) -> None:
    made = judge.cell(SETUP, LOAD, working(seconds, rate), (), end(seconds), ALONE)
    assert made.pace_percent == pytest.approx(percent)


def test_pace_after_the_end_of_the_run_alone_goes_on_as_before() -> None:
    made = judge.cell(SETUP, LOAD, working(21), (), end(21), ALONE)
    assert made.pace_percent == pytest.approx(100, abs=0.5)


def test_a_guilty_pod_that_left_is_no_lost_innocent() -> None:
    made = judge.cell(SETUP, LOAD, working(20), [left("vm-x", 9, 8)], end(20), ALONE)
    assert (made.innocents_lost, made.guilty_left) == (0, 1)
    assert made.left[0].guilty


def test_an_innocent_pod_that_left_is_lost_also_before_the_event() -> None:
    lefts = [left("vm-x", 9), left("vm-1", -3, -4)]
    made = judge.cell(SETUP, LOAD, working(20), lefts, end(20), ALONE)
    assert (made.innocents_lost, made.guilty_left) == (1, 1)
    assert [one.pod for one in made.left] == ["vm-1", "vm-x"]
    assert [one.how for one in made.left] == ["guard", "kernel"]


def test_a_pod_that_has_to_go_is_not_lost() -> None:
    storm = msgspec.structs.replace(LOAD, guilty=(), must_go=1)
    alone = judge.cell(SETUP, storm, working(20), (), end(20), None)
    rest = [
        point(at, vm_1=pod(int(10 * at)), vm_2=pod(0, alive=False), vm_x=pod(int(10 * at)))
        for at in range(21)
    ]
    made = judge.cell(SETUP, storm, rest, [left("vm-2", 0.5, 0.2)], end(20), alone)
    assert made.innocents_lost == 0
    assert made.pace_percent == pytest.approx(100 * 400 / (400 * 2 / 3))


def test_harm_is_half_a_second_without_work_of_an_innocent_pod() -> None:
    points = [*working(3), point(3.5, vm_1=pod(0, gap=0.9), vm_2=pod(0))]
    assert judge.harm_at(points, ["vm-1", "vm-2"]) == pytest.approx(3.1)
    assert judge.harm_at(points, ["vm-2"]) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [("vm_1", 4), ("vm_x", None)],
)
def test_harm_is_a_stall_of_an_innocent_pod_only(name: str, found: float | None) -> None:
    points = [point(-1, **{name: pod(0, some=90)}), point(4, **{name: pod(0, some=21)})]
    assert judge.harm_at(points, ["vm-1", "vm-2"]) == found


@pytest.mark.parametrize(
    ("harm", "one", "seconds"),
    [
        (3.0, left("vm-x", 9, 8), 5.0),
        (9.0, left("vm-x", 9, 8), 0.0),
        (3.0, left("vm-x", 9), 6.0),
        (None, left("vm-x", 9, 8), None),
        (3.0, left("vm-1", 9, 8), None),
    ],
)
def test_the_right_decision_is_that_for_a_guilty_pod(
    harm: float | None, one: Left, seconds: float | None
) -> None:
    assert judge.decision_seconds(LOAD, [one], harm) == seconds


def test_a_decision_for_an_innocent_pod_that_has_to_go_counts() -> None:
    assert judge.decision_seconds(find("storm"), [left("vm-1", -2, -3), left("vm-2", 6, 5)], 1.0) == 4.0


def test_a_guilty_pod_is_beyond_by_what_it_really_holds() -> None:
    covered = LOAD.covered_mib(LOAD.pods[2])
    assert not judge.guilty_beyond(LOAD, point(1, vm_x=pod(0, memory=covered, swap=20, cached=20)))
    assert judge.guilty_beyond(LOAD, point(1, vm_x=pod(0, memory=covered - 10, swap=20, cached=9)))
    assert not judge.guilty_beyond(LOAD, point(1, vm_1=pod(0, memory=2 * covered)))


def test_memory_in_swap_is_given_back_unless_it_is_in_ram_too() -> None:
    last = point(9, vm_1=pod(0, swap=50, cached=20), vm_2=pod(0, swap=10, alive=False), vm_x=pod(0, swap=99))
    assert judge.given_back_mib(last, LOAD.innocent) == 30


def test_the_longest_gap_is_that_of_an_innocent_pod() -> None:
    made = judge.cell(SETUP, LOAD, working(20), (), end(20, vm_1=0.3, vm_2=1.2, vm_x=9), ALONE)
    assert made.longest_gap_seconds == 1.2


def test_cells_survive_a_file_and_the_latest_counts() -> None:
    later = msgspec.structs.replace(ALONE, work_units=7)
    lines = [msgspec.json.encode(ALONE), b"", msgspec.json.encode(later)]
    assert read_cells(lines) == {key(SETUP): later}
    assert msgspec.json.decode(as_json([later]), type=list[Cell]) == [later]
