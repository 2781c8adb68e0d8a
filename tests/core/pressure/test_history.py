from typing import Any

import pytest

from overbook.core.pressure.engine import Engine
from overbook.core.pressure.history import MOST_POINTS, Counter, History
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook.core.pressure.sample import NodeSample, Sample
from tests.core.simulated_node import SimulatedNode, vm

TRAFFIC: dict[str, Any] = {"swap_in": 5000, "swap_out": 5000}


def sample(at: float, pages: int | None = 0) -> Sample:
    return Sample(at, at, NodeSample(1 << 30, swap_in_pages=pages))


def rate(history: History, window: float = 10, least: float = 0) -> float | None:
    return history.per_second("swap_in_pages", window, least)


@pytest.mark.parametrize(
    ("counter", "value", "reason"),
    [
        ("swap_in_pages", 6_999, "swap_in_pages went backwards"),
        ("swap_out_pages", 0, "swap_out_pages went backwards (49000 -> 0)"),
        ("stall_full_micros", 1, "stall_full_micros went backwards"),
        ("stall_some_micros", 1, "stall_some_micros went backwards"),
    ],
)
def test_a_counter_that_goes_backwards_restarts_its_averages(
    counter: Counter, value: int, reason: str
) -> None:
    node = SimulatedNode(vm("a"), ruleset=DEFAULT_RULESET)
    node.facts.clear()
    node.seconds(8, **TRAFFIC)
    node.set(**{counter: value})
    assert node.second() is None
    assert reason in (node.engine.history.forgotten or "")
    assert len(node.engine.history.samples) == 1
    assert node.second() is None
    assert node.engine.history.forgotten is None  # reported once


def test_a_clock_that_goes_backwards_restarts_averages() -> None:
    node = SimulatedNode(vm("a"))
    node.seconds(4, **TRAFFIC)
    assert node.second(-3000, swap_in=0, swap_out=0) is None
    assert node.engine.history.forgotten == "the clock went backwards"
    assert node.until(20, **TRAFFIC)[0] == 7


def test_a_long_silence_restarts_averages() -> None:
    node = SimulatedNode(vm("a"))
    node.seconds(4, **TRAFFIC)
    assert node.second(61, **TRAFFIC) is None
    assert node.engine.history.forgotten == "no sample for 61 s"
    assert node.until(20, **TRAFFIC)[0] == 7


def test_a_short_silence_keeps_averages() -> None:
    node = SimulatedNode(vm("a"))
    node.second()
    assert node.second(59, **TRAFFIC) is not None
    assert node.engine.history.forgotten is None


def test_jumps_of_the_wall_clock_change_nothing() -> None:
    engine = Engine(DEFAULT_RULESET)
    for at, wall in ((1.0, 1e9), (2.0, 5.0), (3.0, 2e9)):
        engine.step(Sample(at, wall, NodeSample(1 << 30, swap_in_pages=0)), {})
        assert engine.history.forgotten is None


def test_two_samples_at_one_moment_give_no_rate() -> None:
    history = History(10, 10)
    history.add(sample(5, 0))
    history.add(sample(5, 1000))
    assert rate(history) is None
    history.add(sample(6, 1000))
    assert rate(history) == 1000


def test_a_rate_starts_at_the_youngest_point_that_is_old_enough() -> None:
    history = History(60, 10)
    for at in range(20):
        history.add(sample(at, 0 if at < 10 else (at - 9) * 100))
    assert rate(history, 5) == 100
    assert rate(history, 20) == pytest.approx(1000 / 19)
    assert rate(history, 30, 19) == pytest.approx(1000 / 19)
    assert rate(history, 30, 19.5) is None


def test_a_value_unknown_at_either_end_gives_no_rate() -> None:
    history = History(10, 10)
    history.add(sample(0, None))
    history.add(sample(1, 1000))
    assert rate(history) is None
    assert rate(history, 1) is None
    history.add(sample(2, 3000))
    assert rate(history, 1) == 2000
    history.add(sample(3, None))
    assert rate(history, 1) is None


def test_a_long_window_is_complete_in_bounded_memory() -> None:
    history = History(3600, 10)
    for tick in range(3 * 7200):
        history.add(sample(tick * 0.5, max(0, tick - 2 * 7200) * 50))  # 100 pages/s in the last hour
    assert rate(history, 3600, 3600) == pytest.approx(100, rel=0.01)
    assert len(history._points) < MOST_POINTS
    assert len(history.samples) <= 22


def test_the_short_window_is_as_long_as_the_rank_needs() -> None:
    history = History(60, 10)
    for at in range(100):
        history.add(sample(at))
    assert [each.at_seconds for each in history.samples] == list(range(89, 100))
