"""Decides for each sample what a node under pressure needs: swap out cold memory, evict one pod, or wait.

Invariant: one pod at a time. After a decision to relieve the node there is no other one until that pod has
left or its relief was withdrawn; after it has left, not for another ``settle_seconds``. Then the windows
have restarted, so no other pod is blamed for what that pod did.

For each sample, in this order:

1. The sample joins the history. If the history was dropped (a jump of the clock), so are all moments.
2. The relief under way is followed: has the pod left?
3. The rules are read for each domain of shortage: the node, and each cgroup above pods with a limit of its
   own, the tightest first. The first in which a rule fires is decided about, with the pods in it only; one in
   which no pod may be evicted comes after the others. If no rule fires, there is no decision.
4. While a pod is leaving, or has just left: wait. If it takes long and only stalls fire, swap out cold
   memory of the other pods meanwhile.
5. Memory runs out: relieve.
6. Else how far the first candidate is beyond its covered memory gives the patience. When it is used up:
   relieve. Until then swap out cold memory, or wait. The table is in ``docs/rules/pressure.md``.

With the rank ``original`` rules that are not about stalls relieve at once, as the documents say.

The engine only decides. In a cluster ``core/relief/choose.py`` picks the pod and ``controller/performer.py``
evicts it; without one ``agent/relief/local.py`` ends it.

The engine has no clock and does no I/O: the agent, ``replay`` and the tests drive the same engine.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.candidate import Candidate, candidates, why_never
from overbook.core.pressure.cold import coldest_steps, is_behind, room_bytes
from overbook.core.pressure.decision import Decision, FiredRule, Outcome, Reclaim, ReclaimStep, Relieve, Wait
from overbook.core.pressure.history import History
from overbook.core.pressure.model import PodModel, is_below
from overbook.core.pressure.offload import Offload, OffloadPolicy
from overbook.core.pressure.patience import Patience, share_to_blame
from overbook.core.pressure.rank import rank_culprit, rank_input, rank_original
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import Rule, Ruleset
from overbook.core.pressure.sample import Sample
from overbook.core.pressure.shortest import short_of_reserve, shortest
from overbook.core.pressure.situation import Situation
from overbook.core.pressure.throttle import lowered, never_evicted_culprit

ReliefState = Literal["idle", "active", "withdrawn"]
"""``active``: a pod is to leave, by a decision of this engine or of one before it. ``withdrawn``: the relief
ended before any pod left, so there is no effect to wait for."""

LEAST_HELP_PERCENT: Final = 1.0
"""A share of the node's RAM. What holds or frees less than this does not end a shortage."""
URGENT_SECONDS: Final = 3.0
"""The window of growth and refaults by which pods are ranked while memory runs out."""
RECENT_SECONDS: Final = 2.0
"""The window over which pages swapped out and pages swapped in are compared."""
RECLAIM_AGAIN_SECONDS: Final = 10.0
"""A pod that has been leaving for longer than this leaves slowly, as in a live migration: cold memory of the
other pods is swapped out meanwhile."""
BACK_SHARE: Final = 0.2
"""The share of swapped-out pages up to which pages may come back while the node counts as absorbing."""
SETTLE_LEAST_SECONDS: Final = 2.0
"""What is given even if the next pod is far beyond its covered memory: the shortest window of the rules."""


