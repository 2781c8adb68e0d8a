"""Nothing is pushed out while the swap disk is behind; a step that overshoots ends the haste."""

from overbook.core.pressure.cold import BEHIND_BYTES
from overbook.core.pressure.engine import Engine
from overbook.core.pressure.offload import FIRST_BYTES, OVERSHOT, OffloadPolicy, Reclaimed
from overbook.core.pressure.ruleset import Ruleset
from tests.core.simulated_node import MI, SimulatedNode, vm


def short() -> SimulatedNode:
    node = SimulatedNode(vm("a", request=400 * MI, allowed=200 * MI))
    node.engine = Engine(Ruleset(rules=()), offload=OffloadPolicy())
    node.starve()
    node.seconds(3)
    return node


def wanted(node: SimulatedNode) -> int:
    return sum(step.wanted_bytes for step in node.engine.offload_steps)


def done(node: SimulatedNode, asked: int, swapped: int, seconds: float = 0.01) -> None:
    node.engine.offload.done([Reclaimed("a", asked, swapped, seconds, 0.001)], node.engine.situation)


def test_a_disk_that_is_behind_gets_nothing_more() -> None:
    node = short()
    assert wanted(node) > 0
    node.set(swap_cached_bytes=50 * MI, writeback_bytes=BEHIND_BYTES + 1)
    node.second()
    assert wanted(node) == 0


def test_files_that_are_written_do_not_count() -> None:
    node = short()
    node.set(swap_cached_bytes=0, writeback_bytes=500 * MI)
    node.second()
    assert wanted(node) > 0


def test_a_step_that_overshoots_is_followed_by_a_pause() -> None:
    node = short()
    for _ in range(4):
        done(node, 4 * MI, 4 * MI)
    node.second()
    assert wanted(node) > FIRST_BYTES
    done(node, 4 * MI, OVERSHOT * 4 * MI + 1)
    node.second()
    assert wanted(node) == 0
    node.seconds(5)
    assert 0 < wanted(node) <= FIRST_BYTES


def stalls(node: SimulatedNode, micros: int, swap_out: int = 0) -> None:
    node.set(stall_some_micros=(node.node.stall_some_micros or 0) + micros)
    node.second(swap_out=swap_out)


def test_a_disk_that_stands_still_gets_nothing() -> None:
    node = short()
    stalls(node, 900_000)
    assert wanted(node) == 0


def test_a_stall_while_pages_move_is_no_standstill() -> None:
    node = short()
    stalls(node, 900_000, swap_out=1000)
    assert wanted(node) > 0
