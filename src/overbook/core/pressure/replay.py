"""Replay: a recording decided again by another ruleset, beside what was decided when it was recorded.

A recording shows what happened after the recorded decisions. Once another ruleset decides differently, what
the node would have done is not known. From there on its course is an estimate, and :class:`Comparison` says
from where. Only one thing is simulated: a pod that has to leave is leaving until the recording shows it gone
or a bounded time has passed, and it is not chosen a second time.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import Engine, ReliefState
from overbook.core.pressure.figures import RuleFigures, RuleWatch
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.recording import Tick
from overbook.core.pressure.ruleset import Ruleset
from overbook.core.pressure.sample import Sample

MOST_ROWS: Final = 10_000
"""The most rows that are kept; more are only counted."""
RELIEF_SECONDS: Final = 10.0
"""How long a pod is leaving if the recording still has it: the agent's own grace period."""


class ReplayStep(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One decision, without its candidates.

    Attributes:
        action: ``reclaim``, ``relieve`` or ``wait``.
        victim: ``namespace/name`` of the pod that has to leave.
        rule: the first rule that fires.
        sentence: the decision in words.
    """

    action: str
    victim: str | None
    rule: str
    sentence: str

    @property
    def kind(self) -> tuple[str, str | None, str]:
        """The part by which a repetition of the decision is recognized."""
        return (self.action, self.victim, self.rule)


class ReplayRow(msgspec.Struct, gc=False, rename="camel"):
    """A moment at which at least one side made a decision.

    Attributes:
        seconds: the moment, since the first sample.
        left: the left side's decision.
        right: the right side's decision.
        times: how many samples in a row led to the same.
        until_seconds: the moment of the last of them.
    """

    seconds: float
    left: ReplayStep | None
    right: ReplayStep | None
    times: int = 1
    until_seconds: float = 0.0


class Side(msgspec.Struct, gc=False, rename="camel"):
    """One course of decisions in numbers.

    Attributes:
        decisions: the number of decisions.
        reclaims: the number of decisions that swapped out memory.
        reclaim_wanted_bytes: the memory that these wanted to swap out, in sum.
        first_decision_seconds: when the first decision was made; ``None``: never.
        first_asked_seconds: when the first pod had to leave; ``None``: never.
        asked: the pods that had to leave, in order.
    """

    decisions: int = 0
    reclaims: int = 0
    reclaim_wanted_bytes: int = 0
    first_decision_seconds: float | None = None
    first_asked_seconds: float | None = None
    asked: list[str] = []

    def count(self, seconds: float, decision: Decision) -> None:
        """Count a decision."""
        self.decisions += 1
        if self.first_decision_seconds is None:
            self.first_decision_seconds = seconds
        if decision.action == "reclaim":
            self.reclaims += 1
            self.reclaim_wanted_bytes += sum(step.wanted_bytes for step in decision.reclaim)
        if decision.victim is not None:
            if self.first_asked_seconds is None:
                self.first_asked_seconds = seconds
            self.asked.append(decision.victim.label)


class Comparison(msgspec.Struct, gc=False, rename="camel"):
    """Two courses of decisions for one recording, side by side.

    Attributes:
        samples: the recording's number of samples.
        seconds: the time from the first sample to the last.
        most_pods: the largest number of pods in a sample.
        memory_bytes: the node's RAM.
        swap_bytes: the node's swap.
        differ_from_seconds: when the courses part; ``None``: they never do. Before it the right side is
            what would have happened; from there on it is an estimate.
        rows: the decisions in order, repetitions folded.
        rows_left_out: the number of rows that were not kept.
        left: the left course in numbers.
        right: the right course in numbers.
        rules: the right side's rules, and how near the recording came to each.
    """

    samples: int = 0
    seconds: float = 0.0
    most_pods: int = 0
    memory_bytes: int = 0
    swap_bytes: int = 0
    differ_from_seconds: float | None = None
    rows: list[ReplayRow] = []
    rows_left_out: int = 0
    left: Side = msgspec.field(default_factory=Side)
    right: Side = msgspec.field(default_factory=Side)
    rules: tuple[RuleFigures, ...] = ()

    def take(self, seconds: float, left: Decision | None, right: Decision | None) -> None:
        """Add what both sides decided at one moment."""
        if left is not None:
            self.left.count(seconds, left)
        if right is not None:
            self.right.count(seconds, right)
        parts_here = self.differ_from_seconds is None and _consequence(left) != _consequence(right)
        if parts_here:
            self.differ_from_seconds = seconds
        if left is None and right is None:
            return
        row = ReplayRow(seconds, _step(left), _step(right), until_seconds=seconds)
        repeats = bool(self.rows) and _kinds(self.rows[-1]) == _kinds(row)
        if repeats and not parts_here and not self.rows_left_out:
            self.rows[-1].times += 1
            self.rows[-1].until_seconds = seconds
        elif len(self.rows) < MOST_ROWS:
            self.rows.append(row)
        else:
            self.rows_left_out += 1


class Course:
    """One side of a comparison: an engine that decides a recording.

    Args:
        ruleset: when the node is under pressure, and the rank of the candidates.
        reclaim: how cold memory is swapped out before a pod is evicted.
        relief_seconds: how long a pod is leaving if the recording still has it.
    """

    def __init__(
        self, ruleset: Ruleset, reclaim: ReclaimPolicy | None = None, relief_seconds: float = RELIEF_SECONDS
    ) -> None:
        self.engine = Engine(ruleset, reclaim)
        self._relief_seconds = relief_seconds
        self._leaving: tuple[str, str, float] | None = None
        self._gone: set[str] = set()

    def step(self, tick: Tick) -> Decision | None:
        """Decide one tick."""
        relief = self._follow(tick)
        decision = self.engine.step(tick.sample, self._present(tick.facts), relief)
        if decision is not None and decision.victim is not None:
            victim = decision.victim
            self._leaving = (victim.uid, victim.label, tick.sample.at_seconds)
        return decision

    def _follow(self, tick: Tick) -> ReliefState:
        """Whether the pod that has to leave is still leaving."""
        if self._leaving is None:
            return "idle"
        uid, label, since = self._leaving
        waited = tick.sample.at_seconds - since
        reported = tick.relieved is not None and tick.relieved.label == label
        if not reported and 0 <= waited < self._relief_seconds and _holds_memory(tick.sample, uid):
            return "active"
        self._leaving = None
        self._gone.add(uid)
        return "idle"

    def _present(self, facts: Mapping[str, PodFacts]) -> Mapping[str, PodFacts]:
        if not self._gone:
            return facts
        return {uid: pod for uid, pod in facts.items() if uid not in self._gone}


def compare(ticks: Iterable[Tick], right: Course, left: Course | None = None) -> Comparison:
    """Run a recording through one or two courses.

    Args:
        ticks: the recording's ticks.
        right: the course that decides the recording again.
        left: another course beside it; ``None``: the left side is what was decided when it was recorded.
    """
    found = Comparison()
    watches = tuple(RuleWatch(rule) for rule in right.engine.ruleset.rules)
    before: Sample | None = None
    for tick in ticks:
        sample = tick.sample
        found.samples += 1
        found.seconds += _elapsed(before, sample)
        found.most_pods = max(found.most_pods, len(sample.pods))
        found.memory_bytes = sample.node.memory_total_bytes
        found.swap_bytes = sample.node.swap_total_bytes or 0
        before = sample
        decided = right.step(tick)
        found.take(found.seconds, left.step(tick) if left else tick.decision, decided)
        for watch in watches:
            watch.take(found.seconds, right.engine.situation)
    found.rules = tuple(watch.figures for watch in watches)
    return found


def _elapsed(before: Sample | None, sample: Sample) -> float:
    """Seconds since the sample before; by the wall clock after a reboot, which resets the monotonic one."""
    if before is None:
        return 0.0
    elapsed = sample.at_seconds - before.at_seconds
    return elapsed if elapsed >= 0 else max(0.0, sample.wall_seconds - before.wall_seconds)


def _holds_memory(sample: Sample, uid: str) -> bool:
    return any(
        container.memory_current_bytes + container.swap_current_bytes > 0
        for pod in sample.pods
        if pod.uid == uid
        for container in pod.containers
    )


def _consequence(decision: Decision | None) -> object:
    """The part of a decision that changes the node; ``None`` for waiting."""
    if decision is None or decision.action == "wait":
        return None
    return (decision.action, decision.victim and decision.victim.uid, decision.reclaim)


def _step(decision: Decision | None) -> ReplayStep | None:
    if decision is None:
        return None
    victim = decision.victim.label if decision.victim else None
    rule = decision.findings[0].rule if decision.findings else ""
    sentence = decision.sentence if decision.findings else decision.reason
    return ReplayStep(decision.action, victim, rule, sentence)


def _kinds(row: ReplayRow) -> tuple[object, object]:
    return (row.left and row.left.kind, row.right and row.right.kind)
