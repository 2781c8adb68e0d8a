"""The engine decides about the tightest limit above the pods, and about pods below it only."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overbook.core.pressure.detectors.swap_traffic import SwapTraffic
from overbook.core.pressure.model import is_below
from overbook.core.pressure.offload import OffloadPolicy
from overbook.core.pressure.recording import Recording
from overbook.core.pressure.replay import Course, compare
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from tests.core.simulated_node import GI, MI, SimulatedNode, holding, vm

TOP, BURSTABLE = "kubepods.slice", "kubepods.slice/kubepods-burstable.slice"
BEST_EFFORT = "kubepods.slice/kubepods-besteffort.slice"


def full_kubepods() -> SimulatedNode:
    """Return a node with memory whose kubepods has none: `wild` is far beyond, `calm` is within."""
    node = SimulatedNode(vm("wild"), vm("calm", request=400 * MI))
    node.holds = {"wild": holding(500 * MI), "calm": holding(300 * MI)}
    node.below = dict.fromkeys(node.holds, BURSTABLE)
    node.limit(TOP, memory_max_bytes=800 * MI, memory_current_bytes=800 * MI, swap_current_bytes=0)
    node.limit(BURSTABLE, "Burstable", swap_max_bytes=GI, swap_current_bytes=0)
    node.set(memory_available_bytes=200 * MI)
    return node


def test_a_full_kubepods_is_a_shortage_of_its_pods() -> None:
    node = full_kubepods()
    decisions = node.seconds(8, limit_stalls={TOP: 0.7})
    first = next(decision for decision in decisions if decision is not None)
    assert first.sentence.startswith("kubepods is at its limit of 800Mi; the node itself has 200Mi: ")
    assert first.findings[0].domain == TOP
    victims = [decision.victim.label for decision in decisions if decision and decision.victim]
    assert victims[0] == "demo/wild"


def test_a_kubepods_without_limit_is_no_shortage() -> None:
    node = full_kubepods()
    node.limit(TOP, memory_max_bytes=None)
    assert not any(node.seconds(8, limit_stalls={TOP: 0.7}))


def test_a_limit_that_does_not_stall_is_no_shortage() -> None:
    assert not any(full_kubepods().seconds(30))


def test_the_nodes_own_stall_counts_where_the_cgroup_has_none() -> None:
    node = full_kubepods()
    node.limit(TOP, stall_full_micros=None)
    assert any(node.seconds(8, stall=0.7))


def test_only_pods_below_a_short_class_are_chosen() -> None:
    node = SimulatedNode(vm("guaranteed", request=100 * MI, allowed=0, priority=-5), vm("within"))
    node.holds = {"guaranteed": holding(500 * MI), "within": holding(250 * MI)}
    node.below = {"within": BURSTABLE}
    node.limit(BURSTABLE, "Burstable", memory_max_bytes=250 * MI, memory_current_bytes=250 * MI)
    decisions = node.seconds(30, limit_stalls={BURSTABLE: 0.9})
    chosen = [decision for decision in decisions if decision and decision.victim]
    assert {decision.victim.label for decision in chosen if decision.victim} == {"demo/within"}
    assert {pod.label for pod in chosen[0].candidates} == {"demo/within"}
    assert "QoS class Burstable is at its limit of 250Mi" in chosen[0].sentence


def test_a_class_from_which_none_may_go_hides_no_starved_node() -> None:
    node = SimulatedNode(vm("best", critical=True), vm("wild"))
    node.holds = {"best": holding(50 * MI), "wild": holding(700 * MI)}
    node.below = {"best": BEST_EFFORT}
    node.limit(BEST_EFFORT, "BestEffort", memory_max_bytes=50 * MI, memory_current_bytes=50 * MI)
    node.starve()
    decisions = node.seconds(10, stall=0.9, limit_stalls={BEST_EFFORT: 0.9})
    assert "demo/wild" in [decision.victim.label for decision in decisions if decision and decision.victim]


def test_reclaim_keeps_to_the_room_of_the_cgroup_above() -> None:
    node = full_kubepods()
    node.holds["wild"] = holding(290 * MI)
    node.limit(BURSTABLE, "Burstable", swap_max_bytes=0)
    decisions = node.seconds(14, limit_stalls={TOP: 0.7})
    assert not any(decision.reclaim for decision in decisions if decision)
    node.limit(BURSTABLE, "Burstable", swap_max_bytes=50 * MI)
    second = SimulatedNode(vm("wild"), vm("calm", request=400 * MI))
    second.holds, second.below, second.limits = node.holds, node.below, node.limits
    second.set(memory_available_bytes=200 * MI)
    steps = [
        step
        for decision in second.seconds(14, limit_stalls={TOP: 0.7})
        if decision
        for step in decision.reclaim
    ]
    assert steps
    assert all(step.wanted_bytes <= 50 * MI for step in steps)


def first_victim(node: SimulatedNode, **what: Any) -> tuple[int, str]:
    """Return the second in which a pod is chosen, and why that one."""
    for second in range(60):
        decision = node.second(**what)
        if decision is not None and decision.victim is not None:
            return second, decision.victim.sentence
    raise AssertionError("no pod was chosen")


@pytest.mark.parametrize(
    ("most", "held", "beyond"),
    [
        (None, 280, False),
        (0, 280, True),
        (0, 205, False),
        (50, 280, True),
        (50, 245, False),
        (100, 280, False),
    ],
)
def test_an_allowance_that_no_cgroup_above_has_covers_nothing(
    most: int | None, held: int, beyond: bool
) -> None:
    node = SimulatedNode(vm("wild"), vm("calm", request=400 * MI))
    node.holds = {"wild": holding(held * MI), "calm": holding(300 * MI)}
    node.below = dict.fromkeys(node.holds, BURSTABLE)
    if most is not None:
        node.limit(TOP, "kubepods", swap_max_bytes=most * MI, swap_current_bytes=0)
    node.starve()
    second, why = first_victim(node, stall=0.7, pod_stalls={"calm": 0.7})
    assert ("beyond its covered memory" in why) is beyond
    assert (second < 6) is beyond


def test_a_pod_is_covered_although_others_have_used_the_swap() -> None:
    node = SimulatedNode(vm("within"), vm("full", request=400 * MI))
    node.holds = {"within": holding(280 * MI), "full": holding(300 * MI, 100 * MI)}
    node.below = dict.fromkeys(node.holds, BURSTABLE)
    node.limit(TOP, "kubepods", swap_max_bytes=100 * MI, swap_current_bytes=100 * MI)
    node.starve()
    _, why = first_victim(node, stall=0.7, pod_stalls={"within": 0.7})
    assert "beyond" not in why


def test_offload_keeps_the_reserve_of_the_tightest_domain() -> None:
    node = SimulatedNode(vm("wild"), offload=OffloadPolicy())
    node.holds = {"wild": holding(280 * MI)}
    node.below = {"wild": TOP}
    node.second()
    assert not node.engine.offload_steps  # half of the node is available
    node.limit(TOP, memory_max_bytes=300 * MI, memory_current_bytes=280 * MI)
    node.second()
    assert [step.label for step in node.engine.offload_steps] == ["demo/wild"]
    assert node.engine.offload_situation.domain.path == TOP


def test_traffic_is_a_cgroups_where_its_memory_comes_back() -> None:
    traffic = msgspec.structs.replace(DEFAULT_RULESET, rules=DEFAULT_RULESET.rules[3:4])
    for refaults, domain in ((3000, TOP), (100, None)):
        node = SimulatedNode(vm("wild"), ruleset=traffic)
        node.holds = {"wild": holding(500 * MI)}
        node.below = {"wild": TOP}
        found = set()
        for second in range(40):
            node.limit(
                TOP, memory_max_bytes=500 * MI, memory_current_bytes=500 * MI, refaults=refaults * second
            )
            node.second(swap_in=3000, swap_out=3000)
            found |= {finding.domain for finding in node.engine.findings}
        assert found == {domain}


@pytest.mark.parametrize("way", ["swap", "zswap", "zero"])
def test_pages_into_zswap_are_absorbed_like_others(way: str) -> None:
    node = SimulatedNode(vm("a", request=400 * MI), vm("b", request=400 * MI))
    node.starve()
    node.set(**{f"{way}_out_pages": 0, f"{way}_in_pages": 0})
    victims = []
    for second in range(40):
        node.set(**{f"{way}_out_pages": 20_000 * second, f"{way}_in_pages": 200 * second})
        decision = node.second(stall=0.5)
        victims += [decision.victim] if decision and decision.victim else []
    assert victims == []


def test_traffic_through_zswap_is_traffic() -> None:
    node = SimulatedNode(vm("a"))
    for second in range(40):
        node.set(zswap_out_pages=60_000 * second, zswap_in_pages=60_000 * second)
        node.second()
    (found,) = node.engine.findings
    assert found.rule.startswith("swap traffic above 1000 pages/s")
    assert "(234.4 and 234.4 MiB/s)" in found.sentence


@pytest.mark.parametrize(("page", "fires"), [(4096, False), (65536, True)])
def test_a_threshold_in_bytes_is_the_same_on_each_kernel(page: int, fires: bool) -> None:
    detector = SwapTraffic(in_bytes_per_second=4 * MI, out_bytes_per_second=4 * MI)
    node = SimulatedNode(vm("a"))
    node.set(page_bytes=page)
    node.seconds(40, swap_in=500, swap_out=500)
    reading = detector.read(node.engine.situation)
    assert reading.holds == fires
    assert detector.condition == "swap traffic above 4 MiB/s in and 4 MiB/s out for 30 s"
    figures = {
        figure.name: figure.threshold
        for figure in detector.figures(reading.numbers, node.engine.situation.node)
    }
    assert figures == {
        "inBytesPerSecond": 4 * MI,
        "outBytesPerSecond": 4 * MI,
        "lowerOfBothPagesPerSecond": 4 * MI / page,
    }


def test_a_recording_keeps_the_limits() -> None:
    node = full_kubepods()
    recorded = [decision for decision in node.seconds(8, limit_stalls={TOP: 0.7}) if decision]
    lines = [msgspec.json.encode({"pods": list(node.facts.values())}) + b"\n"]
    lines += [msgspec.json.encode({"sample": sample}) + b"\n" for sample in node.told]
    again = compare(Recording(lines, "r").ticks(), Course(DEFAULT_RULESET))
    assert again.right.asked
    assert again.rows[0].right is not None
    assert again.rows[0].right.sentence == recorded[0].sentence


SIZE = st.integers(1, 1200)
LIMIT = st.tuples(st.none() | SIZE, SIZE, st.none() | SIZE, st.integers(0, 300))


@settings(max_examples=60, deadline=None)
@given(
    limits=st.dictionaries(st.sampled_from([TOP, BURSTABLE, BEST_EFFORT]), LIMIT),
    sizes=st.lists(st.integers(1, 600), min_size=4, max_size=4),
    available=st.integers(0, 900),
    stall=st.floats(0, 1),
)
def test_any_victim_is_below_the_domain_that_is_named(
    limits: dict[str, tuple[int | None, int, int | None, int]], sizes: list[int], available: int, stall: float
) -> None:
    node = SimulatedNode(*(vm(uid) for uid in "abcd"))
    node.holds = {uid: holding(size * MI) for uid, size in zip("abcd", sizes, strict=True)}
    node.set(memory_available_bytes=available * MI)
    for path, (most, current, swap, used) in limits.items():
        node.limit(
            path,
            memory_max_bytes=None if most is None else most * MI,
            memory_current_bytes=current * MI,
            swap_max_bytes=None if swap is None else swap * MI,
            swap_current_bytes=used * MI,
        )
    places = {"a": BURSTABLE, "b": BURSTABLE, "c": BEST_EFFORT, "d": TOP}
    for uid, place in places.items():
        above = [path for path in limits if place == path or place.startswith(f"{path}/")]
        if above:
            node.below[uid] = max(above, key=len)
    for _ in range(20):
        decision = node.second(stall=stall, limit_stalls=dict.fromkeys(limits, stall))
        if decision is None:
            continue
        domain = decision.findings[0].domain
        chosen = [step.uid for step in decision.reclaim]
        chosen += [decision.victim.uid] if decision.victim else []
        for uid in chosen:
            assert domain is None or is_below(places[uid], domain)


@settings(max_examples=40, deadline=None)
@given(available=st.integers(0, 900), stall=st.floats(0, 1), swap=st.integers(0, 512))
def test_limits_that_never_bind_change_nothing(available: int, stall: float, swap: int) -> None:
    plain, limited = (SimulatedNode(vm("a"), vm("b")) for _ in range(2))
    limited.limit(TOP, memory_max_bytes=GI, memory_current_bytes=GI, swap_max_bytes=4 * GI)
    limited.below = {"a": TOP, "b": TOP}
    for node in (plain, limited):
        node.set(memory_available_bytes=available * MI, swap_free_bytes=swap * MI)
    assert plain.seconds(20, stall=stall) == limited.seconds(20, stall=stall)
