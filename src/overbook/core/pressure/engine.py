"""Samples in, decisions out. Deterministic: no clock, no I/O; replay and simulation drive the same engine.

One guest at a time: after one was asked to go, nobody else is until it has gone (or the asking failed) and
its effect had time to show. Windows restart when it is gone, so that what it did is not held against the
others.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import whole_pages
from overbook.core.pressure.candidate import Candidate, candidates, swap_room_bytes, why_never
from overbook.core.pressure.decision import Decision, FiredRule, Outcome, Reclaim, ReclaimStep, Relieve, Wait
from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel, PodModel, node_model, pod_models
from overbook.core.pressure.rank import MemoryUsage, RankInput, rank_culprit, rank_original
from overbook.core.pressure.ruleset import Rule, Ruleset
from overbook.core.pressure.sample import Sample
from overbook.core.pressure.stall import StallClock

ReliefState = Literal["idle", "active", "withdrawn"]
"""``active``: a guest was asked to go, by whomever. ``withdrawn``: the asking was taken back before anybody
went, so there is no effect to wait for."""

PAGE_BYTES: Final = 4096
COLD_REFAULTS_PER_SECOND: Final = 20.0
"""A pod whose memory comes back faster than this is in use; pushing it out again would only stir."""

LEAST_HELP_PERCENT: Final = 1.0
"""Of the node's RAM: what holds or frees less than this does not end a shortage."""
RECENT_SECONDS: Final = 2.0
"""Over which it is judged whether memory goes out or comes back."""
RECLAIM_AGAIN_SECONDS: Final = 10.0
"""A guest that was asked to go and is still here after this moves slowly, as a live migration does: cold
memory of the others is pushed out meanwhile."""
BACK_SHARE: Final = 0.2
"""Of what goes out, how much may come back before pushing out counts as stirring."""


