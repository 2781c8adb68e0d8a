import itertools

from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.rank import rank_culprit


def candidate(
    name: str, over: int = 1, priority: int = 0, growth: float = 0.0, refaults: float = 0.0
) -> Candidate:
    return Candidate(name, name, 10**9, over, 0, priority, growth, refaults)


def order(*candidates: Candidate) -> str:
    ranked = {"".join(c.uid for c in rank_culprit(given)) for given in itertools.permutations(candidates)}
    assert len(ranked) == 1, "the order depends on the order in which candidates were found"
    return ranked.pop()


def test_pods_over_their_request_rank_first_at_any_priority() -> None:
    assert order(candidate("w", over=0, priority=-5, growth=1.0), candidate("o", priority=1000)) == "ow"


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


def test_no_candidate_is_lost_in_the_rank() -> None:
    @given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-2, 2), st.floats(0, 1), st.floats(0, 1))))
    def check(drawn: list[tuple[int, int, float, float]]) -> None:
        found = [candidate(f"{n:03}", *each) for n, each in enumerate(drawn)]
        ranked = rank_culprit(found)
        assert sorted(c.uid for c in ranked) == [c.uid for c in found]
        assert rank_culprit(reversed(found)) == ranked

    check()
