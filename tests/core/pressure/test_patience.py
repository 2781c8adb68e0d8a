import itertools

from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.patience import (
    FAR_PERCENT,
    documented_seconds,
    share_to_blame,
    stall_seconds,
    urgent_seconds,
)
from overbook.core.pressure.reclaim import ReclaimPolicy
from tests.core.simulated_node import GI, MI

FAR = int(GI * FAR_PERCENT / 100) + 1
POLICY = ReclaimPolicy()


def candidate(beyond: int, *, growth: int = 0, excluded: str = "") -> Candidate:
    return Candidate(
        "a", "demo/a", GI, 0, 0, 0, excluded=excluded, growth_bytes_per_second=growth, beyond_bytes=beyond
    )


def share(beyond: int, *others: Candidate) -> float:
    return share_to_blame([candidate(beyond), *others], GI)


def test_patience_falls_from_within_to_far_beyond() -> None:
    assert [stall_seconds(POLICY, share(beyond)) for beyond in (0, FAR, 10 * FAR)] == [15, 2, 2]
    assert [documented_seconds(POLICY, share(beyond)) for beyond in (FAR, 10 * FAR)] == [0, 0]
    assert [urgent_seconds(10.0, share(beyond)) for beyond in (0, FAR)] == [2, 10]


def test_patience_has_no_edge_and_never_grows_with_the_excess() -> None:
    @given(st.integers(0, 2 * FAR), st.integers(0, MI))
    def check(beyond: int, more: int) -> None:
        less, far = share(beyond), share(beyond + more)
        assert 0 <= less <= far <= 1
        # One MiB is a tenth of what is far beyond on this node.
        assert far - less <= more / (GI * FAR_PERCENT / 100) + 1e-9
        assert stall_seconds(POLICY, far) <= stall_seconds(POLICY, less)
        assert documented_seconds(POLICY, far) <= documented_seconds(POLICY, less)
        assert urgent_seconds(10.0, less) <= urgent_seconds(10.0, far)

    check()


def test_a_node_on_which_all_are_within_has_no_haste() -> None:
    assert share(0, candidate(0, growth=100 * MI)) == 0.0
    assert documented_seconds(POLICY, 0.0) == float("inf")


def test_patience_is_long_with_a_pod_that_is_not_the_cause() -> None:
    grows = candidate(0, growth=100 * MI)
    shares = [share(2 * FAR, *itertools.repeat(grows, count)) for count in range(5)]
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.1


def test_a_pod_that_may_not_be_evicted_gets_no_blame() -> None:
    assert share_to_blame([candidate(FAR, excluded="critical")], GI) == 0.0
    assert share_to_blame([], GI) == 0.0
    assert share_to_blame([candidate(FAR)], 0) == 0.0


def test_patience_runs_between_the_two_settings() -> None:
    equal = ReclaimPolicy(patience_seconds=5.0, promise_patience_seconds=5.0)
    assert {stall_seconds(equal, share(beyond)) for beyond in (0, MI, FAR)} == {5.0}
    assert urgent_seconds(1.0, 1.0) == urgent_seconds(1.0, 0.0) == 2.0