class ReclaimPolicy(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", forbid_unknown_fields=True
):
    """How memory is pushed out while work stalls.

    Attributes:
        enabled: whether at all.
        node_percent: how much of the node's RAM is asked for in one tick.
        swap_room_percent: how much of the swap must be free.
        patience_seconds: how long work may stall before a guest goes that holds more than its request and
            its allowance cover.
        promise_patience_seconds: the same for a guest within them: it was promised what it holds, and the
            kernel needs seconds to tell its hot memory from its cold.
    """

    enabled: bool = True
    node_percent: float = 1.0
    swap_room_percent: float = 10.0
    patience_seconds: float = 2.0
    promise_patience_seconds: float = 15.0

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInput: a percentage or a patience out of range.
        """
        for field, percent in (
            ("nodePercent", self.node_percent),
            ("swapRoomPercent", self.swap_room_percent),
        ):
            if not 0 <= percent <= 100:
                raise InvalidInput(f"reclaim.{field}", percent, "a number from 0 to 100")
        for field, seconds in (
            ("patienceSeconds", self.patience_seconds),
            ("promisePatienceSeconds", self.promise_patience_seconds),
        ):
            if not 0 <= seconds <= 3600:
                raise InvalidInput(f"reclaim.{field}", seconds, "0 to 3600 seconds")


class Engine:
    """Decides, sample by sample.

    Args:
        ruleset: when, and who first.
        reclaim: what to try before.
        own_uids: pods that are never chosen because they are Overbook's; may be exchanged.
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
        self._asked_at: float | None = None
        self._asked_uid = ""
        self._settled_at: float | None = None
        self._quiet_reason = ""
        self.findings: tuple[FiredRule, ...] = ()
        """The rules that hold in the newest sample."""
        self.wanting = False
        """Whether they have held so long that a guest has to go."""

    def step(
        self, sample: Sample, facts: Mapping[str, PodFacts], relief: ReliefState = "idle"
    ) -> Decision | None:
        """Take in a sample and decide.

        Args:
            sample: the newest reading.
            facts: what is known of the pods, by UID.
            relief: whether a guest that was asked to go is still on its way, or was asked no longer.

        Returns:
            A decision, or ``None`` where no rule holds or the same waiting was already reported.
        """
        self.history.add(sample)
        if self.history.forgotten:
            self._forget_times(sample.at_seconds)
        self._follow(relief, sample.at_seconds)
        node = node_model(sample.node)
        fired = [finding for rule in self.ruleset.rules if (finding := self._finding(rule, node))]
        pressure = {rule.title for rule in self.ruleset.rules if rule.is_pressure}
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
        """What a stall leaves to do before a guest goes: push out cold memory, or wait."""
        beyond = victim is not None and victim.over_promise_bytes > 0
        # While nobody takes more than he was promised, memory that goes out and stays there needs no victim.
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
            return Reclaim(f"swap has {room / 2**20:.0f} MiB of room for them", steps)
        if absorbing:
            return Wait("cold memory is on its way out to swap")
        if beyond:
            return Relieve()  # nothing left to push out, and somebody takes what is not his
        return Wait(f"no guest is beyond its promise; the kernel is given {patience:g} s")

    def _meanwhile(
        self, sample: Sample, fired: list[FiredRule], node: NodeModel, facts: Mapping[str, PodFacts]
    ) -> Decision | None:
        """What can be done while a guest that was asked to go takes its time."""
        if self._asked_at is None or sample.at_seconds - self._asked_at < RECLAIM_AGAIN_SECONDS:
            return None
        models = pod_models(self.history.samples)
        models.pop(self._asked_uid, None)  # all that it has in swap it would have to bring back to leave
        room = self._room_bytes(node, models, facts)
        steps = self._reclaim_steps(room, node, models, facts)
        if not steps:
            return None
        reason = f"a guest is on its way; swap has {room / 2**20:.0f} MiB of room meanwhile"
        return self._decision(sample, fired, "reclaim", reason, reclaim=steps)

    def _relieve(
        self, sample: Sample, fired: list[FiredRule], ranked: tuple[Candidate, ...]
    ) -> Decision | None:
        self.wanting = True
        eligible = [candidate for candidate in ranked if not candidate.excluded]
        if not eligible:
            return self._wait(sample, fired, "no pod may be asked to go", ranked)
        self._stall = StallClock()
        self._asked_at, self._asked_uid = sample.at_seconds, eligible[0].uid
        following = f"next would be {eligible[1].label}" if len(eligible) > 1 else "there is nobody after it"
        return self._decision(sample, fired, "relieve", following, victim=eligible[0], candidates=ranked)

    def rank(self, facts: Mapping[str, PodFacts]) -> tuple[Candidate, ...]:
        """Everyone in the order in which they would go by the newest samples, the excluded last."""
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
        """Notice that the guest that was asked to go is gone, or that the asking came to nothing."""
        if relief == "active":
            # Perhaps asked by an engine before this one: its process ended while the guest was on its way.
            self._asked_at = now if self._asked_at is None else self._asked_at
        elif self._asked_at is not None:
            self._asked_at, self._asked_uid = None, ""
            self.wanting = False
            if relief == "idle":
                self.history.restart()
                self._settled_at = now + self.ruleset.settle_seconds

    def _forget_times(self, now: float) -> None:
        """After a jump of the clock no moment of the past means anything; a settling begins anew at most."""
        self._stall = StallClock()
        self._asked_at = None if self._asked_at is None else now
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
        if self._asked_at is not None:
            return "waiting for the guest that was asked to go"
        if self._settled_at is not None and now < self._settled_at:
            return f"a guest just went; its effect is given {self.ruleset.settle_seconds:g} s to show"
        return ""

    def _wait(
        self,
        sample: Sample,
        fired: list[FiredRule],
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
        """Why pods are never chosen, by UID."""
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
        """What the pods that may swap can still push out; 0 where that is too little to help."""
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
        """Whether memory goes out to swap and stays there: work stalls, but not in vain.

        A node that first needs its swap looks like this for some seconds, and no guest has to go for it. It
        cannot last: the swap fills, or memory comes back.
        """
        out = self.history.per_second("swap_out_pages", RECENT_SECONDS, 0)
        back = self.history.per_second("swap_in_pages", RECENT_SECONDS, 0)
        return out is not None and back is not None and out > 0 and back <= out * BACK_SHARE

    def _reclaim_steps(
        self, room_bytes: int, node: NodeModel, models: Mapping[str, PodModel], facts: Mapping[str, PodFacts]
    ) -> tuple[ReclaimStep, ...]:
        """What to push out, coldest first."""
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
        """Over which the pods' models look back."""
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
    # Least refaulting per byte first; among the still ones the largest, which notices it least.
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
