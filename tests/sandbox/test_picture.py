import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook_sandbox.demo import picture_parts as parts
from overbook_sandbox.demo.picture import svg
from overbook_sandbox.demo.picture_notes import MOST_NOTES, notes_of
from overbook_sandbox.demo.picture_rows import rows, stretches
from overbook_sandbox.demo.story import DecisionEvent, SampleEvent, Story
from tests.sandbox.test_story_synthetic import (
    bare_run,
    crashed_run,
    good_run,
    told,
    without_pace,
    wrong_pod_run,
)


def drawn(*stories: Story) -> ET.Element:
    return ET.fromstring(svg(stories))  # noqa: S314 - our own document


def words(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.findall(".//{*}text")]


@pytest.mark.parametrize(
    "stories",
    [
        [good_run(), bare_run()],
        [good_run()],
        [wrong_pod_run(), crashed_run()],
        [without_pace(good_run()), without_pace(bare_run())],
        [good_run()[:1], bare_run()[:3]],
        [crashed_run(1.0)],
    ],
)
def test_every_story_makes_a_picture_with_text_inside_it(
    stories: list[list[dict[str, Any]]],
) -> None:
    picture = drawn(*map(told, stories))
    width, height = map(float, picture.attrib["viewBox"].split()[2:])
    for element in picture.findall(".//{*}text"):
        assert float(element.attrib["font-size"]) >= 11
        assert 0 <= float(element.attrib["x"]) <= width
        assert 0 <= float(element.attrib["y"]) <= height
    numbers = re.findall(r"-?\d+\.\d", " ".join(path.attrib["d"] for path in picture.findall(".//{*}path")))
    assert all(-1 <= float(number) <= max(width, height) for number in numbers)


def test_stories_without_a_single_event_make_a_picture() -> None:
    assert "not known: the pace alone was not measured" in words(
        drawn(Story(overbook=True), Story(overbook=False))
    )


def test_the_picture_shows_which_pods_left_and_why() -> None:
    said = " ".join(words(drawn(told(good_run()), told(bare_run())))).replace("\u00a0", " ")
    assert "68.3 s · swap traffic above 1000 pages/s both ways for 5 s" in said
    assert "90.1 s · vm-a: killed by the kernel (OOM)" in said
    assert "longest standstill: 28.3 s" in said


def test_a_silence_is_a_labelled_gap() -> None:
    story = told(bare_run())
    assert len(list(stretches(story))) == 2
    assert "no sample: the node did not answer" in words(drawn(story))
    assert "no sample: the node did not answer" not in words(drawn(told(good_run())))


def test_nodes_shown_together_have_the_same_scales() -> None:
    both = rows([told(good_run()), told(bare_run())])
    alone = rows([told(good_run())])
    assert (
        next(row for row in both if "traffic" in row.title).high
        > next(row for row in alone if "traffic" in row.title).high
    )


def test_words_from_a_node_cannot_break_the_document() -> None:
    story = told(good_run())
    story.decisions.append(
        DecisionEvent(at=70.0, action="relieve", sentence='<b> & "q" \x00\x1b[31m \ud800 \uffff')
    )
    assert any("<b> &" in line for line in words(drawn(story)))


def test_many_decisions_keep_to_the_ones_worth_a_number() -> None:
    story = told(good_run())
    story.decisions += [
        DecisionEvent(at=70 + i, action="reclaim", rule=f"r{i}", sentence="again") for i in range(20)
    ]
    notes = notes_of(story)
    assert len(notes) == MOST_NOTES
    assert {"vm-c: killed by Overbook"} <= {note.sentence for note in notes}
    assert any("demo/vm-c has to leave the node" in note.sentence for note in notes)


def test_decisions_that_repeat_share_a_number() -> None:
    story = Story(overbook=True)
    for at in (1.0, 2.0, 3.0):
        story.add(DecisionEvent(at=at, action="wait", rule="r", sentence="vm-c is leaving"))
    (note,) = notes_of(story)
    assert note.sentence == "vm-c is leaving (and 2 more until 3.0 s)"


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=0, max_value=1e300),
    st.floats(min_value=0, max_value=1e300),
)
def test_absurd_numbers_are_drawn_somewhere(at: float, traffic: float, stall: float) -> None:
    story = Story(overbook=True)
    story.add(SampleEvent(at=1.0, pace=1.0))
    story.add(SampleEvent(at=at, swap_in_pages_per_second=traffic, stall_full_percent=stall, pace=stall))
    drawn(story)


@given(st.floats(min_value=-1, max_value=1e300), st.integers(1, 8))
def test_ticks_are_few_and_within_the_scale(high: float, wanted: int) -> None:
    ticks = parts.ticks(high, wanted)
    assert ticks[0] == 0
    assert len(ticks) <= wanted + 1
    assert ticks[-1] <= max(0.0, high) * 1.001


@given(st.lists(st.floats(min_value=0, max_value=300), max_size=8).map(sorted))
def test_labels_keep_their_distance(wanted: list[float]) -> None:
    placed = parts.spread(wanted, 13, 0, 300)
    assert all(later - earlier > 12.99 for earlier, later in pairwise(placed))
    assert all(-0.01 <= place <= 300.01 for place in placed)
