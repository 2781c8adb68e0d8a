import msgspec
import pytest

from overbook.core.overcommit.facts import ContainerFacts
from overbook.core.pressure.candidate import margin_bytes
from overbook.core.pressure.detectors.covered_stall import CoveredStall
from overbook.core.pressure.detectors.detector import Reading
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from tests.core.simulated_node import MI, SimulatedNode, holding, vm

MARGIN = margin_bytes(300 * MI)


def read(node: SimulatedNode) -> Reading:
    return CoveredStall().read(node.engine.situation)


def test_a_covered_pod_that_stalls_is_harmed() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    node.holds["a"] = holding(300 * MI + MARGIN)
    node.seconds(3, pod_stalls={"a": 0.5})
    reading = read(node)
    assert reading.holds
    assert reading.sentence == "demo/a, within covered memory, stalled on memory 50 % of 2 s"
    assert reading.numbers == {"somePercent": 50.0, "harmedPods": 1}


def test_harm_is_counted_from_its_threshold_on() -> None:
    for share, holds in ((0.299, False), (0.3, True)):
        node = SimulatedNode(vm("a"))
        node.seconds(3, pod_stalls={"a": share})
        assert read(node).holds is holds


def test_the_worst_of_several_harmed_pods_is_named() -> None:
    node = SimulatedNode(vm("a"), vm("b"), vm("c"))
    node.seconds(3, pod_stalls={"a": 0.4, "b": 0.9, "c": 0.1})
    assert read(node).sentence.startswith("demo/b and 1 more, within covered memory, stalled on memory 90 %")


def test_a_pod_beyond_its_covered_memory_is_not_harmed() -> None:
    node = SimulatedNode(vm("a"))
    node.holds["a"] = holding(300 * MI + MARGIN + 1)
    node.seconds(3, pod_stalls={"a": 1.0})
    assert read(node) == Reading(False, "no stall of a covered pod is known", {})


@pytest.mark.parametrize(("limit_mib", "holds"), [(300, False), (400, True), (None, True)])
def test_a_pod_that_stalls_at_its_own_limit_is_no_harm(limit_mib: int | None, holds: bool) -> None:
    limit = None if limit_mib is None else limit_mib * MI
    node = SimulatedNode(vm("a", containers=(ContainerFacts("compute", 200 * MI, limit, "Eligible"),)))
    node.seconds(3, pod_stalls={"a": 1.0})
    assert read(node).holds is holds


def test_a_pod_known_for_less_than_half_the_window_is_too_young() -> None:
    node = SimulatedNode(vm("a"))
    for seconds, holds in ((1.0, False), (0.9, False), (0.1, True)):
        node.second(seconds, pod_stalls={"a": 1.0})
        assert read(node).holds is holds


def test_a_stall_that_the_kernel_does_not_tell_is_no_harm() -> None:
    node = SimulatedNode(vm("a"))
    node.stalled.clear()
    node.seconds(3)
    assert read(node).numbers == {}


def test_a_pod_without_facts_is_not_harmed() -> None:
    node = SimulatedNode(vm("a"))
    node.facts.clear()
    node.seconds(3, pod_stalls={"a": 1.0})
    assert not read(node).holds


def test_harm_fires_on_a_node_whose_cpus_are_busy_elsewhere() -> None:
    node = SimulatedNode(vm("a", request=400 * MI))
    node.starve()
    node.seconds(10)
    # All work of the node never waits together, so its own `full` stays small.
    _, decision = node.until(2, stall=0.02, pod_stalls={"a": 0.9})
    assert [finding.rule for finding in decision.findings] == [DEFAULT_RULESET.rules[0].title]
    assert decision.action == "reclaim"


def test_harm_needs_a_node_that_is_short_of_memory() -> None:
    node = SimulatedNode(vm("a"))
    assert node.seconds(30, pod_stalls={"a": 1.0}) == [None] * 30


def test_the_threshold_of_harm_is_a_setting() -> None:
    node = SimulatedNode(vm("a"))
    node.seconds(12, pod_stalls={"a": 0.2})
    gentle = msgspec.structs.replace(CoveredStall(), some_percent=15.0, window_seconds=8.0)
    assert gentle.window_seconds_needed == 8.0
    assert gentle.read(node.engine.situation).holds
    assert not read(node).holds
