from hypothesis import given
from hypothesis import strategies as st

from overbook.webhook.held_bytes import HeldBytes


def test_the_longest_holders_go_for_a_new_one() -> None:
    held: HeldBytes[str] = HeldBytes(100)
    assert held.add("old", 40) == []
    assert held.add("young", 40) == []
    assert held.add("old", 10) == []
    assert held.add("new", 60) == ["old"]
    assert held.total == 100


def test_more_than_all_of_it_is_refused_and_hurts_no_other() -> None:
    held: HeldBytes[str] = HeldBytes(100)
    assert held.add("other", 60) == []
    assert held.add("large", 101) is None
    assert held.add("large", 40) == []
    assert held.add("large", 61) is None
    assert held.total == 100


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["add", "less", "all"]), st.integers(1, 60)))
)
def test_the_sum_is_right_and_within_the_limit(steps: list[tuple[str, str, int]]) -> None:
    held: HeldBytes[str] = HeldBytes(100)
    there: dict[str, int] = {}
    for key, what, number in steps:
        if what == "add":
            losers = held.add(key, number)
            for loser in losers or ():
                del there[loser]
            if losers is not None:
                there[key] = there.get(key, 0) + number
        elif what == "less":
            held.release(key, number)
            there[key] = max(0, there.get(key, 0) - number)
        else:
            held.release(key)
            there.pop(key, None)
        there = {name: left for name, left in there.items() if left}
        assert held.total == sum(there.values()) <= 100
