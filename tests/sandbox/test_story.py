import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook_sandbox.demo.story import Hello, SampleEvent, Span, Story, read_event
from tests.sandbox.test_story_synthetic import bare_run, crashed_run, good_run, told, without_pace


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        "{",
        "[]",
        '{"event":"weather","at":1}',
        '{"at":1}',
        '{"event":"sample"}',
        '{"event":"sample","at":"noon"}',
        '{"event":"sample","at":1,"pods":[]}',
    ],
)
def test_a_line_that_is_no_event_is_ignored(line: str) -> None:
    assert read_event(line) is None


@given(st.text())
def test_no_text_makes_reading_fail(line: str) -> None:
    read_event(line)


def test_later_fields_are_ignored_and_missing_ones_unknown() -> None:
    event = read_event('{"event":"sample","at":3,"colour":"red","pods":{"web":{"mood":1}}}')
    assert isinstance(event, SampleEvent)
    assert event.pace is None
    assert event.pods["web"].memory_bytes is None


def test_a_hello_may_be_empty() -> None:
    event = read_event('{"event":"hello","at":0}')
    assert isinstance(event, Hello)
    story = Story(overbook=True)
    story.add(event)
    assert story.pod_names == ()


def test_samples_out_of_order_or_too_close_are_dropped() -> None:
    story = Story(overbook=True)
    for at in (1.0, 2.0, 1.5, 2.0, 2.003, 3.0):
        story.add(SampleEvent(at=at))
    assert [sample.at for sample in story.samples] == [1.0, 2.0, 3.0]


def test_time_begins_with_the_first_phase() -> None:
    late = [line if line["event"] == "hello" else line | {"at": line["at"] + 20.0} for line in good_run()]
    log = {"event": "log", "at": 5.0, "text": "starting"}
    story = told([late[0], log, *late[1:]])
    assert story.silences() == ()
    assert story.end == pytest.approx(112.0)
    assert story.phases[0].at == story.logs[0].at == 0.0
    assert story.gone[0].at == pytest.approx(69.4)


def test_the_pace_alone_leaves_out_the_first_two_seconds() -> None:
    story = Story(overbook=True)
    lines = ['{"event":"phase","at":0,"name":"alone"}']
    lines += [f'{{"event":"sample","at":{at},"pace":{5 if at <= 2 else 40}}}' for at in range(1, 11)]
    for line in [*lines, '{"event":"phase","at":10,"name":"fill"}']:
        event = read_event(line)
        assert event is not None
        story.add(event)
    assert story.pace_alone() == 40


def test_a_pace_counts_for_as_long_as_it_was_measured_over() -> None:
    story = Story(overbook=True)
    for at, pace in ((1.0, 40.0), (2.0, 40.0), (20.0, 0.0)):
        story.add(SampleEvent(at=at, pace=pace))
    assert story.pace(Span(0, 20)) == 4
    assert story.pace(Span(0, 2)) == 40
    assert story.pace(None) is None


def test_a_silence_is_known_and_not_drawn_over() -> None:
    (silence,) = told(bare_run()).silences()
    assert 20 < silence.seconds < 22


def test_a_node_that_stops_reporting_is_silent_to_the_end() -> None:
    story = told([line for line in good_run() if line["event"] != "sample" or line["at"] < 80])
    (silence,) = story.silences()
    assert silence.end == story.end == 112.0


def test_the_standstill_is_what_the_guest_measured() -> None:
    assert told(good_run()).longest_standstill(62.0) == 0.5
    standstill = told(bare_run()).longest_standstill(62.0)
    assert standstill is not None
    assert 27 < standstill < 29


@pytest.mark.parametrize(
    ("pace", "gap", "least"),
    [
        (0.0, None, 20.0),  # nothing finished in 20 s
        (0.05, None, 10.0),  # one unit: one of two gaps is at least half
        (None, None, 20.0),  # nothing known: the node did not even sample
        (40.0, 0.1, 0.1),  # the sampler was silent, but the work went on
        (0.0, 25.0, 25.0),  # it had begun before the silence
    ],
)
def test_a_silence_is_standstill_as_far_as_the_work_shows(
    pace: float | None, gap: float | None, least: float
) -> None:
    story = Story(overbook=False)
    story.add(SampleEvent(at=10.0, pace=40.0, gap_seconds=0.1))
    story.add(SampleEvent(at=30.0, pace=pace, gap_seconds=gap))
    assert story.longest_standstill(10.0) == pytest.approx(least, rel=0.01)


def test_a_standstill_goes_on_where_the_samples_end() -> None:
    lines = [line for line in bare_run() if line["event"] != "sample" or line["at"] < 80]
    standstill = told(lines).longest_standstill(62.0)
    assert standstill is not None
    assert standstill > 40


def test_a_paid_pod_that_left_stands_still_from_then_on() -> None:
    lines = [line | {"pod": "vm-paid"} if line["event"] == "gone" else line for line in good_run()]
    assert told(lines).longest_standstill(62.0) == pytest.approx(112.0 - 69.4)


def test_recovery_is_the_end_of_stalls_with_the_pace_restored() -> None:
    recovered = told(good_run()).recovered_at(62.0)
    assert recovered is not None
    assert 69.4 <= recovered < 74


@pytest.mark.parametrize("lines", [crashed_run(), without_pace(good_run())])
def test_an_unseen_recovery_is_not_claimed(lines: list[dict[str, object]]) -> None:
    assert told(lines).recovered_at(62.0) is None


def test_an_empty_story_has_no_facts_but_does_not_fail() -> None:
    story = Story(overbook=True)
    assert story.phase is None
    assert story.pace_alone() is None
    assert story.longest_standstill(0.0) is None
    assert story.recovered_at(0.0) is None
    assert story.silences() == ()
