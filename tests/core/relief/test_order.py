import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.api.overcommit_node import ReliefCandidate
from overbook.core.relief.order import in_order, seconds_to_move
from tests.core.relief.relief_world import GI, candidate

MI = 2**20


def names(*candidates: ReliefCandidate, rank: str = "culprit") -> str:
    return "".join(each.name for each in in_order(candidates, rank, 600))


def test_the_agents_order_holds_between_unequal_candidates() -> None:
    assert names(candidate("a", usage_bytes=9 * GI, blame=1.5), candidate("b", blame=0.2)) == "ab"
    assert names(candidate("a", usage_bytes=9 * GI), candidate("b", priority=5)) == "ab"
    assert names(candidate("a", usage_bytes=9 * GI), candidate("b", over_request_bytes=0)) == "ab"


def test_small_unswapped_and_quiet_pods_are_first_among_equals() -> None:
    large = candidate("l", virtual_machine=True, usage_bytes=8 * GI)
    small = candidate("s", virtual_machine=True)
    swapped = candidate("w", virtual_machine=True, swap_bytes=GI)
    busy = candidate("b", virtual_machine=True, growth_bytes_per_second=120 * MI)
    assert names(large, busy, swapped, small) == "swlb"


def test_equal_blame_does_not_chain() -> None:
    chain = [
        candidate(f"{n}", virtual_machine=True, usage_bytes=(9 - n) * GI, blame=1 - n / 12) for n in range(4)
    ]
    assert names(*chain) == "1032"


def test_movable_pods_are_before_others_and_slow_ones_last() -> None:
    pod = candidate("p", usage_bytes=MI)
    movable = candidate("v", virtual_machine=True, usage_bytes=4 * GI)
    endless = candidate("e", virtual_machine=True, usage_bytes=500 * GI)
    assert names(endless, pod, movable) == "vpe"


def test_the_original_rank_knows_no_equals() -> None:
    assert (
        names(candidate("a", usage_bytes=9 * GI), candidate("b", virtual_machine=True), rank="original")
        == "ab"
    )


def test_excluded_candidates_are_left_out() -> None:
    assert names(candidate("a", excluded="critical"), candidate("b")) == "b"


def test_time_to_move_counts_memory_swap_and_dirtied_pages() -> None:
    assert seconds_to_move(candidate("a", usage_bytes=GI)) == pytest.approx(8)
    assert seconds_to_move(candidate("a", usage_bytes=GI, swap_bytes=GI // 2)) == pytest.approx(16)
    assert seconds_to_move(candidate("a", usage_bytes=GI, growth_bytes_per_second=64 * MI)) == pytest.approx(
        16
    )


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.integers(-(2**40), 2**40))
def test_time_to_move_is_always_a_number(usage: int, swap: int, growth: int) -> None:
    seconds = seconds_to_move(
        candidate("a", usage_bytes=usage, swap_bytes=swap, growth_bytes_per_second=growth)
    )
    assert seconds >= 0
    assert math.isfinite(seconds)
