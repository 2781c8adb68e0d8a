"""Decides for each sample what a node under pressure needs: swap out cold memory, evict one pod, or wait.

Invariant: one pod at a time. After a decision to relieve the node there is no other one until that pod has
left or its relief was withdrawn; after it has left, not for another ``settle_seconds``. Then the windows
have restarted, so no other pod is blamed for what that pod did.

For each sample, in this order:

1. The sample joins the history. If the history was dropped (a jump of the clock), so are all moments.
2. The relief under way is followed: has the pod left?
3. The rules are read. If none fires, there is no decision.
4. While a pod is leaving, or has just left: wait. If it takes long and only stalls fire, swap out cold
   memory of the other pods meanwhile.
5. A rule fires that is not about stalls: relieve.
6. Only stalls: relieve if they have lasted too long for the first candidate, else swap out cold memory, else
   wait. The table is in ``docs/rules/pressure.md``.

The engine only decides. In a cluster ``core/relief/choose.py`` picks the pod and ``controller/performer.py``
evicts it; without one ``agent/relief/local.py`` ends it.

The engine has no clock and does no I/O: the agent, ``replay`` and the tests drive the same engine.
"""

from collections.abc import Mapping
from typing import Final, Literal

from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import whole_pages
from overbook.core.pressure.candidate import Candidate, candidates, swap_room_bytes, why_never
from overbook.core.pressure.decision import Decision, FiredRule, Outcome, Reclaim, ReclaimStep, Relieve, Wait
from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel, PodModel, node_model, pod_models
from overbook.core.pressure.rank import MemoryUsage, RankInput, rank_culprit, rank_original
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import Rule, Ruleset
from overbook.core.pressure.sample import Sample
from overbook.core.pressure.stall import StallClock

ReliefState = Literal["idle", "active", "withdrawn"]
"""``active``: a pod is to leave, by a decision of this engine or of one before it. ``withdrawn``: the relief
ended before any pod left, so there is no effect to wait for."""

PAGE_BYTES: Final = 4096
COLD_REFAULTS_PER_SECOND: Final = 20.0
"""Memory of a pod that has more refaults than this is in use; swapping it out again would not help."""

LEAST_HELP_PERCENT: Final = 1.0
"""A share of the node's RAM. What holds or frees less than this does not end a shortage."""
RECENT_SECONDS: Final = 2.0
"""The window over which pages swapped out and pages swapped in are compared."""
RECLAIM_AGAIN_SECONDS: Final = 10.0
"""A pod that has been leaving for longer than this leaves slowly, as in a live migration: cold memory of the
other pods is swapped out meanwhile."""
BACK_SHARE: Final = 0.2
"""The share of swapped-out pages up to which pages may come back while the node counts as absorbing."""


