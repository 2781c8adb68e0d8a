"""Searches for a density run in lanes, boot what may be needed next, survive a failure, and go on later."""

import pathlib
import threading

import pytest

from overbook_sandbox.density import guards
from overbook_sandbox.density.boots import KeptBoots
from overbook_sandbox.density.loads import Load
from overbook_sandbox.density.report.most import Density
from overbook_sandbox.density.result import Cell, Setup
from overbook_sandbox.density.search import bounds, counts_ahead
from overbook_sandbox.density.search_lanes import Searches
from overbook_sandbox.machine.errors import NodeError
from tests.sandbox.density.cells import cell, left

LIMITED, OVERBOOK = guards.find("limited"), guards.find("overbook")
FITS = 15


class Nodes:
    """Nodes that hold 15 pods without harm; a boot of a `slow` guard's count lasts until `stop`."""

    def __init__(self, slow: tuple[str, int] | None = None, fails: str = "") -> None:
        self.played: list[tuple[str, int]] = []
        self.stopped = threading.Event()
        self._slow = slow
        self._fails = fails

    def play(self, setup: Setup, load: Load, alone: Cell | None) -> Cell:
        count = len(load.pods)
        self.played.append((setup.guard, count))
        assert alone is None
        if (setup.guard, count) == self._slow:
            assert self.stopped.wait(20)
        if setup.guard == self._fails:
            raise NodeError("the node did not boot")
        lost = (left("vm-1", 3, guilty=False),) if count > FITS and setup.guard != "alone" else ()
        curve = tuple(count * second * 10 for second in (*range(21), 20))
        return cell(setup.load, setup.guard, left=lost, curve=curve, pace_percent=None)


def search(
    folder: pathlib.Path, nodes: Nodes, *names: str, lanes: int = 1, keep: bool = False
) -> tuple[int, list[Density], list[str]]:
    kept = KeptBoots(str(folder), keep=keep)
    found: list[Density] = []
    said: list[str] = []
    chosen = [guards.find(name) for name in names]
    searches = Searches(nodes.play, "vms", chosen, 1, 1, None, kept, said.append)
    try:
        return searches.run(lanes, nodes.stopped.set, found.append), found, said
    finally:
        kept.close()


def test_pods_are_compared_with_as_many_alone(tmp_path: pathlib.Path) -> None:
    nodes = Nodes()
    failed, (limited, overbook), said = search(tmp_path, nodes, "limited", "overbook")
    assert failed == 0
    assert nodes.played[0] == ("alone", bounds("vms", 200)[1])
    assert (limited.guard, limited.most, limited.percent, limited.swap_mib) == ("limited", FITS, 150, 512)
    assert (overbook.guard, overbook.percent) == ("overbook", 200)
    assert {trial.pace_percent for trial in limited.trials} == {100.0}
    first_count = bounds("vms", 150)[1]
    assert said[0] == f"{first_count} vms · limited 150 %: harm (1 lost, pace 100 %, gap 0.1 s)"
    assert len(said) == len(limited.trials) + len(overbook.trials) == len(nodes.played) - 1


def test_one_lane_boots_only_what_a_search_needs(tmp_path: pathlib.Path) -> None:
    nodes = Nodes()
    _, (found,), _ = search(tmp_path, nodes, "limited")
    assert [count for _, count in nodes.played[1:]] == [trial.count for trial in found.trials]


@pytest.mark.parametrize("lanes", [2, 3, 5])
def test_more_lanes_boot_ahead_and_find_the_same(tmp_path: pathlib.Path, lanes: int) -> None:
    _, one_lane, _ = search(tmp_path / "one", Nodes(), "limited", "overbook")
    nodes = Nodes()
    _, found, _ = search(tmp_path / "more", nodes, "limited", "overbook", lanes=lanes)
    assert sorted(found, key=lambda one: one.guard) == one_lane
    assert len(set(nodes.played)) == len(nodes.played)


def test_a_lane_that_waits_for_the_last_search_boots_both_ways(tmp_path: pathlib.Path) -> None:
    _, (found,), _ = search(tmp_path / "before", Nodes(), "limited")
    slow = Nodes(slow=("limited", found.trials[0].count))
    slow.stopped.set()
    search(tmp_path / "after", slow, "limited", lanes=3)
    assert slow.played[:3] == [
        ("alone", bounds("vms", 150)[1]),
        ("limited", found.trials[0].count),
        ("limited", found.trials[1].count),
    ]


def test_a_boot_that_is_no_longer_needed_is_stopped(tmp_path: pathlib.Path) -> None:
    bounded = bounds("vms", 150)
    tried = {trial.count for trial in search(tmp_path / "before", Nodes(), "limited")[1][0].trials}
    unneeded = next(count for count in counts_ahead(*bounded, {}) if count not in tried)
    nodes = Nodes(slow=("limited", unneeded))
    _, (found,), _ = search(tmp_path / "after", nodes, "limited", lanes=20)
    assert ("limited", unneeded) in nodes.played
    assert found.most == FITS


def test_a_stopped_search_goes_on_with_the_boots_it_has(tmp_path: pathlib.Path) -> None:
    def interrupted(setup: Setup, load: Load, alone: Cell | None) -> Cell:
        if len(nodes.played) == 4:
            raise KeyboardInterrupt
        return Nodes.play(nodes, setup, load, alone)

    _, whole, _ = search(tmp_path / "whole", Nodes(), "limited", "overbook")
    nodes = Nodes()
    nodes.play = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, nodes, "limited", "overbook")
    assert nodes.stopped.is_set()

    later = Nodes()
    _, found, said = search(tmp_path, later, "limited", "overbook", keep=True)
    assert found == whole
    assert not set(later.played) & set(nodes.played)
    assert len(said) == sum(len(density.trials) for density in whole)

    anew = Nodes()
    search(tmp_path, anew, "limited", "overbook")
    assert set(anew.played) == {*later.played, *nodes.played}


def test_boots_of_another_seed_or_guard_are_not_used(tmp_path: pathlib.Path) -> None:
    search(tmp_path, Nodes(), "limited")
    kept = KeptBoots(str(tmp_path), keep=True)
    nodes = Nodes()
    Searches(nodes.play, "vms", [LIMITED], 1, 2, None, kept, print).run(1, nodes.stopped.set, print)
    kept.close()
    assert len(nodes.played) > 1
    other = Nodes()
    search(tmp_path, other, "earlyoom", keep=True)
    assert {guard for guard, _ in other.played} == {"earlyoom"}


def test_a_search_that_fails_is_said_and_the_others_go_on(tmp_path: pathlib.Path) -> None:
    failed, found, said = search(tmp_path, Nodes(fails="limited"), "limited", "overbook", lanes=2)
    assert failed == 1
    assert [density.guard for density in found] == ["overbook"]
    assert "limited: the node did not boot" in said


def test_a_search_without_the_pods_alone_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NodeError):
        search(tmp_path, Nodes(fails="alone"), "limited", lanes=2)
