"""An agent is silent if no sign of life came while the heartbeats were heard; a dead watch proves nothing."""

from overbook.controller.reports import Reports


class Heard:
    """The time in which the watch of the heartbeats was heard."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_an_agent_that_writes_nothing_new_becomes_silent() -> None:
    heard = Heard()
    reports = Reports(heard)
    reports.seen("n", "Lease", "10:00:00")
    heard.seconds += 89
    reports.seen("n", "Lease", "10:00:00")
    assert not reports.is_stale("n", 90)
    heard.seconds += 2
    assert reports.is_stale("n", 90)
    reports.seen("n", "Lease", "10:02:00")
    assert not reports.is_stale("n", 90)


def test_an_agents_clock_does_not_matter() -> None:
    heard = Heard()
    reports = Reports(heard)
    for date in ("1999-01-01", "2099-01-01", "1999-01-01"):
        reports.seen("n", "Lease", date)
        heard.seconds += 60
        assert not reports.is_stale("n", 90)


def test_an_agent_that_never_wrote_becomes_silent_as_late() -> None:
    heard = Heard()
    reports = Reports(heard)
    assert not reports.is_stale("n", 90)
    heard.seconds += 100
    assert reports.is_stale("n", 90)


def test_a_report_counts_from_when_it_came() -> None:
    """The watch of the heartbeats was last heard a while before; it is not the report's."""
    heard, now = Heard(), Heard()
    reports = Reports(heard, now)
    now.seconds = 50  # and nothing was heard of the Leases
    reports.seen("n", "Report", "10:00:50")
    heard.seconds = now.seconds = 130
    assert not reports.is_stale("n", 90)
    heard.seconds = now.seconds = 140
    assert reports.is_stale("n", 90)


def test_a_lease_and_a_report_are_each_a_sign_of_life() -> None:
    """An agent of an earlier version has no Lease; one with a Lease writes its report seldom."""
    heard = Heard()
    reports = Reports(heard)
    reports.seen("old", "Report", "10:00:00")
    reports.seen("new", "Lease", "10:00:00")
    reports.seen("new", "Report", "10:00:00")
    for minute in range(1, 4):
        heard.seconds += 60
        reports.seen("old", "Report", f"10:0{minute}:00")
        reports.seen("new", "Lease", f"10:0{minute}:00")
        assert not reports.is_stale("old", 90)
        assert not reports.is_stale("new", 90)
    heard.seconds += 91
    reports.seen("new", "Report", "10:00:00")
    assert reports.is_stale("old", 90)
    assert reports.is_stale("new", 90)
    reports.forget("new")
    assert not reports.is_stale("new", 90)
