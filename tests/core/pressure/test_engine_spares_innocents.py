"""The engine never chooses a pod within its covered memory while another one is beyond and may go."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.candidate import margin_bytes
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook.core.pressure.sample import ContainerSample
from tests.core.simulated_node import GI, MI, SimulatedNode, holding, vm

ORIGINAL = msgspec.structs.replace(DEFAULT_RULESET, rank="original")
FULL = {"memory_available_bytes": 20 * MI, "swap_free_bytes": 60 * MI}
POD = st.fixed_dictionaries(
    {
        "request": st.integers(10, 400),
        "allowed": st.integers(0, 100),
        "beyond": st.sampled_from([-100, -1, 0, 1, 5, 50, 300]),
        "priority": st.integers(-2, 2),
        "critical": st.booleans(),
        "grows": st.integers(0, 5),
        "refaults": st.integers(0, 500),
    }
)


def facts_of(number: int, pod: dict[str, Any]) -> PodFacts:
    return vm(
        f"{number}",
        request=pod["request"] * MI,
        allowed=pod["allowed"] * MI,
        priority=pod["priority"],
        critical=pod["critical"],
    )


def held(pod: dict[str, Any], second: int) -> ContainerSample:
    covered = (pod["request"] + pod["allowed"]) * MI
    size = covered + margin_bytes(covered) + (pod["beyond"] + pod["grows"] * second) * MI
    return holding(max(0, size), refaults=pod["refaults"] * second)


def is_beyond(pod: dict[str, Any], sample: ContainerSample) -> bool:
    covered: int = (pod["request"] + pod["allowed"]) * MI
    return sample.memory_current_bytes > covered + 4 * MI + covered // 100


@settings(max_examples=60, deadline=None)
@given(
    pods=st.lists(POD, min_size=1, max_size=6),
    trouble=st.sampled_from([{"stall": 0.9}, {"swap_in": 9000, "swap_out": 9000}, {}]),
)
def test_an_innocent_pod_never_goes_while_a_guilty_one_may(
    pods: list[dict[str, Any]], trouble: dict[str, Any]
) -> None:
    node = SimulatedNode(*(facts_of(n, pod) for n, pod in enumerate(pods)))
    node.set(**FULL)
    for second in range(25):
        node.holds = {f"{n}": held(pod, second) for n, pod in enumerate(pods)}
        decision = node.second(**trouble)
        if decision is None or decision.victim is None:
            continue
        chosen = pods[int(decision.victim.uid)]
        assert not chosen["critical"]
        if not is_beyond(chosen, node.holds[decision.victim.uid]):
            guilty = [
                uid
                for uid, sample in node.holds.items()
                if is_beyond(pods[int(uid)], sample)
                and not pods[int(uid)]["critical"]
                and sample.memory_current_bytes >= GI // 100
            ]
            assert guilty == [], f"{decision.victim.label} has to leave, and these are beyond: {guilty}"


def test_occupancy_alone_evicts_no_covered_pod() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    node.set(**FULL)
    decisions = [decision for decision in node.seconds(600) if decision]
    assert [decision.action for decision in decisions] == ["wait"]
    assert decisions[0].findings[0].rule.startswith("memory and swap in use above")
    assert "no pod has to leave" in decisions[0].reason


def test_swap_traffic_alone_evicts_no_covered_pod() -> None:
    node = SimulatedNode(vm("a"), vm("b"))
    decisions = [decision for decision in node.seconds(600, swap_in=9000, swap_out=9000) if decision]
    assert [decision.action for decision in decisions] == ["wait"]


def test_a_documented_rule_waits_longer_the_less_a_pod_is_beyond() -> None:
    waited = []
    for beyond in (1, 4, 7, 11):
        node = SimulatedNode(vm("a"))
        node.holds["a"] = holding(300 * MI + margin_bytes(300 * MI) + beyond * MI)
        node.set(**FULL)
        decided = [bool(decision and decision.victim) for decision in node.seconds(20)]
        waited.append(decided.index(True))
    assert waited == sorted(waited, reverse=True)
    assert (waited[0], waited[-1]) == (14, 0)


def test_the_original_order_evicts_at_once_by_a_documented_rule() -> None:

    node = SimulatedNode(vm("a"), ruleset=ORIGINAL)
    node.set(**FULL)
    decision = node.second()
    assert decision is not None
    assert decision.victim is not None


def test_the_record_says_that_the_node_is_promised_too_much() -> None:
    node = SimulatedNode(vm("a"), vm("b"), reclaim=ReclaimPolicy(enabled=False))
    node.set(memory_available_bytes=20 * MI)
    node.seconds(5)
    decisions = [decision for decision in node.seconds(20, stall=0.9) if decision and decision.victim]
    assert decisions[0].reason == (
        "15 s after it began; all pods are within their covered memory: the node is overcommitted too far; "
        "next would be demo/b"
    )


def test_the_record_of_a_guilty_pod_blames_no_promise() -> None:
    node = SimulatedNode(vm("a"), vm("wild", request=50 * MI))
    node.set(**FULL)
    _, decision = node.until(5)
    assert decision.victim is not None
    assert decision.victim.uid == "wild"
    assert "overcommitted too far" not in decision.reason
    assert "beyond its covered memory" in decision.sentence


def test_swap_cache_makes_no_innocent_pod_guilty() -> None:
    # 200 MiB in RAM and 160 in swap, 60 of them in both: 300 are held, and 300 are covered.
    node = SimulatedNode(vm("a", request=200 * MI, allowed=100 * MI))
    node.set(**FULL)
    for cached, action in ((60 * MI, "wait"), (0, "relieve")):
        node.holds["a"] = holding(200 * MI, swap=160 * MI, cached=cached)
        decision = node.second()
        assert decision is not None
        assert decision.action == action


def test_the_pod_that_takes_memory_now_leaves_when_it_runs_out() -> None:
    node = SimulatedNode(vm("filled", request=400 * MI, allowed=0), vm("grows", request=400 * MI, allowed=0))
    node.set(memory_available_bytes=500 * MI)
    for size in range(100, 300, 50):
        node.holds["filled"] = holding(size * MI, swap_max=0)
        node.second()
    node.seconds(4)
    node.set(memory_available_bytes=60 * MI)
    decision = None
    for size in range(100, 400, 20):
        node.holds["grows"] = holding(size * MI, swap_max=0)
        node.set(memory_available_bytes=max(0, (node.node.memory_available_bytes or 0) - 20 * MI))
        if (decision := node.second()) is not None and decision.victim is not None:
            break
    assert decision is not None
    assert decision.victim is not None
    assert decision.victim.uid == "grows"
