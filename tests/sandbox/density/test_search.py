"""The search for a density, on a node that holds a known number of pods."""

import pytest

from overbook_sandbox.density import guards
from overbook_sandbox.density.loads import PROCESS_MIB, Load
from overbook_sandbox.density.report.most import Kind, Trial
from overbook_sandbox.density.result import Cell, Setup
from overbook_sandbox.density.search import MEMORY_MIB, MOST_BOOTS, Searcher, bounds, load_of, search
from tests.sandbox.density.cells import cell, left


def attempts_until(limit: int) -> list[int]:
    tried: list[int] = []

    def attempt(count: int) -> Trial:
        tried.append(count)
        return Trial(count=count, harmless=count <= limit, pace_percent=100, lost=0)

    most, trials = search(12, 23, attempt)
    assert [trial.count for trial in trials] == tried
    assert len(tried) <= MOST_BOOTS
    assert most == max([count for count in tried if count <= limit], default=0)
    return tried


def test_the_largest_count_is_tried_first_and_suffices() -> None:
    assert attempts_until(30) == [23]


@pytest.mark.parametrize("limit", range(12, 23))
def test_a_limit_above_the_likely_count_is_found_to_within_one(limit: int) -> None:
    assert limit - max(count for count in attempts_until(limit) if count <= limit) <= 1


@pytest.mark.parametrize("limit", range(6, 12))
def test_a_lower_limit_is_found_roughly(limit: int) -> None:
    assert any(count <= limit for count in attempts_until(limit))


@pytest.mark.parametrize("percent", [100, 150, 200])
@pytest.mark.parametrize("kind", ["vms", "sandboxes"])
def test_the_largest_load_fits_by_its_requests_and_by_memory(kind: Kind, percent: int) -> None:
    likely, most = bounds(kind, percent)
    assert likely <= most
    load = load_of(kind, most, percent)
    assert sum(pod.request_mib for pod in load.pods) <= MEMORY_MIB
    assert sum(pod.held_mib for pod in load.pods) <= MEMORY_MIB + load.swap_mib
    assert len({pod.name for pod in load.pods}) == most
    if kind == "vms" and percent > 100:
        assert all(load.covered_mib(pod) >= pod.held_mib - PROCESS_MIB for pod in load.pods)


def test_pods_are_compared_with_as_many_alone() -> None:
    played: list[tuple[Setup, Load]] = []
    _, alone_count = bounds("vms", 200)
    _, first_count = bounds("vms", 150)

    def play(setup: Setup, load: Load, alone: Cell | None) -> Cell:
        played.append((setup, load))
        if alone is None:
            return cell(setup.load, setup.guard)
        lost = (left("vm-1", 3, guilty=False),) if len(load.pods) > 15 else ()
        return cell(setup.load, setup.guard, left=lost, pace_percent=100 * len(load.pods) / alone_count)

    said: list[str] = []
    chosen = [guards.find("limited"), guards.find("overbook")]
    searcher = Searcher(play, "vms", 1, 1)
    searcher.measure_alone(chosen)
    assert (played[0][0].guard, len(played[0][1].pods)) == ("alone", alone_count)

    limited = searcher.density(chosen[0], said.append)
    assert (limited.most, limited.percent, limited.swap_mib) == (15, 150, 512)
    assert {trial.pace_percent for trial in limited.trials} == {100.0}
    assert said[0] == f"{first_count} vms · limited 150 %: harm (1 lost, pace 100 %, gap 0.1 s)"
    assert len(said) == len(limited.trials)
