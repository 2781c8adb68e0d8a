import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.agent.steady_memory import FAR_BYTES, FAR_SHARE, SteadyMemory
from tests.agent.fake_node import GI, MI, FakeNode


@pytest.mark.parametrize("step", [1, 3, -3, 8])
def test_memory_that_moves_all_the_time_is_not_followed(step: int) -> None:
    memory = SteadyMemory()
    found = {memory.follow(16 * GI + step * second * MI, float(second)) for second in range(30)}
    assert found == {16 * GI}


def test_memory_that_sways_is_never_followed() -> None:
    memory = SteadyMemory()
    found = {memory.follow(16 * GI + (second % 7) * 3 * MI, float(second)) for second in range(600)}
    assert found == {16 * GI}


@pytest.mark.parametrize("blocks", [1, -1, 8])
def test_a_block_that_is_plugged_is_followed_at_once(blocks: int) -> None:
    memory = SteadyMemory()
    memory.follow(16 * GI, 0.0)
    assert memory.follow(16 * GI + blocks * 128 * MI, 1.0) == 16 * GI + blocks * 128 * MI


def test_memory_that_stays_is_followed() -> None:
    memory = SteadyMemory()
    memory.follow(16 * GI, 0.0)
    found = [memory.follow(16 * GI - min(second, 20) * 4 * MI, float(second)) for second in range(1, 120)]
    assert found[18] == 16 * GI
    assert found[-1] == 16 * GI - 80 * MI


@given(st.lists(st.integers(-200, 200), max_size=300))
def test_held_memory_is_never_far_from_the_real_one(moves: list[int]) -> None:
    memory, total = SteadyMemory(), 16 * GI
    for second, move in enumerate(moves):
        total += move * MI
        held = memory.follow(total, float(second))
        assert abs(held - total) < max(FAR_BYTES, held * FAR_SHARE)


def test_a_balloon_writes_nothing_and_says_nothing(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node.start("vm", memory_swap_max=None)
    agent = node.agent(mode="Enforce")
    node.tick(agent)
    written, said = agent.values()["swap_limits_written_total"], len(caplog.messages)
    for second in range(30):
        node.set(mem_total_bytes=GI - second * 3 * MI)
        node.tick(agent)
    assert agent.values()["swap_limits_written_total"] == written
    assert len(caplog.messages) == said


def test_plugged_memory_changes_the_limits_at_once(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent(mode="Enforce")
    node.tick(agent)
    before = int(node.limit(path))
    node.set(mem_total_bytes=GI + 128 * MI)
    node.tick(agent)
    assert int(node.limit(path)) < before
    assert agent.engine.situation.node.memory_total_bytes == GI + 128 * MI
