"""The same samples give the same decisions, and no samples end in an exception."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.overcommit.facts import ContainerFacts, PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import Engine, ReliefState
from overbook.core.pressure.ruleset import DEFAULT_RULESET, Rank
from overbook.core.pressure.sample import ContainerSample, NodeSample, PodSample, Sample
from tests.core.simulated_node import GI, MI

UIDS = ("a", "b", "c", "stranger")
BYTES = st.sampled_from([0, 1, 4096, 50 * MI, 300 * MI, GI, 1 << 50]) | st.integers(0, 4 * GI)
COUNT = st.none() | st.integers(0, 10**7)
NODES = st.builds(
    NodeSample,
    memory_total_bytes=st.sampled_from([0, GI, GI, 4 * GI]),
    memory_available_bytes=st.none() | BYTES,
    swap_total_bytes=st.none() | BYTES,
    swap_free_bytes=st.none() | BYTES,
    swap_in_pages=COUNT,
    swap_out_pages=COUNT,
    oom_kills=COUNT,
    stall_some_micros=COUNT,
    stall_full_micros=COUNT,
)
CONTAINERS = st.builds(
    ContainerSample,
    name=st.sampled_from(["compute", "sidecar"]),
    memory_current_bytes=BYTES,
    inactive_file_bytes=BYTES,
    swappable_bytes=BYTES,
    swap_current_bytes=BYTES,
    swap_max_bytes=st.none() | BYTES,
    refaults=st.integers(0, 10**7),
)
PODS = st.dictionaries(st.sampled_from(UIDS), st.lists(CONTAINERS, max_size=2).map(tuple), max_size=4)
FACTS = st.builds(
    PodFacts,
    uid=st.just(""),
    label=st.just(""),
    qos_class=st.sampled_from(["Burstable", "Guaranteed", "BestEffort"]),
    priority=st.sampled_from([-1, 0, 7]),
    critical=st.booleans(),
    memory_request_bytes=BYTES,
    original_request_bytes=BYTES,
    containers=st.lists(
        st.builds(
            ContainerFacts,
            name=st.sampled_from(["compute", "sidecar"]),
            memory_request_bytes=st.none() | BYTES,
            memory_limit_bytes=st.none() | BYTES,
            swap=st.sampled_from(["Eligible", "NotBurstable"]),
        ),
        max_size=2,
    ).map(tuple),
    swap_allowed_bytes=st.none() | BYTES,
)
ROUND = st.tuples(
    st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.5, 7.3, 90.0, -50.0]),
    NODES,
    PODS,
    st.sampled_from(["idle", "idle", "active"]),
)
Round = tuple[float, NodeSample, dict[str, tuple[ContainerSample, ...]], ReliefState]


def decided(rounds: list[Round], facts: dict[str, PodFacts], rank: Rank) -> list[Decision | None]:
    engine = Engine(msgspec.structs.replace(DEFAULT_RULESET, rank=rank), own_uids=frozenset({"c"}))
    at = 100.0
    decisions = []
    for seconds, node, pods, relief in rounds:
        at += seconds
        sampled = tuple(PodSample(uid, held) for uid, held in pods.items())
        decisions.append(engine.step(Sample(at, at, node, sampled), facts, relief))
    return decisions


def named(facts: dict[str, PodFacts]) -> dict[str, PodFacts]:
    return {
        uid: msgspec.structs.replace(pod, uid=uid, label=f"demo/{uid}")
        for uid, pod in facts.items()
        if uid != "stranger"
    }


@given(
    st.lists(ROUND, min_size=1, max_size=25),
    st.dictionaries(st.sampled_from(UIDS), FACTS, max_size=4).map(named),
    st.sampled_from(["culprit", "original"]),
)
def test_decisions_are_deterministic_and_valid(
    rounds: list[Round], facts: dict[str, PodFacts], rank: Rank
) -> None:
    first = decided(rounds, facts, rank)
    # Neither the order in which pods were read nor that in which they were described matters.
    backwards: list[Any] = [
        (seconds, node, dict(reversed(pods.items())), relief) for seconds, node, pods, relief in rounds
    ]
    assert decided(backwards, dict(reversed(facts.items())), rank) == first
    for decision, (_, node, pods, relief) in zip(first, rounds, strict=True):
        if decision is None:
            continue
        assert decision.sentence
        assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision
        if decision.victim is not None:
            victim = decision.victim.uid
            assert decision.action == "relieve"
            assert victim in facts
            assert victim in pods
            assert victim != "c"
            assert not facts[victim].critical
        total = sum(step.wanted_bytes for step in decision.reclaim)
        assert total <= (node.swap_total_bytes or 0)
        assert total <= node.memory_total_bytes / 100 + 4096
        for step in decision.reclaim:
            assert step.wanted_bytes > 0
            assert step.uid in facts
        if decision.action == "reclaim":
            assert all("stalled" in finding.rule for finding in decision.findings)
        assert relief == "idle" or decision.victim is None or not _asked(first, decision)


def _asked(decisions: list[Decision | None], last: Decision) -> bool:
    """Return whether relief was requested in the decision before ``last``."""
    before = [decision for decision in decisions if decision and decision.number == last.number - 1]
    return bool(before) and before[0].victim is not None
