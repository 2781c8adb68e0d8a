from typing import Any

import msgspec
import pytest

from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors import AnyDetector
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.detectors.swap_traffic import SwapTraffic
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Group, Rule, Ruleset
from tests.core.simulated_node import GI, MI, SimulatedNode, vm

HARM, PRESSURE, RUNNING_OUT, TRAFFIC, OCCUPANCY = (rule.title for rule in DEFAULT_RULESET.rules)
STEADY: dict[str, Any] = {"swap_in": 1500, "swap_out": 1500}


def test_swap_traffic_before_the_first_sample_counts_as_none() -> None:
    node = SimulatedNode(vm("a", request=100 * MI))
    passed, decision = node.until(30, **STEADY)
    # The first sample has no past; after 21 s of 1500 pages/s the average of 30 s passes 1000.
    assert passed == 22
    assert decision.findings[0].rule == TRAFFIC
    assert decision.findings[0].numbers == {"swapInPagesPerSecond": 1050, "swapOutPagesPerSecond": 1050}
    assert decision.action == "relieve"


def test_swap_traffic_is_an_average_over_the_whole_window() -> None:
    node = SimulatedNode(vm("a"))
    assert node.seconds(60) == [None] * 60
    # 3000 pages/s pass 1000 on average of 30 s after more than 10 s.
    assert node.until(30, swap_in=3000, swap_out=3000)[0] == 11


@pytest.mark.parametrize("pages", [{"swap_in": 1000, "swap_out": 5000}, {"swap_in": 5000, "swap_out": 1000}])
def test_swap_traffic_at_its_maximum_one_way_does_not_fire(pages: dict[str, int]) -> None:
    assert SimulatedNode(vm("a")).seconds(120, **pages) == [None] * 120


@pytest.mark.parametrize("pages", [{"swap_out": 10**6}, {"swap_in": 10**6}])
def test_swap_traffic_in_one_direction_only_never_fires(pages: dict[str, int]) -> None:
    assert SimulatedNode(vm("a")).seconds(120, **pages) == [None] * 120


def test_the_documents_billion_switches_the_traffic_rule_off() -> None:
    off = SwapTraffic(in_pages_per_second=1e9, out_pages_per_second=1e9)
    node = SimulatedNode(vm("a"), ruleset=Ruleset(rules=(Rule(any=(Group(all=(off,)),)),)))
    assert node.seconds(120, swap_in=10**6, swap_out=10**6) == [None] * 120


def test_occupancy_fires_above_its_threshold_and_not_at_it() -> None:
    node = SimulatedNode(vm("a"))
    # 1 GiB of RAM and 0.8 of 512 MiB of swap: used = working set + swap used must be above it.
    at_threshold = 512 * MI - int(512 * MI * 0.8)
    node.set(memory_available_bytes=0, swap_free_bytes=at_threshold)
    assert node.seconds(3) == [None] * 3
    node.set(swap_free_bytes=at_threshold - 1)
    decision = node.second()
    assert decision is not None
    assert decision.findings[0].rule == OCCUPANCY
    assert decision.findings[0].numbers["usedBytes"] == decision.findings[0].numbers["thresholdBytes"] + 1


