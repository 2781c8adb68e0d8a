"""Samples in, decisions out. Deterministic: no clock, no I/O; replay and simulation drive the same engine.

One guest at a time: after one was asked to go, nobody else is until it has gone (or the asking failed) and
its effect had time to show. Windows restart when it is gone, so that what it did is not held against the
others.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.candidate import Candidate, candidates
from overbook.core.decision import Decision, Finding, ReclaimStep
from overbook.core.guest import PodFacts
from overbook.core.history import History
from overbook.core.model import NodeModel, PodModel, node_model, pod_models
from overbook.core.rank_culprit import rank_culprit
from overbook.core.rank_original import MemoryUsage, RankInput, rank_original
from overbook.core.ruleset import Rule, Ruleset
from overbook.core.sample import Sample

ReliefState = Literal["idle", "active"]

PAGE_BYTES: Final = 4096
COLD_REFAULTS_PER_SECOND: Final = 20.0
"""A pod whose memory comes back faster than this is in use; pushing it out again would only stir."""


class ReclaimPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """How memory is pushed out while work stalls.

    Attributes:
        enabled: whether at all.
        node_percent: how much of the node's RAM is asked for in one tick.
        swap_room_percent: how much of the swap must be free.
        patience_seconds: how long pushing out may go on without ending the stall, before a guest goes.
    """

    enabled: bool = True
    node_percent: float = 4.0
    swap_room_percent: float = 10.0
    patience_seconds: float = 2.0


class Engine:
    """Decides, sample by sample.

    Args:
        ruleset: when, and who first.
        reclaim: what to try before.
        own_uids: pods that are never chosen because they are Overbook's.
    """

    def __init__(
        self, ruleset: Ruleset, reclaim: ReclaimPolicy | None = None, own_uids: frozenset[str] = frozenset()
    ) -> None:
        self.ruleset = ruleset
        self._reclaim = reclaim or ReclaimPolicy()
        self._own_uids = own_uids
        self.history = History(ruleset.window_seconds, ruleset.rank_window_seconds)
        self._decided = 0
        self._reclaiming_since: float | None = None
        self._relief_was: ReliefState = "idle"
        self._settled_at: float | None = None
        self._quiet_reason = ""

    def step(
        self, sample: Sample, facts: Mapping[str, PodFacts], relief: ReliefState = "idle"
    ) -> Decision | None:
        """Take in a sample and decide.

        Args:
            sample: the newest reading.
            facts: what is known of the pods, by UID.
            relief: whether a guest that was asked to go is still on its way.

        Returns:
            A decision, or ``None`` where no rule holds or the same waiting was already reported.
        """
        self.history.add(sample)
        if relief == "idle" and self._relief_was == "active":
            self.history.restart()
            self._settled_at = sample.at_seconds + self.ruleset.settle_seconds
        self._relief_was = relief
        node = node_model(sample.node)
        fired = [finding for rule in self.ruleset.rules if (finding := self._finding(rule, node))]
        if not fired:
            self._reclaiming_since = None
            self._quiet_reason = ""
            return None
        waiting = self._waiting(sample.at_seconds)
        if waiting:
            return self._wait(sample, fired, waiting)
        models = pod_models(self.history.samples)
        steps = self._reclaim_steps(node, models, facts, fired, sample.at_seconds)
        if steps:
            if self._reclaiming_since is None:
                self._reclaiming_since = sample.at_seconds
            reason = f"swap has {node.swap_free_bytes / 2**20:.0f} MiB of room"
            return self._decision(sample, fired, "reclaim", reason, reclaim=steps)
        return self._relieve(sample, fired, models, facts)

    def _relieve(
        self,
        sample: Sample,
        fired: list[Finding],
        models: Mapping[str, PodModel],
        facts: Mapping[str, PodFacts],
    ) -> Decision | None:
        ranked = self.rank(models, facts)
        eligible = [candidate for candidate in ranked if not candidate.excluded]
        if not eligible:
            return self._wait(sample, fired, "no pod may be asked to go", ranked)
        self._reclaiming_since = None
        following = f"next would be {eligible[1].label}" if len(eligible) > 1 else "there is nobody after it"
        return self._decision(sample, fired, "relieve", following, victim=eligible[0], candidates=ranked)

    def rank(self, models: Mapping[str, PodModel], facts: Mapping[str, PodFacts]) -> tuple[Candidate, ...]:
        """Everyone in the order in which they would go, the excluded last."""
        found = candidates(facts, models, self._excluded(facts))
        if self.ruleset.rank == "original":
            by_uid = {candidate.uid: candidate for candidate in sorted(found, key=lambda c: c.label)}
            inputs = [_rank_input(models[uid], facts[uid]) for uid in by_uid]
            found = [by_uid[ranked.key] for ranked in rank_original(inputs)]
        else:
            found = rank_culprit(found)
        return tuple(sorted(found, key=lambda candidate: bool(candidate.excluded)))

    def _finding(self, rule: Rule, node: NodeModel) -> Finding | None:
        for group in rule.any:
            readings = [detector.read(node, self.history) for detector in group.all]
            if all(reading.holds for reading in readings):
                numbers = {key: value for reading in readings for key, value in reading.numbers.items()}
                return Finding(rule.title, ", ".join(reading.sentence for reading in readings), numbers)
        return None

    def _waiting(self, now: float) -> str:
        if self._relief_was == "active":
            return "waiting for the guest that was asked to go"
        if self._settled_at is not None and now < self._settled_at:
            return f"a guest just went; its effect is given {self.ruleset.settle_seconds:g} s to show"
        return ""

    def _wait(
        self,
        sample: Sample,
        fired: list[Finding],
        reason: str,
        candidates: tuple[Candidate, ...] = (),
    ) -> Decision | None:
        """Waiting is reported once, not every second."""
        if reason == self._quiet_reason:
            return None
        self._quiet_reason = reason
        return self._decision(sample, fired, "wait", reason, candidates=candidates)

    def _decision(
        self,
        sample: Sample,
        fired: list[Finding],
        action: str,
        reason: str,
        reclaim: tuple[ReclaimStep, ...] = (),
        victim: Candidate | None = None,
        candidates: tuple[Candidate, ...] = (),
    ) -> Decision:
        if action != "wait":
            self._quiet_reason = ""
        self._decided += 1
        return Decision(
            self._decided, sample.wall_seconds, tuple(fired), action, reason, reclaim, victim, candidates
        )

    def _excluded(self, facts: Mapping[str, PodFacts]) -> dict[str, str]:
        excluded = {uid: "critical, static or mirror pod" for uid, pod in facts.items() if pod.critical}
        excluded.update(dict.fromkeys(self._own_uids & facts.keys(), "Overbook's own pod"))
        return excluded

    def _reclaim_steps(
        self,
        node: NodeModel,
        models: Mapping[str, PodModel],
        facts: Mapping[str, PodFacts],
        fired: list[Finding],
        now: float,
    ) -> tuple[ReclaimStep, ...]:
        """What to push out, coldest first; nothing where that would feed the trouble."""
        policy = self._reclaim
        pressure = {rule.title for rule in self.ruleset.rules if rule.is_pressure}
        if not policy.enabled or any(finding.rule not in pressure for finding in fired):
            return ()
        started = self._reclaiming_since
        if started is not None and now - started >= policy.patience_seconds:
            return ()
        if node.swap_free_bytes * 100 < node.swap_total_bytes * policy.swap_room_percent:
            return ()
        return _coldest(
            models,
            facts,
            wanted_bytes=int(node.memory_total_bytes * policy.node_percent / 100),
            free_bytes=node.swap_free_bytes,
            seconds=max(1.0, now - self.history.samples[0].at_seconds),
        )


def _rank_input(model: PodModel, facts: PodFacts) -> RankInput:
    limits = {container.name: container.memory_limit_bytes for container in facts.containers}
    return RankInput(
        key=model.uid,
        priority=facts.priority,
        request_bytes=facts.original_request_bytes,
        over_limit=any(
            (limit := limits.get(name)) is not None and working_set + swap > limit
            for name, working_set, swap in model.containers
        ),
        usage=MemoryUsage(model.working_set_bytes, model.swap_bytes),
    )


def _coldest(
    models: Mapping[str, PodModel],
    facts: Mapping[str, PodFacts],
    *,
    wanted_bytes: int,
    free_bytes: int,
    seconds: float,
) -> tuple[ReclaimStep, ...]:
    cold = [
        model
        for uid, model in models.items()
        if uid in facts
        and (model.swap_room_bytes is None or model.swap_room_bytes >= PAGE_BYTES)
        and model.anon_bytes >= PAGE_BYTES
        and model.refaults / seconds <= COLD_REFAULTS_PER_SECOND
        and any(container.swap == "Eligible" for container in facts[uid].containers)
    ]
    # Least refaulting per byte first; among the still ones the largest, which notices it least.
    cold.sort(key=lambda model: (model.refaults / model.anon_bytes, -model.anon_bytes))
    steps: list[ReclaimStep] = []
    left = min(wanted_bytes, free_bytes)
    for model in cold:
        room = model.anon_bytes if model.swap_room_bytes is None else model.swap_room_bytes
        part = min(left, room, model.anon_bytes // 2) // PAGE_BYTES * PAGE_BYTES
        if part > 0:
            steps.append(ReclaimStep(model.uid, facts[model.uid].label, part))
            left -= part
    return tuple(steps)
