"""Relief keeps its invariants whatever the API server answers, and wherever the leader dies."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overbook.core.relief.answer import ACCEPTED, EvictionAnswer
from overbook.core.relief.case import Cancel, Evict, Rest, Step, Write
from overbook.core.relief.record import IN_FLIGHT, LEFT
from tests.core.relief.relief_world import World, candidate, migration, request

NODES = ("n0", "n1", "n2", "n3")
PER_CLUSTER = 2
NODE = st.sampled_from(NODES)
MOSTLY = st.sampled_from([True, True, True, False])
SELDOM = st.sampled_from([False, False, False, True])
DONE_WITHOUT_ANSWER = "done, but the answer was lost"
ANSWERS: dict[str, EvictionAnswer] = {
    "accepted": ACCEPTED,
    "budget": EvictionAnswer("Refused", "DisruptionBudget", "needs 2 and has 2"),
    "denied": EvictionAnswer("Refused", "Denied", "admission webhook"),
    "later": EvictionAnswer("Later", "TooManyRequests", "too many", 3.0),
    "unknown": EvictionAnswer("Unknown", "NoAnswer", "connection reset"),
    DONE_WITHOUT_ANSWER: EvictionAnswer("Unknown", "NoAnswer", "connection reset"),
}


class Relief(RuleBasedStateMachine):
    """The cluster has four nodes, three pods on each (the first is a VM), and places for two."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*NODES, per_cluster=PER_CLUSTER, stall_seconds=20, follow_seconds=60)
        self.leaving: dict[str, str] = {}
        self.left_times: Counter[str] = Counter()
        self.refused: set[tuple[str, str]] = set()
        self.in_doubt: set[str] = set()
        self.requests = 0

    @initialize()
    def pods(self) -> None:
        for node in NODES:
            self.world.pod(f"{node}-vm", how="Migrated", instance=f"shop/{node}-vm", instance_node=node)
            self.world.pod(f"{node}-b")
            self.world.pod(f"{node}-c")

    @rule(node=NODE)
    def pressure_begins_or_the_agent_restarts(self, node: str) -> None:
        self.requests += 1
        names = [f"{node}-{each}" for each in ("vm", "b", "c") if f"uid-{node}-{each}" in self.world.pods]
        wanted = request(f"r{self.requests}", *map(candidate, names), at=self.world.now)
        self.world.change(node, request=wanted)

    @rule(node=NODE)
    def pressure_ends(self, node: str) -> None:
        self.world.change(node, request=None)

    @rule(node=NODE, critical=MOSTLY, silent=SELDOM)
    def the_agent_says(self, node: str, critical: bool, silent: bool) -> None:
        self.world.change(node, critical=critical, stale=silent)

    @rule(paused=SELDOM)
    def the_owner_says(self, paused: bool) -> None:
        self.world.held_back = "paused" if paused else ""

    @rule(seconds=st.sampled_from([0.5, 3.0, 20.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(node=NODE, answer=st.sampled_from(sorted(ANSWERS)))
    def one_step(self, node: str, answer: str) -> None:
        step = self.world.plan()[node]
        if not isinstance(step, Evict):
            self.carry_out(node, step)
            return
        self.ask(node, step, answer)

    @rule(answers=st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=12))
    def many_steps(self, answers: list[str]) -> None:
        for answer in answers:
            for node, step in self.world.plan().items():
                if isinstance(step, Evict):
                    self.ask(node, step, answer)
                else:
                    self.carry_out(node, step)
            self.world.now += 0.5

    @rule(node=NODE, answer=st.sampled_from(sorted(ANSWERS)))
    def the_leader_dies_after_a_step_and_before_it_knows(self, node: str, answer: str) -> None:
        step = self.world.plan()[node]
        if isinstance(step, Evict):
            self.ask(node, step, answer)
        elif not isinstance(step, Write):
            self.carry_out(node, step)
        for name in NODES:
            self.world.change(name, pods={}, answer=None)
        self.refused -= {entry for entry in self.refused if entry not in self.written()}

    def carry_out(self, node: str, step: Step) -> None:
        self.world.perform(node, step)
        if isinstance(step, Cancel):
            self.leaving.pop(step.uid, None)

    def ask(self, node: str, step: Evict, answer: str) -> None:
        """Answer as a real API server and a real KubeVirt would."""
        uid = step.uid
        known = self.world.pods.get(uid)
        record = self.world.record(node)
        assert record.stage == "Asking"
        assert record.victim_uid == uid, "evicted before it was in the record"
        if known is None:
            reply = EvictionAnswer("Gone", "Gone", "not found")
        elif known.presence == "Leaving":
            reply = ACCEPTED
        else:
            reply = ANSWERS[answer]
            if answer in ("accepted", DONE_WITHOUT_ANSWER):
                self.leaving[uid] = record.request_id
                if known.how == "Migrated":
                    self.world.pods[uid] = msgspec.structs.replace(known, evacuating=True)
                    if answer == "accepted":
                        reply = EvictionAnswer("Evacuating", "Evacuation", "Eviction triggered evacuation")
                else:
                    self.world.pods[uid] = msgspec.structs.replace(known, presence="Leaving", leaves_at=1e12)
            elif known.evacuating:
                reply = EvictionAnswer("Evacuating", "Evacuation", "Evacuation in progress")
        self.world.evicted.append((node, uid))
        if reply.meaning == "Refused":
            self.refused.add((uid, record.request_id))
        self.world.change(node, answer=reply)

    @rule(node=NODE, phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]))
    def kubevirt_works(self, node: str, phase: str) -> None:
        uid = f"uid-{node}-vm"
        known = self.world.pods.get(uid)
        if known is None or not known.evacuating:
            return
        state: dict[str, Any] = {"sourcePod": f"{node}-vm", "sourceNode": node}
        moving = migration(f"{node}-vm", phase, self.world.now, evacuates=node, **state)
        self.world.migrations[node] = moving
        if phase == "Succeeded":
            self.leave(uid)

    @rule(node=NODE)
    def the_evicted_end(self, node: str) -> None:
        for uid in [uid for uid, known in self.world.pods.items() if known.presence == "Leaving"]:
            if uid.startswith(f"uid-{node}-"):
                self.leave(uid)

    def leave(self, uid: str) -> None:
        del self.world.pods[uid]
        self.left_times[self.leaving.pop(uid, "by itself")] += 1

    def written(self) -> set[tuple[str, str]]:
        return {
            (refusal.uid, record.request_id) for record in self.world.records for refusal in record.refusals
        }

    @invariant()
    def the_cluster_keeps_its_limit(self) -> None:
        assert len(self.world.under_way()) <= PER_CLUSTER

    @invariant()
    def at_most_one_pod_of_a_node_is_leaving(self) -> None:
        for node in NODES:
            leaving = [uid for uid in self.leaving if uid.startswith(f"uid-{node}-")]
            # A pod whose end takes too long may still leave later. An evacuation is cancelled.
            given_up = {
                refusal.uid
                for record in self.world.records
                for refusal in record.refusals
                if refusal.reason == "StillEnding"
            }
            assert len(set(leaving) - given_up) <= 1, leaving

    @invariant()
    def at_most_one_pod_leaves_for_a_request(self) -> None:
        for node in NODES:
            left = Counter(
                known.request_id for known in self.world.record(node).outcomes if known.outcome in LEFT
            )
            assert all(count == 1 for count in left.values()), left

    @invariant()
    def an_evicted_pod_is_in_the_record(self) -> None:
        for node in NODES:
            record = self.world.record(node)
            assert (record.stage in IN_FLIGHT) == bool(record.victim_uid)

    def teardown(self) -> None:
        """Assert that everything ends once nothing fails any more, and that every refusal is recorded."""
        self.world.held_back = ""
        self.world.answers = {}
        for _ in range(40):
            for _ in range(200):
                steps = {n: step for n, step in self.world.plan().items() if not isinstance(step, Rest)}
                if not steps:
                    break
                for node, step in steps.items():
                    if isinstance(step, Evict):
                        self.ask(node, step, "accepted")
                    else:
                        self.carry_out(node, step)
            else:
                raise AssertionError("never comes to rest")
            for node in NODES:
                self.kubevirt_works(node, "Succeeded")
                self.the_evicted_end(node)
            self.world.now += 10
            self.the_cluster_keeps_its_limit()
            self.at_most_one_pod_leaves_for_a_request()
        assert self.refused <= self.written()
        for node in NODES:
            case = self.world.cases[node]
            assert case.record.stage in (None, "Refused"), case
            if case.request is not None and not case.stale and case.record.stage is None:
                assert any(known.outcome in LEFT for known in case.record.outcomes), case


TestRelief = Relief.TestCase
TestRelief.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
