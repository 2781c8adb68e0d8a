"""A VM that is to blame and is never evicted is held to its request; no other pod makes room for it."""

import itertools

from overbook.core.pressure.decision import Decision
from overbook.core.pressure.throttle import STEP_PERCENT
from tests.core.simulated_node import GI, MI, SimulatedNode, holding, vm

REQUEST = 100 * MI


def wild(*, critical: bool = True, machine: bool = True) -> SimulatedNode:
    """Return a short node beside whose covered VMs another one has far more than it is covered for."""
    held = vm("held", request=REQUEST, allowed=0, critical=critical, virtual_machine=machine)
    node = SimulatedNode(held, vm("a", request=400 * MI), vm("b", request=400 * MI))
    node.starve()
    node.seconds(5)
    return node


def grows(node: SimulatedNode, seconds: int) -> list[Decision | None]:
    decisions = []
    for _ in range(seconds):
        before = node.holds["held"].memory_current_bytes
        node.holds["held"] = holding(before + 10 * MI, swap_max=0)
        decisions.append(node.second(stall=0.9))
    return decisions


def actions(decisions: list[Decision | None]) -> list[str]:
    return [decision.action for decision in decisions if decision]


def test_a_vm_never_evicted_is_throttled_and_none_leaves() -> None:
    node = wild()
    decided = [decision for decision in grows(node, 5) if decision]
    throttled = [decision for decision in decided if decision.action == "throttle"]
    assert [d.throttled.uid for d in throttled if d.throttled] == ["held"]
    assert "demo/held is held to its request" in throttled[0].sentence
    assert "relieve" not in actions(list(decided))


def test_the_limit_falls_to_the_request_step_by_step() -> None:
    node = wild()
    grows(node, 5)
    node.holds["held"] = holding(300 * MI, swap_max=0)
    limits = []
    for _ in range(40):
        node.second()
        limits.append(node.engine.throttles["held"])
    steps = {before - after for before, after in itertools.pairwise(limits)}
    assert max(steps) <= GI * STEP_PERCENT / 100
    assert limits[-1] == REQUEST


def test_the_limit_goes_when_it_is_covered_again() -> None:
    node = wild()
    grows(node, 5)
    node.holds["held"] = holding(REQUEST, swap_max=0)
    node.second()
    assert node.engine.throttles == {}


def test_the_limit_goes_with_the_pod() -> None:
    node = wild()
    grows(node, 5)
    del node.holds["held"]
    node.second()
    assert node.engine.throttles == {}


def test_a_critical_daemon_is_never_throttled() -> None:
    node = wild(machine=False)
    assert "throttle" not in actions(grows(node, 5))
    assert node.engine.throttles == {}


def test_a_vm_that_may_be_evicted_is_evicted() -> None:
    node = wild(critical=False)
    assert "throttle" not in (decided := actions(grows(node, 5)))
    assert "relieve" in decided


def test_a_throttle_that_does_not_help_spares_no_others() -> None:
    node = wild()
    grows(node, 5)
    decisions = [decision for decision in node.seconds(20, stall=0.9) if decision]
    leaving = [decision.victim.uid for decision in decisions if decision.victim]
    assert leaving
    assert leaving[0] in {"a", "b"}
