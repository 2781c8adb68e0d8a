"""The search for a density, on a node that holds a known number of pods."""

import pytest

from overbook_sandbox.density.loads import PROCESS_MIB
from overbook_sandbox.density.report.most import Kind
from overbook_sandbox.density.search import MEMORY_MIB, MOST_BOOTS, bounds, counts_ahead, load_of, steps


def attempts_until(limit: int) -> list[int]:
    tried: list[int] = []
    while (count := steps(12, 23, {one: one <= limit for one in tried}).next_count) is not None:
        tried.append(count)
    found, most, _ = steps(12, 23, {one: one <= limit for one in range(30)})
    assert found == tuple(tried)
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


def test_the_counts_ahead_are_the_next_one_and_both_that_follow() -> None:
    first, after_harm, *_ = counts_ahead(12, 23, {})
    assert (first, after_harm) == (23, steps(12, 23, {23: False}).next_count)
    ahead = list(counts_ahead(12, 23, {23: False}))
    assert ahead[:3] == [17, 14, 20]
    assert set(attempts_until(18)) < {23, *ahead}
    assert list(counts_ahead(12, 23, {23: True})) == []
