"""The engine chooses which pod has to leave, and when the next one does."""

from typing import Any

import msgspec
import pytest

from overbook.core.pressure.decision import Decision
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Rank, Ruleset
from tests.core.simulated_node import MI, SimulatedNode, holding, vm

TRAFFIC: dict[str, Any] = {"swap_in": 5000, "swap_out": 5000}


def ranked_by(rank: Rank) -> Ruleset:
    return msgspec.structs.replace(DEFAULT_RULESET, rank=rank)


def victim_of(decision: Decision | None) -> str:
    assert decision is not None
    assert decision.victim is not None, decision.sentence
    return decision.victim.uid


def test_no_second_pod_leaves_before_the_first_takes_effect() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    assert victim_of(node.until(30, **TRAFFIC)[1]) == "a"

    waiting = node.seconds(40, **TRAFFIC, relief="active")
    assert [decision.action for decision in waiting if decision] == ["wait"]  # reported once in 40 s
    assert waiting[0] is not None
    assert waiting[0].reason == "waiting for the pod that has to leave"

    del node.holds["a"]
    settling = node.seconds(10, **TRAFFIC)
    reported = [decision for decision in settling if decision]
    assert len(reported) == 1
    assert reported[0].action == "wait"
    assert "effect is given 10 s" in reported[0].reason
    assert victim_of(node.second(**TRAFFIC)) == "b"


def test_the_first_pods_traffic_does_not_count_after_it_left() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    node.until(30, swap_in=50_000, swap_out=50_000)
    node.second(relief="active")
    del node.holds["a"]
    # The average of 30 s would still be far above the maximum; traffic has ended, so no pod has to leave.
    assert node.seconds(60) == [None] * 60


def test_a_failed_relief_is_over_too() -> None:
    node = SimulatedNode(vm("a"))
    node.until(30, **TRAFFIC)
    assert node.second(**TRAFFIC, relief="idle") is None  # windows restart: nothing is known yet
    decisions = [decision for decision in node.seconds(11, **TRAFFIC) if decision]
    assert [decision.action for decision in decisions] == ["wait", "relieve"]


def test_a_reason_to_wait_is_recorded_once_per_trouble() -> None:
    node = SimulatedNode()  # it has no pod that may be evicted
    decisions = [decision for decision in node.seconds(60, **TRAFFIC) if decision]
    assert [decision.reason for decision in decisions] == ["no pod may be evicted"]
    assert node.seconds(60) == [None] * 60
    again = [decision for decision in node.seconds(60, **TRAFFIC) if decision]
    assert [decision.reason for decision in again] == ["no pod may be evicted"]


def test_undescribed_pods_are_never_candidates() -> None:
    node = SimulatedNode()
    node.holds["stranger"] = holding(800 * MI)
    node.starve()
    decisions = [d for d in node.seconds(60, stall=1.0, **TRAFFIC) if d]
    assert decisions
    assert all(d.victim is None and not d.reclaim and not d.candidates for d in decisions)


def test_critical_own_and_tiny_pods_are_excluded_with_a_reason() -> None:
    node = SimulatedNode(
        vm("critical", critical=True), vm("own"), vm("tiny", request=0), own_uids=frozenset({"own"})
    )
    node.holds["tiny"] = holding(10 * MI - 1)  # under 1 % of 1 GiB
    _, decision = node.until(30, **TRAFFIC)
    assert decision.action == "wait"
    assert {candidate.uid: candidate.excluded for candidate in decision.candidates} == {
        "critical": "critical, static or mirror pod",
        "own": "Overbook's own pod",
        "tiny": "holds too little to help",
    }
    node.facts["guest"] = vm("guest", request=400 * MI, priority=10**6)  # within its request, important
    node.holds["guest"] = holding(100 * MI)
    assert victim_of(node.until(3, **TRAFFIC)[1]) == "guest"


def test_the_record_names_the_next_pod_and_why_not_the_others() -> None:
    node = SimulatedNode(vm("a"), vm("b"), vm("c", critical=True))
    _, decision = node.until(30, **TRAFFIC)
    assert decision.reason == "next would be demo/b"
    assert [candidate.uid for candidate in decision.candidates] == ["a", "b", "c"]
    assert "demo/a has to leave the node (" in decision.sentence


@pytest.mark.parametrize(("rank", "first"), [("culprit", "growing"), ("original", "large")])
def test_victim_by_culprit_rank_or_by_original_rank(rank: Rank, first: str) -> None:
    node = SimulatedNode(vm("large", request=50 * MI), vm("growing"), ruleset=ranked_by(rank))
    node.holds["large"] = holding(400 * MI)
    for size in range(201, 201 + 8):
        node.holds["growing"] = holding(size * MI)
        decision = node.second(**TRAFFIC)
    assert victim_of(decision) == first


@pytest.mark.parametrize("rank", ["culprit", "original"])
def test_lower_priority_ranks_first_then_usage_over_request(rank: Rank) -> None:
    node = SimulatedNode(
        vm("within", request=400 * MI, priority=-10),
        vm("important", request=10 * MI, priority=100),
        vm("plain", priority=0),
        ruleset=ranked_by(rank),
    )
    _, decision = node.until(30, **TRAFFIC)
    assert [candidate.uid for candidate in decision.candidates] == ["plain", "important", "within"]


def test_a_container_over_its_limit_is_first_by_original_rank() -> None:
    limited = vm("limited", priority=100)
    container = msgspec.structs.replace(limited.containers[0], memory_limit_bytes=250 * MI)
    limited = msgspec.structs.replace(limited, containers=(container,))
    node = SimulatedNode(vm("plain"), limited, ruleset=ranked_by("original"))
    assert victim_of(node.until(30, **TRAFFIC)[1]) == "limited"


def test_a_clock_that_jumps_back_does_not_leave_the_node_waiting() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    node.until(30, **TRAFFIC)
    node.second(**TRAFFIC, relief="active")
    node.second(**TRAFFIC)  # gone; its effect is given 10 s from here
    node.at -= 4000
    assert node.until(60, **TRAFFIC)[0] <= 12
    decisions = node.seconds(15, **TRAFFIC)
    assert any(decision is not None and decision.victim for decision in decisions)


@pytest.mark.parametrize("rank", ["culprit", "original"])
def test_equal_pods_are_ordered_by_their_name(rank: Rank) -> None:
    for uids in ("abc", "cab", "bca"):
        node = SimulatedNode(*map(vm, uids), ruleset=ranked_by(rank))
        assert victim_of(node.until(30, **TRAFFIC)[1]) == "a"
