import io
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from overbook_sandbox.demo.live_view import LiveView, PlainView, bar, panel_lines, sparkline, view_for
from overbook_sandbox.demo.story import StepEvent, Story, read_event
from tests.sandbox.test_story_synthetic import (
    bare_run,
    crashed_run,
    good_run,
    jsonl,
    told,
    without_pace,
)

ALL_RUNS = [good_run(), bare_run(), crashed_run(), without_pace(good_run()), good_run()[:1]]


def plain(lines: list[dict[str, Any]], *, verbose: bool = False) -> list[str]:
    out = io.StringIO()
    story = Story(overbook=bool(lines[0]["overbook"]))
    with view_for([story], out, verbose=verbose) as view:
        for line in jsonl(lines).decode().splitlines():
            event = read_event(line)
            assert event is not None
            view.show(story, story.add(event))
            view.tick()
    return out.getvalue().splitlines()


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(view_for([], io.StringIO()), PlainView)


def test_plain_lines_show_phases_decisions_and_departures() -> None:
    lines = plain(good_run())
    assert "[with      62.0 s] phase: wild" in lines
    assert "[with      69.4 s] gone: vm-c, killed by overbook" in lines
    assert any("68.3 s] relieve: swap traffic above 1000 pages/s" in line for line in lines)


def test_a_status_line_comes_about_every_five_seconds() -> None:
    statuses = [line for line in plain(good_run()) if "] memory " in line]
    assert 18 <= len(statuses) <= 24


def test_a_silence_is_shown_when_it_ends() -> None:
    assert any("no sample for 21" in line for line in plain(bare_run()))


def test_the_agents_log_is_shown_only_when_requested() -> None:
    lines = [good_run()[0], {"event": "log", "at": 1.0, "text": "kept swap limits"}]
    assert not any("kept swap limits" in line for line in plain(lines))
    assert any("log: kept swap limits" in line for line in plain(lines, verbose=True))


@pytest.mark.parametrize("lines", ALL_RUNS)
@pytest.mark.parametrize("room", [10, 40, 60, 120])
def test_panels_fit_their_room_whatever_is_missing(lines: list[dict[str, Any]], room: int) -> None:
    assert all(len(line) <= room for line in panel_lines(told(lines), room, 7.0, verbose=True))


def test_a_panel_shows_pods_with_allowance_and_last_decision() -> None:
    text = "\n".join(panel_lines(told(good_run()), 80))
    assert "vm-c           0 Mi     0 Mi     160 Mi  killed by overbook" in text
    assert "68 s: swap traffic above 1000 pages/s" in text
    assert "% of alone" in text


def test_a_silent_node_is_shown_as_silent_while_it_is() -> None:
    assert "no sample for 7 s" in panel_lines(told(crashed_run()), 80, 7.0)[0]
    assert "no sample" not in panel_lines(told(crashed_run()), 80, 1.0)[0]


@pytest.mark.parametrize("width", [30, 80, 140])
def test_the_live_view_draws_on_any_terminal(width: int) -> None:
    now = 100.0
    console = Console(file=io.StringIO(), width=width, height=50, force_terminal=True, color_system=None)
    stories = [told(good_run()), told(bare_run())]
    with LiveView(stories, io.StringIO(), clock=lambda: now, console=console) as view:
        view.show(stories[0], stories[0].samples[-1])
        now = 110.0
        view.tick()
    file = console.file
    assert isinstance(file, io.StringIO)
    tops = [line for line in file.getvalue().splitlines() if line.count("╭")]
    assert tops[-1].count("╭") == (2 if width >= 104 else 1)


def test_a_story_that_has_not_begun_is_drawn() -> None:
    assert panel_lines(Story(overbook=True), 60)[0].startswith("starting")
    assert any("no agent here" in line for line in panel_lines(Story(overbook=False), 60))


def test_sparklines_leave_a_blank_for_unknown_values() -> None:
    assert sparkline([0.0, None, 10.0], 10.0) == "▁ █"
    assert bar(None, 100, 4) == "░░░░"
    assert bar(150, 100, 4) == "████"


def test_rich_is_not_loaded_for_plain_lines() -> None:
    modules = "overbook_sandbox.demo.live_view, overbook_sandbox.commands.demo"
    code = f"import sys, {modules}; sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - a fresh interpreter


def test_the_clusters_steps_are_shown_in_its_words() -> None:
    story, stream = Story(overbook=True), io.StringIO()
    step = StepEvent(at=3.0, sentence="the scheduler cannot place late: 1 node(s) had untolerated taint(s)")
    PlainView(stream).show(story, story.add(step))
    assert stream.getvalue() == f"[with       3.0 s] {step.sentence}\n"
    assert f"3 s: {step.sentence}" in "\n".join(panel_lines(story, 100))
