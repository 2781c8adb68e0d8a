"""A recording decided again: two courses side by side, and where they part.

A recording shows what happened after what was decided then. Once another ruleset decides differently, nobody
knows what the node would have done; from there on its course is an estimate, and :class:`Comparison` says
from where. What is simulated is only the guest that was asked to go: it is on its way until the recording
shows it gone or a bounded time has passed, and it is not asked a second time.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import Engine, ReclaimPolicy, ReliefState
from overbook.core.pressure.figures import RuleFigures, RuleWatch
from overbook.core.pressure.recording import Tick
from overbook.core.pressure.ruleset import Ruleset
from overbook.core.pressure.sample import Sample

MOST_ROWS: Final = 10_000
"""Decisions that are kept; more are only counted."""
RELIEF_SECONDS: Final = 10.0
"""How long a guest that the recording keeps is on its way: the agent's own grace period."""


class ReplayStep(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One decision, without its candidates.

    Attributes:
        action: ``reclaim``, ``relieve`` or ``wait``.
        victim: ``namespace/name`` of the guest that is asked to go.
        rule: the rule that holds.
        sentence: the decision in words.
    """

    action: str
    victim: str | None
    rule: str
    sentence: str

    @property
    def kind(self) -> tuple[str, str | None, str]:
        """What it has in common with its repetitions."""
        return (self.action, self.victim, self.rule)


class ReplayRow(msgspec.Struct, gc=False, rename="camel"):
    """A moment at which at least one side decided something.

    Attributes:
        seconds: since the first sample.
        left: what was decided on the left.
        right: what was decided on the right.
        times: how many samples in a row brought the same.
        until_seconds: when the last of them was.
    """

    seconds: float
    left: ReplayStep | None
    right: ReplayStep | None
    times: int = 1
    until_seconds: float = 0.0


class Side(msgspec.Struct, gc=False, rename="camel"):
    """One course in numbers.

    Attributes:
        decisions: all of them.
        reclaims: those that pushed memory out.
        reclaim_wanted_bytes: how much in sum.
        first_decision_seconds: when the first one was; ``None``: never.
        first_asked_seconds: when the first guest was asked to go.
        asked: the guests that were, in order.
    """

    decisions: int = 0
    reclaims: int = 0
    reclaim_wanted_bytes: int = 0
    first_decision_seconds: float | None = None
    first_asked_seconds: float | None = None
    asked: list[str] = []

    def count(self, seconds: float, decision: Decision) -> None:
        """Take in a decision."""
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
    """Both courses.

    Attributes:
        samples: how many the recording has.
        seconds: from the first to the last.
        most_pods: the most pods that a sample has.
        memory_bytes: the node's RAM.
        swap_bytes: its swap.
        differ_from_seconds: when the courses part; ``None``: they never do. Before it the right side is what
            would have happened; from there on it is an estimate.
        rows: the decisions in order, repetitions folded.
        rows_left_out: those that were only counted.
        left: the left course in numbers.
        right: the right course.
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
        """What both sides decided at one moment."""
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
    """A ruleset that decides a recording.

    Args:
        ruleset: when, and who first.
        reclaim: what to try before.
        relief_seconds: how long a guest that was asked to go is on its way, where the recording keeps it.
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
        """Whether the guest that was asked to go is still on its way."""
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
        ticks: the recording.
        right: decides it again.
        left: decides it too; ``None``: the left side is what was decided when it was recorded.
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
            watch.take(found.seconds, right.engine.history)
    found.rules = tuple(watch.figures for watch in watches)
    return found


def _elapsed(before: Sample | None, sample: Sample) -> float:
    """Seconds since the sample before; after a reboot the monotonic clock starts anew, the other goes on."""
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
    """What a decision does to the node; waiting does nothing."""
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
