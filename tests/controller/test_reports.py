from overbook.controller.reports import Reports


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def heard(seconds: float, time: Time, reports: Reports) -> None:
    """Let the API server answer all the time."""
    for _ in range(int(seconds)):
        time.now += 1
        reports.contact(time.now)


def test_an_agent_that_writes_nothing_new_becomes_silent() -> None:
    time = Time()
    reports = Reports(time)
    reports.reported("n", "10:00:00")
    heard(89, time, reports)
    reports.reported("n", "10:00:00")
    assert not reports.is_stale("n", 90)
    heard(2, time, reports)
    assert reports.is_stale("n", 90)
    reports.reported("n", "10:02:00")
    assert not reports.is_stale("n", 90)


def test_an_agents_clock_does_not_matter() -> None:
    time = Time()
    reports = Reports(time)
    for date in ("1999-01-01", "2099-01-01", "1999-01-01"):
        reports.reported("n", date)
        heard(60, time, reports)
        assert not reports.is_stale("n", 90)


def test_an_agent_that_never_wrote_becomes_silent_as_late() -> None:
    time = Time()
    reports = Reports(time)
    assert not reports.is_stale("n", 90)
    heard(100, time, reports)
    assert reports.is_stale("n", 90)


def test_no_agent_becomes_silent_in_an_api_outage_or_right_after() -> None:
    time = Time()
    reports = Reports(time)
    reports.reported("n", "10:00:00")
    heard(5, time, reports)
    last = time.now
    for _ in range(600):
        time.now += 1
        reports.contact(last)
        assert not reports.is_stale("n", 90)
    heard(80, time, reports)
    assert not reports.is_stale("n", 90), "agents need time to come back, too"
    heard(20, time, reports)
    assert reports.is_stale("n", 90)
