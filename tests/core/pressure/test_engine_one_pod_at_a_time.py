"""The engine chooses which pod has to leave, and when the next one does."""

from typing import Any

import msgspec
import pytest

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Rank, Ruleset
from tests.core.simulated_node import MI, SimulatedNode, holding, vm

TRAFFIC: dict[str, Any] = {"swap_in": 5000, "swap_out": 5000}


def wild(uid: str, **facts: Any) -> PodFacts:
    """Return the facts of a pod that holds 300 MiB and is covered for 200."""
    return vm(uid, **{"request": 100 * MI, **facts})


def ranked_by(rank: Rank) -> Ruleset:
    return msgspec.structs.replace(DEFAULT_RULESET, rank=rank)


def victim_of(decision: Decision | None) -> str:
    assert decision is not None
    assert decision.victim is not None, decision.sentence
    return decision.victim.uid


def test_no_second_pod_leaves_before_the_first_takes_effect() -> None:
    node = SimulatedNode(wild("a"), wild("b"))
    assert victim_of(node.until(30, **TRAFFIC)[1]) == "a"

    waiting = node.seconds(40, **TRAFFIC, relief="active")
    assert [decision.action for decision in waiting if decision] == ["wait"]  # reported once in 40 s
    assert waiting[0] is not None
    assert waiting[0].reason == "waiting for the pod that has to leave"

    del node.holds["a"]
    # The next one is far beyond: it has to leave whatever the effect is, but not before the averages say so.
    assert node.second(**TRAFFIC) is None
    assert victim_of(node.until(30, **TRAFFIC)[1]) == "b"


@pytest.mark.parametrize(("beyond_mib", "seconds"), [(0, 10), (11, 2)])
def test_a_pod_far_beyond_is_given_less_time_after_another(beyond_mib: int, seconds: int) -> None:
    node = SimulatedNode(wild("a"), vm("b", request=200 * MI, allowed=100 * MI))
    node.holds["b"] = holding(307 * MI + beyond_mib * MI)  # covered, and the kernel's margin
    node.starve()
    node.seconds(5)
    assert victim_of(node.seconds(3, stall=0.9)[-1]) == "a"
    node.second(stall=0.9, relief="active")
    del node.holds["a"]
    decisions = node.seconds(14, stall=0.9)
    waited = [decision.reason for decision in decisions if decision and decision.action == "wait"]
    assert waited == ["a pod just left; its effect is given up to 10 s to show"][: 1 if seconds == 10 else 0]
    acted = [place for place, decision in enumerate(decisions) if decision and decision.action != "wait"]
    assert acted[0] == seconds


def test_the_first_pods_traffic_does_not_count_after_it_left() -> None:
    node = SimulatedNode(wild("a"), wild("b"))
    node.until(30, swap_in=50_000, swap_out=50_000)
    node.second(relief="active")
    del node.holds["a"]
    # The average of 30 s would still be far above the maximum; traffic has ended, so no pod has to leave.
    assert node.seconds(60) == [None] * 60


def test_a_failed_relief_is_over_too() -> None:
    node = SimulatedNode(wild("a"))
    node.until(30, **TRAFFIC)
    assert node.second(**TRAFFIC, relief="idle") is None  # windows restart: nothing is known yet
    decisions = [decision for decision in node.seconds(11, **TRAFFIC) if decision]
    assert [decision.action for decision in decisions] == ["relieve"]


def test_a_reason_to_wait_is_recorded_once_per_trouble() -> None:
    node = SimulatedNode(ruleset=ranked_by("original"))  # it has no pod that may be evicted
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
        wild("critical", critical=True),
        wild("own"),
        wild("tiny", request=0),
        own_uids=frozenset({"own"}),
        ruleset=ranked_by("original"),
    )
    node.holds["tiny"] = holding(10 * MI - 1)  # under 1 % of 1 GiB
    _, decision = node.until(30, **TRAFFIC)
    assert decision.action == "wait"
    assert {candidate.uid: candidate.excluded for candidate in decision.candidates} == {
        "critical": "critical, static or mirror pod",
        "own": "Overbook's own pod",
        "tiny": "holds too little to help",
    }
    node.facts["guest"] = wild("guest", priority=10**6)  # important, and all the others are excluded
    node.holds["guest"] = holding(300 * MI)
    assert victim_of(node.until(3, **TRAFFIC)[1]) == "guest"


def test_the_record_names_the_next_pod_and_why_not_the_others() -> None:
    node = SimulatedNode(wild("a"), wild("b"), wild("c", critical=True))
    _, decision = node.until(30, **TRAFFIC)
    assert decision.reason == "next would be demo/b"
    assert [candidate.uid for candidate in decision.candidates] == ["a", "b", "c"]
    assert "demo/a has to leave the node (" in decision.sentence


@pytest.mark.parametrize(("rank", "first"), [("culprit", "growing"), ("original", "large")])
def test_victim_by_culprit_rank_or_by_original_rank(rank: Rank, first: str) -> None:
    node = SimulatedNode(
        vm("large", request=50 * MI), vm("growing", request=50 * MI), ruleset=ranked_by(rank)
    )
    node.holds["large"] = holding(400 * MI)
    for size in range(201, 201 + 8 * 60, 60):
        node.holds["growing"] = holding(min(size, 390) * MI)
        decision = node.second(**TRAFFIC)
    assert victim_of(decision) == first


@pytest.mark.parametrize("rank", ["culprit", "original"])
def test_lower_priority_ranks_first_then_usage_over_request(rank: Rank) -> None:
    node = SimulatedNode(
        vm("within", request=400 * MI, priority=-10),
        vm("important", request=10 * MI, priority=100),
        wild("plain", priority=0),
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
    node = SimulatedNode(wild("a"), wild("b"))
    node.until(30, **TRAFFIC)
    node.second(**TRAFFIC, relief="active")
    node.second(**TRAFFIC)  # gone; its effect is given 2 to 10 s from here
    node.at -= 4000
    assert node.until(60, **TRAFFIC)[0] <= 12
    decisions = node.seconds(15, **TRAFFIC)
    assert any(decision is not None and decision.victim for decision in decisions)


@pytest.mark.parametrize("rank", ["culprit", "original"])
def test_equal_pods_are_ordered_by_their_name(rank: Rank) -> None:
    for uids in ("abc", "cab", "bca"):
        node = SimulatedNode(*map(wild, uids), ruleset=ranked_by(rank))
        assert victim_of(node.until(30, **TRAFFIC)[1]) == "a"
