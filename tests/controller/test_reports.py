"""An agent is silent if its report did not come while the reports were heard; a dead watch proves nothing."""

from overbook.controller.reports import Reports


class Heard:
    """The time in which the watch of the reports was heard."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_an_agent_that_writes_nothing_new_becomes_silent() -> None:
    heard = Heard()
    reports = Reports(heard)
    reports.reported("n", "10:00:00")
    heard.seconds += 89
    reports.reported("n", "10:00:00")
    assert not reports.is_stale("n", 90)
    heard.seconds += 2
    assert reports.is_stale("n", 90)
    reports.reported("n", "10:02:00")
    assert not reports.is_stale("n", 90)


def test_an_agents_clock_does_not_matter() -> None:
    heard = Heard()
    reports = Reports(heard)
    for date in ("1999-01-01", "2099-01-01", "1999-01-01"):
        reports.reported("n", date)
        heard.seconds += 60
        assert not reports.is_stale("n", 90)


def test_an_agent_that_never_wrote_becomes_silent_as_late() -> None:
    heard = Heard()
    reports = Reports(heard)
    assert not reports.is_stale("n", 90)
    heard.seconds += 100
    assert reports.is_stale("n", 90)