class Engine:
    """Makes the decisions for one node, one sample after the other.

    Args:
        ruleset: when the node is under pressure, and the rank of the candidates.
        reclaim: how cold memory is swapped out before a pod is evicted.
        own_uids: Overbook's own pods, which are never chosen; the caller may replace the set.
    """

    def __init__(
        self, ruleset: Ruleset, reclaim: ReclaimPolicy | None = None, own_uids: frozenset[str] = frozenset()
    ) -> None:
        self.ruleset = ruleset
        self._reclaim = reclaim or ReclaimPolicy()
        self.own_uids = own_uids
        self.history = History(ruleset.window_seconds, ruleset.rank_window_seconds)
        self._decided = 0
        self._stall = StallClock()
        self._leaving_since: float | None = None
        self._leaving_uid = ""
        self._settled_at: float | None = None
        self._quiet_reason = ""
        self.findings: tuple[FiredRule, ...] = ()
        """The rules that fire in the newest sample."""
        self.wanting = False
        """Whether the rules have fired for so long that a pod has to leave."""

    def step(
        self, sample: Sample, facts: Mapping[str, PodFacts], relief: ReliefState = "idle"
    ) -> Decision | None:
        """Add a sample and decide.

        Args:
            sample: the newest reading.
            facts: what is known of the pods, by UID.
            relief: whether the pod that was chosen is still leaving, or its relief was withdrawn.

        Returns:
            A decision, or ``None`` if no rule fires or the same waiting was already reported.
        """
        self.history.add(sample)
        if self.history.forgotten:
            self._forget_times(sample.at_seconds)
        self._follow(relief, sample.at_seconds)
        node = node_model(sample.node)
        fired = [finding for rule in self.ruleset.rules if (finding := self._finding(rule, node))]
        pressure = {rule.title for rule in self.ruleset.rules if rule.is_about_stalls}
        self._stall.seen(any(finding.rule in pressure for finding in fired), sample.at_seconds)
        self.findings = tuple(fired)
        if not fired:
            self._quiet_reason = ""
            self.wanting = False
            return None
        stalled = all(finding.rule in pressure for finding in fired)
        waiting = self._waiting(sample.at_seconds)
        if waiting:
            meanwhile = self._meanwhile(sample, fired, node, facts) if stalled else None
            return meanwhile or self._wait(sample, fired, waiting)
        models = pod_models(self.history.samples)
        ranked = self._rank(models, facts)
        victim = next((candidate for candidate in ranked if not candidate.excluded), None)
        outcome = self._outcome_of_stall(sample, node, models, facts, victim) if stalled else Relieve()
        if isinstance(outcome, Reclaim):
            return self._decision(sample, fired, "reclaim", outcome.reason, reclaim=outcome.steps)
        if isinstance(outcome, Wait):
            return self._wait(sample, fired, outcome.reason)
        return self._relieve(sample, fired, ranked)

    def _outcome_of_stall(
        self,
        sample: Sample,
        node: NodeModel,
        models: Mapping[str, PodModel],
        facts: Mapping[str, PodFacts],
        victim: Candidate | None,
    ) -> Outcome:
        """The outcome while only stalls fire: relieve, swap out cold memory, or wait."""
        beyond = victim is not None and victim.over_promise_bytes > 0
        # While the first candidate is within its covered memory, an absorbing node needs no pod to leave.
        absorbing = not beyond and self._is_absorbing()
        now = sample.at_seconds
        if beyond:
            patience, waited = self._reclaim.patience_seconds, self._stall.seconds(now)
        else:
            patience, waited = (
                self._reclaim.promise_patience_seconds,
                self._stall.seconds_in_vain(now, absorbing),
            )
        if not absorbing and waited >= patience:
            return Relieve()
        room = self._room_bytes(node, models, facts)
        steps = self._reclaim_steps(room, node, models, facts)
        if steps:
            return Reclaim(f"eligible pods can still swap out {room / 2**20:.0f} MiB", steps)
        if absorbing:
            return Wait("memory is being swapped out and stays out, so no pod has to leave")
        if beyond:
            return Relieve()  # no cold memory is left, and the pod uses what is meant for others
        # One sentence, whether or not a pod may be evicted now: another reason would be another decision.
        return Wait(f"no pod is beyond its covered memory; the kernel is given {patience:g} s")

    def _meanwhile(
        self, sample: Sample, fired: list[FiredRule], node: NodeModel, facts: Mapping[str, PodFacts]
    ) -> Decision | None:
        """A reclaim of other pods' cold memory while a pod is leaving slowly; ``None``: not now."""
        if self._leaving_since is None or sample.at_seconds - self._leaving_since < RECLAIM_AGAIN_SECONDS:
            return None
        models = pod_models(self.history.samples)
        models.pop(self._leaving_uid, None)  # a live migration has to read back all that it has in swap
        room = self._room_bytes(node, models, facts)
        steps = self._reclaim_steps(room, node, models, facts)
        if not steps:
            return None
        reason = f"a pod is leaving; meanwhile the others can swap out {room / 2**20:.0f} MiB"
        return self._decision(sample, fired, "reclaim", reason, reclaim=steps)

    def _relieve(
        self, sample: Sample, fired: list[FiredRule], ranked: tuple[Candidate, ...]
    ) -> Decision | None:
        self.wanting = True
        evictable = [candidate for candidate in ranked if not candidate.excluded]
        if not evictable:
            return self._wait(sample, fired, "no pod may be evicted", ranked)
        self._stall = StallClock()
        self._leaving_since, self._leaving_uid = sample.at_seconds, evictable[0].uid
        following = f"next would be {evictable[1].label}" if evictable[1:] else "no other pod may be evicted"
        return self._decision(sample, fired, "relieve", following, victim=evictable[0], candidates=ranked)

    def rank(self, facts: Mapping[str, PodFacts]) -> tuple[Candidate, ...]:
        """All pods in the order in which they would be evicted by the newest samples; the excluded last."""
        return self._rank(pod_models(self.history.samples), facts)

    def _rank(self, models: Mapping[str, PodModel], facts: Mapping[str, PodFacts]) -> tuple[Candidate, ...]:
        found = candidates(facts, models, self._excluded(facts, models), self._window_seconds)
        if self.ruleset.rank == "original":
            by_uid = {candidate.uid: candidate for candidate in sorted(found, key=lambda c: c.label)}
            inputs = [_rank_input(models[uid], facts[uid]) for uid in by_uid]
            found = [by_uid[ranked.key] for ranked in rank_original(inputs)]
        else:
            found = rank_culprit(found)
        return tuple(sorted(found, key=lambda candidate: bool(candidate.excluded)))

    def _follow(self, relief: ReliefState, now: float) -> None:
        """Notice that the pod that was leaving has left, or that its relief was withdrawn."""
        if relief == "active":
            # The previous agent may have begun this relief: its process ended while the pod was leaving.
            self._leaving_since = now if self._leaving_since is None else self._leaving_since
        elif self._leaving_since is not None:
            self._leaving_since, self._leaving_uid = None, ""
            self.wanting = False
            if relief == "idle":
                self.history.restart()
                self._settled_at = now + self.ruleset.settle_seconds

    def _forget_times(self, now: float) -> None:
        """Forget moments from before a jump of the clock; a settling period restarts from now at most."""
        self._stall = StallClock()
        self._leaving_since = None if self._leaving_since is None else now
        if self._settled_at is not None:
            self._settled_at = min(self._settled_at, now + self.ruleset.settle_seconds)

    def _finding(self, rule: Rule, node: NodeModel) -> FiredRule | None:
        for group in rule.any:
            readings = [detector.read(node, self.history) for detector in group.all]
            if all(reading.holds for reading in readings):
                numbers = {key: value for reading in readings for key, value in reading.numbers.items()}
                return FiredRule(rule.title, ", ".join(reading.sentence for reading in readings), numbers)
        return None

    def _waiting(self, now: float) -> str:
        if self._leaving_since is not None:
            return "waiting for the pod that has to leave"
        if self._settled_at is not None and now < self._settled_at:
            return f"a pod just left; its effect is given {self.ruleset.settle_seconds:g} s to show"
        return ""

    def _wait(
        self,
        sample: Sample,
        fired: list[FiredRule],
        reason: str,
        candidates: tuple[Candidate, ...] = (),
    ) -> Decision | None:
        """Return a decision to wait; ``None`` if this reason was reported already, so not every second."""
        if reason == self._quiet_reason:
            return None
        self._quiet_reason = reason
        return self._decision(sample, fired, "wait", reason, candidates=candidates)

    def _decision(
        self,
        sample: Sample,
        fired: list[FiredRule],
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

    def _excluded(self, facts: Mapping[str, PodFacts], models: Mapping[str, PodModel]) -> dict[str, str]:
        """Return why pods must not be chosen, by UID."""
        memory_bytes = self.history.newest.node.memory_total_bytes
        excluded = {
            uid: "holds too little to help"
            for uid, model in models.items()
            if model.usage_bytes * 100 < memory_bytes * LEAST_HELP_PERCENT
        }
        for uid, pod in facts.items():
            if never := why_never(critical=pod.critical, own=uid in self.own_uids):
                excluded[uid] = never
        return excluded

    def _room_bytes(
        self, node: NodeModel, models: Mapping[str, PodModel], facts: Mapping[str, PodFacts]
    ) -> int:
        """Memory that eligible pods can still swap out, in bytes; 0 if that is too little to help."""
        if node.swap_free_bytes * 100 < node.swap_total_bytes * self._reclaim.swap_room_percent:
            return 0
        room = sum(
            swap_room_bytes(facts[uid], models[uid])
            for uid in models.keys() & facts.keys()
            if any(container.swap == "Eligible" for container in facts[uid].containers)
        )
        room = min(room, node.swap_free_bytes)
        return room if room * 100 >= node.memory_total_bytes * LEAST_HELP_PERCENT else 0

    def _is_absorbing(self) -> bool:
        """Whether the node absorbs: pages are swapped out and stay out.

        A node that uses its swap for the first time stalls and absorbs for some seconds; no pod has to leave.
        It cannot last: the swap fills, or pages come back.
        """
        out = self.history.per_second("swap_out_pages", RECENT_SECONDS, 0)
        back = self.history.per_second("swap_in_pages", RECENT_SECONDS, 0)
        return out is not None and back is not None and out > 0 and back <= out * BACK_SHARE

    def _reclaim_steps(
        self, room_bytes: int, node: NodeModel, models: Mapping[str, PodModel], facts: Mapping[str, PodFacts]
    ) -> tuple[ReclaimStep, ...]:
        """The memory to swap out in this tick, pod by pod, the coldest first."""
        if not self._reclaim.enabled:
            return ()
        return _coldest(
            models,
            facts,
            wanted_bytes=min(room_bytes, int(node.memory_total_bytes * self._reclaim.node_percent / 100)),
            seconds=self._window_seconds,
        )

    @property
    def _window_seconds(self) -> float:
        """The time between the oldest and the newest sample of the pods' models, at least 1 s."""
        samples = self.history.samples
        return max(1.0, samples[-1].at_seconds - samples[0].at_seconds)


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
    seconds: float,
) -> tuple[ReclaimStep, ...]:
    cold = [
        model
        for uid, model in models.items()
        if uid in facts
        and swap_room_bytes(facts[uid], model) >= PAGE_BYTES
        and model.refaults / seconds <= COLD_REFAULTS_PER_SECOND
        and any(container.swap == "Eligible" for container in facts[uid].containers)
    ]
    # The fewest refaults per byte first; among pods without refaults the largest, which suffers least.
    cold.sort(key=lambda model: (model.refaults / model.swappable_bytes, -model.swappable_bytes))
    steps: list[ReclaimStep] = []
    left = wanted_bytes
    for model in cold:
        room = swap_room_bytes(facts[model.uid], model)
        part = whole_pages(min(left, room, model.swappable_bytes // 2), PAGE_BYTES)
        if part > 0:
            steps.append(ReclaimStep(model.uid, facts[model.uid].label, part))
            left -= part
    return tuple(steps)
