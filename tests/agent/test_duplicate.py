import pytest

from overbook.agent.bridge import SeenLease
from overbook.agent.duplicate import SILENCE_SECONDS, DuplicateAgent, new_instance
from overbook.core.api.overcommit_node import OvercommitNodeStatus

EARLY, LATE = "000000000001-aaaaaa", "000000000002-bbbbbb"


def wrote(instance: str, at: int) -> OvercommitNodeStatus:
    return OvercommitNodeStatus(agent_instance=instance, observed_at=f"{at}")


def test_later_agents_compare_greater() -> None:
    assert new_instance(1_700_000_000.0) < new_instance(1_700_000_000.002) < new_instance(4_000_000_000.0)
    assert new_instance(1.0) != new_instance(1.0)


def test_an_old_write_is_no_sign_of_a_live_agent() -> None:
    """The old write is most likely the agent's own, from before it was killed with a wrong clock."""
    rival = DuplicateAgent(EARLY)
    for now in range(5):
        assert rival.seen(wrote(LATE, 1), SeenLease(), float(now)) == ("", "")


def test_older_agent_yields_to_live_newer_one() -> None:
    rival = DuplicateAgent(EARLY)
    rival.seen(wrote(EARLY, 1), SeenLease(), 0.0)
    assert rival.seen(wrote(LATE, 2), SeenLease(), 1.0) == (LATE, "")
    assert rival.seen(wrote(LATE, 2), SeenLease(), 1.0 + SILENCE_SECONDS) == (LATE, "")
    assert rival.seen(wrote(LATE, 2), SeenLease(), 1.1 + SILENCE_SECONDS) == ("", "")


def test_a_late_write_of_its_own_does_not_end_the_yielding() -> None:
    rival = DuplicateAgent(EARLY)
    rival.seen(wrote(EARLY, 1), SeenLease(), 0.0)
    assert rival.seen(wrote(LATE, 2), SeenLease(), 1.0) == (LATE, "")
    assert rival.seen(wrote(EARLY, 3), SeenLease(), 2.0) == (LATE, "")


def test_newer_agent_does_not_yield_and_learns_of_the_older() -> None:
    rival = DuplicateAgent(LATE)
    rival.seen(wrote(LATE, 1), SeenLease(), 0.0)
    assert rival.seen(wrote(EARLY, 2), SeenLease(), 1.0) == ("", "")
    said = SeenLease(second=f"{EARLY} then")
    assert rival.seen(wrote(LATE, 3), said, 2.0) == ("", EARLY)
    assert rival.seen(wrote(LATE, 4), said, 2.1 + SILENCE_SECONDS) == ("", "")


@pytest.mark.parametrize("own", [None, OvercommitNodeStatus()])
def test_an_object_without_an_agent_belongs_to_none(own: OvercommitNodeStatus | None) -> None:
    rival = DuplicateAgent(EARLY)
    rival.seen(wrote(EARLY, 1), SeenLease(), 0.0)
    assert rival.seen(own, SeenLease(), 1.0) == ("", "")


def test_older_agent_yields_while_another_renews_the_lease() -> None:
    rival = DuplicateAgent(EARLY)
    rival.seen(None, SeenLease(), 0.0)
    for minute in range(5):
        lease = SeenLease(holder=LATE, renewed=f"{minute}")
        assert rival.seen(None, lease, 60.0 * minute) == (LATE, "")
    assert rival.seen(None, lease, 240.1 + SILENCE_SECONDS) == ("", "")