class Engine:
    """Makes the decisions for one node, one sample after the other.

    Args:
        ruleset: when the node is under pressure, and the rank of the candidates.
        reclaim: how cold memory is swapped out before a pod is evicted.
        own_uids: Overbook's own pods, which are never chosen; the caller may replace the set.
        offload: how cold memory is swapped out ahead of need; ``None``: not at all.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        reclaim: ReclaimPolicy | None = None,
        own_uids: frozenset[str] = frozenset(),
        offload: OffloadPolicy | None = None,
    ) -> None:
        self.ruleset = ruleset
        self._reclaim = reclaim or ReclaimPolicy()
        self.own_uids = own_uids
        self.history = History(ruleset.window_seconds, ruleset.rank_window_seconds)
        self._decided = 0
        self._patience = Patience(self._reclaim)
        self._leaving_since: float | None = None
        self._leaving_uid = ""
        self._settled_at: float | None = None
        self._quiet_reason = ""
        self.findings: tuple[FiredRule, ...] = ()
        """The rules that fire in the newest sample."""
        self.wanting = False
        """Whether the rules have fired for so long that a pod has to leave."""
        self.offload = Offload(offload or OffloadPolicy(mode="Off"))
        self.offload_steps: tuple[ReclaimStep, ...] = ()
        """What is to be swapped out ahead of need in this tick, beside the decision."""
        self.throttles: dict[str, int] = {}
        """The ``memory.high`` of the pods that are held to their requests, in bytes, by UID."""
        self.situation: Situation
        """The newest sample and what was before it, of the domain that was decided about, else of the
        tightest one; there is none before the first step."""
        self.offload_situation: Situation
        """The same for the domain whose reserve is kept by swapping out."""
        self._short_path: str | None = None

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
        whole = Situation(self.history, facts)
        domains = whole.domains()
        self.situation, found = shortest(self.ruleset.rules, domains, self._may_leave)
        decision = self._decide(sample, self.situation, found)
        reclaiming = decision is not None and decision.action == "reclaim"
        self.throttles = lowered(self.throttles, whole)
        self.offload_situation = short_of_reserve(self.offload, domains)
        self.offload_steps = (
            () if reclaiming else self.offload.plan(self.offload_situation, {self._leaving_uid})
        )
        return decision

    def _decide(
        self, sample: Sample, seen: Situation, found: Sequence[tuple[Rule, FiredRule]]
    ) -> Decision | None:
        fired = [finding for _, finding in found]
        now = sample.at_seconds
        if found:
            self._begin_in(seen.domain.path)
        self._patience.seen([rule for rule, _ in found], now)
        self.findings = tuple(fired)
        if not found:
            self._quiet_reason = ""
            self.wanting = False
            return None
        stalls_only = all(rule.is_about_stalls for rule, _ in found)
        if self._leaving_since is not None:
            meanwhile = self._meanwhile(sample, fired, seen) if stalls_only else None
            return meanwhile or self._wait(sample, fired, "waiting for the pod that has to leave")
        # When memory runs out, it matters which pod takes it now, not which one did before.
        urgent = any(rule.urgent_seconds for rule, _ in found)
        ranked = self._ranked(seen, seen.pods_over(URGENT_SECONDS) if urgent else seen.pods)
        share = share_to_blame(ranked, seen.node.memory_total_bytes)
        if self._settling(share, now):
            settle = self.ruleset.settle_seconds
            return self._wait(
                sample, fired, f"a pod just left; its effect is given up to {settle:g} s to show"
            )
        held, blame = never_evicted_culprit(ranked, seen.node.memory_total_bytes)
        if held is not None and held.uid not in self.throttles and self.ruleset.rank == "culprit":
            return self._throttle(sample, fired, held, blame, found)
        if not ranked or ranked[0].excluded:
            return self._none_evictable(sample, fired, seen, ranked)
        outcome = self._outcome(seen, share, found)
        if isinstance(outcome, Reclaim):
            return self._decision(sample, fired, "reclaim", outcome.reason, reclaim=outcome.steps)
        if isinstance(outcome, Wait):
            return self._wait(sample, fired, outcome.reason)
        return self._relieve(sample, fired, ranked)

    def _outcome(self, seen: Situation, share: float, found: Sequence[tuple[Rule, FiredRule]]) -> Outcome:
        """What follows while rules fire: relieve, swap out cold memory, or wait.

        Args:
            seen: the node and its pods.
            share: how far the first candidate is to blame, 0-1.
            found: the rules that fire, with their findings.
        """
        stalls_only = all(rule.is_about_stalls for rule, _ in found)
        if not stalls_only and self.ruleset.rank == "original":
            return Relieve()
        absorbing = self._is_absorbing()
        if self._patience.is_over(found, share, absorbing=absorbing):
            return Relieve()
        room = self._room_bytes(seen)
        documented = any(not rule.is_about_stalls and not rule.urgent_seconds for rule, _ in found)
        steps = self._reclaim_steps(room, seen) if self._patience.stalling and not documented else ()
        if steps:
            return Reclaim(f"eligible pods can still swap out {room / 2**20:.0f} MiB", steps)
        if not self._patience.stalling:
            return Wait("no pod is far beyond its covered memory, and none stalls, so no pod has to leave")
        if absorbing and share <= 0:
            return Wait("memory is being swapped out and stays out, so no pod has to leave")
        if share >= 1 and stalls_only:
            return Relieve()  # no cold memory is left, and the pod uses what is meant for others
        # One sentence, whether or not a pod may be evicted now: another reason would be another decision.
        longest = self._reclaim.promise_patience_seconds
        return Wait(f"no pod is far beyond its covered memory; the kernel is given up to {longest:g} s")

    def _none_evictable(
        self, sample: Sample, fired: list[FiredRule], seen: Situation, ranked: tuple[Candidate, ...]
    ) -> Decision | None:
        """Swap out cold memory while work stalls, if there is any; else say that no pod may be evicted."""
        steps = self._reclaim_steps(self._room_bytes(seen), seen) if self._patience.stalling else ()
        if steps:
            return self._decision(sample, fired, "reclaim", "no pod may be evicted", reclaim=steps)
        self.wanting = True
        return self._wait(sample, fired, "no pod may be evicted", ranked)

    def _throttle(
        self,
        sample: Sample,
        fired: list[FiredRule],
        held: Candidate,
        blame: float,
        found: Sequence[tuple[Rule, FiredRule]],
    ) -> Decision | None:
        """Hold a pod that is never evicted to its request, once patience with it is over."""
        if not self._patience.is_over(found, blame, absorbing=self._is_absorbing()):
            return self._wait(sample, fired, f"{held.label} is to blame and is never evicted")
        self.throttles[held.uid] = 0
        self._patience = Patience(self._reclaim)
        reason = "it is never evicted, and evicting others would only make room for it"
        return self._decision(sample, fired, "throttle", reason, throttled=held)

    def _meanwhile(self, sample: Sample, fired: list[FiredRule], seen: Situation) -> Decision | None:
        """A reclaim of other pods' cold memory while a pod is leaving slowly; ``None``: not now."""
        if self._leaving_since is None or sample.at_seconds - self._leaving_since < RECLAIM_AGAIN_SECONDS:
            return None
        room = self._room_bytes(seen)
        # A live migration has to read back all that the leaving pod has in swap.
        steps = self._reclaim_steps(room, seen, without={self._leaving_uid})
        if not steps:
            return None
        reason = f"a pod is leaving; meanwhile the others can swap out {room / 2**20:.0f} MiB"
        return self._decision(sample, fired, "reclaim", reason, reclaim=steps)

    def _relieve(
        self, sample: Sample, fired: list[FiredRule], ranked: tuple[Candidate, ...]
    ) -> Decision | None:
        self.wanting = True
        evictable = [candidate for candidate in ranked if not candidate.excluded]
        after = self._patience.age_seconds(sample.at_seconds)
        self._patience = Patience(self._reclaim)
        self._leaving_since, self._leaving_uid = sample.at_seconds, evictable[0].uid
        following = f"next would be {evictable[1].label}" if evictable[1:] else "no other pod may be evicted"
        if evictable[0].beyond_bytes <= 0 and self.ruleset.rank == "culprit":
            following = (
                f"all pods are within their covered memory: the node is overcommitted too far; {following}"
            )
        reason = f"{after:.0f} s after it began; {following}" if after >= 1 else following
        return self._decision(sample, fired, "relieve", reason, victim=evictable[0], candidates=ranked)

    def rank(self, facts: Mapping[str, PodFacts]) -> tuple[Candidate, ...]:
        """All pods in the order in which they would be evicted by the newest samples; the excluded last."""
        seen = Situation(self.history, facts)
        return self._ranked(seen, seen.pods)

    def _ranked(self, seen: Situation, models: Mapping[str, PodModel]) -> tuple[Candidate, ...]:
        facts = seen.facts
        found = candidates(facts, models, self._excluded(seen, models), seen.node.page_bytes)
        if self.ruleset.rank == "original":
            by_uid = {candidate.uid: candidate for candidate in sorted(found, key=lambda c: c.label)}
            inputs = [rank_input(models[uid], facts[uid]) for uid in by_uid]
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

    def _begin_in(self, path: str | None) -> None:
        """Begin the patience anew where the shortage moved to a domain that has none of the same pods."""
        last, self._short_path = self._short_path, path
        related = last is None or path is None or is_below(last, path) or is_below(path, last)
        if not related:
            self._patience = Patience(self._reclaim)

    def _forget_times(self, now: float) -> None:
        """Forget moments from before a jump of the clock; a settling period restarts from now at most."""
        self._patience = Patience(self._reclaim)
        self._leaving_since = None if self._leaving_since is None else now
        if self._settled_at is not None:
            self._settled_at = min(self._settled_at, now + self.ruleset.settle_seconds)

    def _settling(self, share: float, now: float) -> bool:
        """Whether the effect of a pod that just left is still given time.

        A next candidate far beyond its covered memory has to leave whatever that effect is: it is given less.
        """
        if self._settled_at is None:
            return False
        spared = share * max(0.0, self.ruleset.settle_seconds - SETTLE_LEAST_SECONDS)
        return now < self._settled_at - spared

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
        throttled: Candidate | None = None,
    ) -> Decision:
        if action != "wait":
            self._quiet_reason = ""
        self._decided += 1
        return Decision(
            number=self._decided,
            wall_seconds=sample.wall_seconds,
            findings=tuple(fired),
            action=action,
            reason=reason,
            reclaim=reclaim,
            victim=victim,
            candidates=candidates,
            throttled=throttled,
        )

    def _may_leave(self, seen: Situation) -> bool:
        """Whether any pod of a domain may be evicted."""
        excluded = self._excluded(seen, seen.pods)
        return any(uid in seen.facts and uid not in excluded for uid in seen.pods)

    def _excluded(self, seen: Situation, models: Mapping[str, PodModel]) -> dict[str, str]:
        """Return why pods must not be chosen, by UID."""
        facts, memory_bytes = seen.facts, seen.node.memory_total_bytes
        excluded = {
            uid: "holds too little to help"
            for uid, model in models.items()
            if model.usage_bytes * 100 < memory_bytes * LEAST_HELP_PERCENT
        }
        for uid, pod in facts.items():
            if never := why_never(critical=pod.critical, own=uid in self.own_uids):
                excluded[uid] = never
        return excluded

    def _room_bytes(self, seen: Situation) -> int:
        """Memory that eligible pods can still swap out, in bytes; 0 if that is too little to help."""
        node = seen.node
        if node.swap_free_bytes * 100 < node.swap_total_bytes * self._reclaim.swap_room_percent:
            return 0
        room = room_bytes(seen)
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
        self, room: int, seen: Situation, without: Collection[str] = ()
    ) -> tuple[ReclaimStep, ...]:
        """The memory to swap out in this tick, pod by pod, the coldest first."""
        if not self._reclaim.enabled or is_behind(seen):
            return ()
        most = int(seen.node.memory_total_bytes * self._reclaim.node_percent / 100)
        return coldest_steps(
            seen,
            min(room, most),
            lambda model: model.swappable_bytes // 2,
            {*without, *self.offload.paused(seen)},
        )
