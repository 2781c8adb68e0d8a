import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.rank import rank_culprit


def candidate(
    name: str, over: int = 1, priority: int = 0, growth: float = 0.0, refaults: float = 0.0
) -> Candidate:
    return Candidate(name, name, 10**9, over, 0, priority, growth, refaults)


def beyond(name: str, bytes_: int, priority: int = 0, *, growth: int = 0, refaults: float = 0.0) -> Candidate:
    """Return a candidate beyond its covered memory, with what it takes and reads back in a second."""
    return Candidate(
        name,
        name,
        10**9,
        bytes_,
        bytes_,
        priority,
        growth_bytes_per_second=growth,
        beyond_bytes=bytes_,
        refaults_per_second=refaults,
    )


def order(*candidates: Candidate) -> str:
    ranked = {"".join(c.uid for c in rank_culprit(given)) for given in itertools.permutations(candidates)}
    assert len(ranked) == 1, "the order depends on the order in which candidates were found"
    return ranked.pop()


def test_blame_ranks_before_memory_over_the_request() -> None:
    assert order(candidate("o", over=5), candidate("g", over=-5, growth=1.0)) == "go"


def test_lower_priority_ranks_first_whatever_the_harm() -> None:
    assert order(candidate("a", priority=1, growth=1.0, refaults=1.0), candidate("b", priority=0)) == "ba"


def test_within_a_priority_growth_and_refaults_count_together() -> None:
    growing, stirring, both = (
        candidate("g", growth=0.5),
        candidate("r", refaults=0.3),
        candidate("b", growth=0.3, refaults=0.3),
    )
    assert order(growing, stirring, both) == "bgr"


def test_larger_holdings_decide_between_nearly_equal_shares() -> None:
    assert order(candidate("a", over=5, growth=0.50001), candidate("b", over=9, growth=0.5)) == "ba"


def test_a_pod_beyond_ranks_before_all_within_at_any_priority() -> None:
    within = candidate("w", over=10**9, priority=-1000, growth=1.0, refaults=1.0)
    assert order(within, beyond("b", 1, priority=10**9)) == "bw"


def test_among_pods_beyond_the_larger_burden_ranks_first() -> None:
    holds, grows, reads = beyond("h", 100), beyond("g", 10, growth=100), beyond("r", 50, refaults=1.0)
    # 100; 10 and ten seconds of 100; 50 and ten seconds of a page.
    assert order(holds, grows, reads) == "rgh"


def test_priority_decides_among_pods_of_similar_burden_only() -> None:
    first, second, small = (
        beyond("a", 100, priority=5),
        beyond("b", 60, priority=1),
        beyond("c", 40, priority=0),
    )
    assert order(first, second, small) == "bac"


def test_the_burden_of_a_pod_that_never_goes_counts_for_none() -> None:
    never = msgspec.structs.replace(beyond("n", 10**6), excluded="critical, static or mirror pod")
    assert order(never, beyond("a", 100, priority=1), beyond("b", 60)).replace("n", "") == "ba"


def test_no_candidate_is_lost_in_the_rank() -> None:
    @given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-2, 2), st.floats(0, 1), st.floats(0, 1))))
    def check(drawn: list[tuple[int, int, float, float]]) -> None:
        found = [
            beyond(f"{n:03}", over, priority) if over > 3 else candidate(f"{n:03}", over, priority, *shares)
            for n, (over, priority, *shares) in enumerate(drawn)
        ]
        ranked = rank_culprit(found)
        assert sorted(c.uid for c in ranked) == [c.uid for c in found]
        assert rank_culprit(reversed(found)) == ranked

    check()
