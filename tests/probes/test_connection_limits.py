from hypothesis import given
from hypothesis import strategies as st

from overbook.probes.connection_limits import ConnectionLimits


def filled(**peers: int) -> ConnectionLimits[str]:
    limits: ConnectionLimits[str] = ConnectionLimits(8, 4)
    for peer, number in peers.items():
        for place in range(number):
            assert limits.add(f"{peer}{place}", peer) is None
    return limits


def test_the_longest_idle_of_an_address_with_its_share_goes() -> None:
    limits = filled(a=4)
    assert limits.add("new", "a") == "a0"
    assert limits.add("newer", "a") == "a1"


def test_the_address_with_the_most_loses_one_when_all_is_full() -> None:
    limits = filled(quiet=1, loud=4, other=3)
    assert limits.add("new", "server") == "loud0"


def test_never_answered_connections_go_first() -> None:
    limits = filled(a=4, b=4)
    limits.answered("a0")
    assert limits.add("new", "server") == "b0"
    assert limits.add("newer", "server") == "b1"


def test_answered_connections_leave_a_quarter_to_new_ones() -> None:
    limits = filled(a=4, b=4)
    for key in ("a0", "a1", "a2", "b0", "b1", "b2", "b3"):
        limits.answered(key)
    limits.answered("b0")
    assert limits.add("new", "server") == "b1"  # `a3` is the only one that may still be answered
    assert limits.add("newer", "server") == "a0"


def test_new_connections_of_an_answered_address_are_spared() -> None:
    limits: ConnectionLimits[str] = ConnectionLimits(40, 20)
    limits.add("kept", "server")
    limits.answered("kept")
    for number in range(10):
        limits.add(f"new{number}", "server")
    losers = [limits.add(f"{number}", f"stranger{number}") for number in range(2000)]
    assert [loser for loser in losers if loser is not None and loser.startswith(("new", "kept"))] == []


def test_strangers_with_one_answer_are_not_spared_for_ever() -> None:
    limits: ConnectionLimits[str] = ConnectionLimits(40, 20)
    for peer in ("a", "b"):
        for number in range(20):
            limits.add(f"{peer}{number}", peer)
        limits.answered(f"{peer}0")
    assert limits.add("first", "server") == "a1"
    assert limits.add("second", "server") == "b1"


def test_an_address_with_its_share_loses_an_idle_one_first() -> None:
    limits = filled(a=4)
    for key in ("a0", "a1", "a2"):
        limits.answered(key)
    assert limits.add("new", "a") == "a0"  # not `a3`, which may be in the middle of its handshake


def test_many_addresses_with_one_connection_each_lose_the_oldest() -> None:
    limits = filled(**dict.fromkeys("abcdefgh", 1))
    limits.answered("a0")
    assert limits.add("new", "server") == "b0"
    assert limits.add("newer", "another") == "c0"


def test_a_connection_that_is_closed_makes_room() -> None:
    limits = filled(a=4, b=4)
    limits.remove("b2")
    limits.remove("b2")
    assert limits.add("new", "server") is None
    assert len(limits) == 8


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["add", "remove", "answered"]))))
def test_the_limits_hold_whatever_comes(steps: list[tuple[str, str]]) -> None:
    limits: ConnectionLimits[int] = ConnectionLimits(5, 3)
    there: dict[int, str] = {}
    for number, (peer, what) in enumerate(steps):
        if what == "add":
            loser = limits.add(number, peer)
            if loser is not None:
                del there[loser]
            there[number] = peer
        else:
            chosen = next((key for key, one in there.items() if one == peer), -1)
            if what == "answered":
                limits.answered(chosen)
            else:
                limits.remove(chosen)
                there.pop(chosen, None)
        assert len(limits) == len(there) <= 5
        assert all(list(there.values()).count(each) <= 3 for each in "abcdef")