def test_available_memory_makes_up_for_full_swap() -> None:
    node = SimulatedNode(vm("a"))
    node.set(memory_available_bytes=GI // 2, swap_free_bytes=0)
    assert node.seconds(60) == [None] * 60


def test_pressure_fires_after_two_seconds_if_memory_is_low() -> None:
    node = SimulatedNode(vm("a"))
    node.starve()
    assert node.seconds(10) == [None] * 10
    passed, decision = node.until(5, stall=0.4)
    assert passed == 2  # 20 % of the window after one second, 40 % after two
    assert decision.findings[0].rule == PRESSURE
    assert decision.findings[0].numbers["fullPercent"] == pytest.approx(40)


def test_sudden_pressure_fires_in_the_next_second() -> None:
    node = SimulatedNode(vm("a"))
    node.starve()
    node.seconds(10)
    assert node.until(5, stall=0.9)[0] == 1


def test_a_pod_stalled_at_its_own_limit_is_no_node_pressure() -> None:
    node = SimulatedNode(vm("a"))
    assert node.seconds(60, stall=1.0) == [None] * 60  # half of the memory is available


def test_a_node_that_is_full_but_works_fires_no_rule() -> None:
    node = SimulatedNode(vm("a"))
    node.starve()
    assert node.seconds(60, stall=0.29) == [None] * 60


UNKNOWN = [
    {"memory_available_bytes": None},
    {"swap_total_bytes": None, "swap_free_bytes": None, "swap_in_pages": None, "stall_full_micros": None},
    {"swap_in_pages": None, "swap_out_pages": None, "stall_full_micros": None, "swap_total_bytes": 0},
]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_an_unknown_value_never_fires_a_rule(unknown: dict[str, int | None]) -> None:
    node = SimulatedNode(vm("a"))
    node.set(**{"memory_available_bytes": 0, "swap_free_bytes": 512 * MI, **unknown})
    assert node.seconds(60, stall=1.0, swap_out=10**6) == [None] * 60


def test_a_node_without_swap_still_has_the_pressure_rule() -> None:
    node = SimulatedNode(vm("a"))
    node.set(swap_total_bytes=0, swap_free_bytes=0)
    node.starve()
    _, decision = node.until(5, stall=1.0)
    assert decision.findings[0].rule == PRESSURE


def test_a_node_without_psi_still_has_the_documented_rules() -> None:
    node = SimulatedNode(vm("a"))
    node.set(stall_some_micros=None, stall_full_micros=None)
    assert node.until(30, **STEADY)[1].findings[0].rule == TRAFFIC


def test_every_firing_rule_is_listed_in_the_rulesets_order() -> None:
    node = SimulatedNode(vm("a"))
    node.set(memory_available_bytes=MI, swap_free_bytes=MI)
    node.engine.ruleset = msgspec.structs.replace(
        DEFAULT_RULESET, rules=(*DEFAULT_RULESET.rules[::-1],)
    )  # the default's detectors, in the opposite order
    decision = node.second()
    assert decision is not None
    assert [finding.rule for finding in decision.findings] == [OCCUPANCY]
    node = SimulatedNode(vm("a"), ruleset=node.engine.ruleset)
    node.set(memory_available_bytes=MI)
    node.seconds(10)
    node.set(swap_free_bytes=MI)
    decision = node.second(stall=1.0, swap_in=10**5, swap_out=10**5)
    assert decision is not None
    assert [finding.rule for finding in decision.findings] == [OCCUPANCY, TRAFFIC, PRESSURE]


def test_a_rule_needs_all_detectors_of_any_one_group() -> None:
    starved = Group(all=(LowMemory(available_percent=10), SwapOccupancy(threshold_factor=1)))
    lower = Group(all=(LowMemory(available_percent=1),))
    node = SimulatedNode(
        vm("a"), ruleset=Ruleset(rules=(Rule(name="short of memory", any=(starved, lower)),))
    )
    node.set(memory_available_bytes=50 * MI)
    assert node.second() is None
    node.set(memory_available_bytes=5 * MI)
    decision = node.second()
    assert decision is not None
    assert decision.findings[0].rule == "short of memory"


@pytest.mark.parametrize(
    ("detector", "field"),
    [
        (SwapTraffic(in_pages_per_second=-1), "swapTraffic.inPagesPerSecond"),
        (SwapTraffic(out_pages_per_second=float("nan")), "swapTraffic.outPagesPerSecond"),
        (SwapTraffic(in_bytes_per_second=-1), "swapTraffic.inBytesPerSecond"),
        (SwapTraffic(in_pages_per_second=1, in_bytes_per_second=1), "swapTraffic.inBytesPerSecond"),
        (SwapTraffic(out_pages_per_second=1, out_bytes_per_second=1), "swapTraffic.outBytesPerSecond"),
        (SwapTraffic(window_seconds=0), "swapTraffic.windowSeconds"),
        (SwapTraffic(window_seconds=4000), "swapTraffic.windowSeconds"),
        (SwapOccupancy(threshold_factor=1.1), "swapOccupancy.thresholdFactor"),
        (SwapOccupancy(threshold_factor=float("nan")), "swapOccupancy.thresholdFactor"),
        (MemoryPressure(full_percent=0), "memoryPressure.fullPercent"),
        (MemoryPressure(window_seconds=0.5), "memoryPressure.windowSeconds"),
        (LowMemory(available_percent=101), "lowMemory.availablePercent"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_name(detector: AnyDetector, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Ruleset(rules=(Rule(any=(Group(all=(detector,)),)),)).check()
    assert refused.value.where == field


def test_empty_rules_and_rules_of_one_name_are_refused() -> None:
    rule = DEFAULT_RULESET.rules[0]
    for rules in ((Rule(name="x", any=()),), (Rule(name="x", any=(Group(all=()),)),), (rule, rule)):
        with pytest.raises(InvalidInput):
            Ruleset(rules=rules).check()
    DEFAULT_RULESET.check()
