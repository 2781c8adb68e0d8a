"""The decision record: what was measured, which rules fired, which pods were considered, and what follows.

``engine.py`` decides; this module has only the record of its decision.
"""

import msgspec

from overbook.core.pressure.candidate import Candidate


class FiredRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A rule that fires, with the numbers that made it fire.

    Attributes:
        rule: the rule's name.
        sentence: what the rule's detectors measured, for people.
        numbers: the same numbers, for programs.
        domain: the cgroup above pods whose limit is short of memory, by its path; ``None``: the node is.
    """

    rule: str
    sentence: str
    numbers: dict[str, float]
    domain: str | None = None


class ReclaimStep(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Memory of one pod that is to be swapped out.

    Attributes:
        uid: the pod's UID.
        label: ``namespace/name``.
        wanted_bytes: how much memory.
    """

    uid: str
    label: str
    wanted_bytes: int


class Reclaim(msgspec.Struct, frozen=True, gc=False):
    """The outcome: cold memory is swapped out.

    Attributes:
        reason: why no pod has to leave yet.
        steps: how much of which pods, the coldest first.
    """

    reason: str
    steps: tuple[ReclaimStep, ...]


class Wait(msgspec.Struct, frozen=True, gc=False):
    """The outcome: nothing is done now.

    Attributes:
        reason: what the node waits for.
    """

    reason: str


class Relieve(msgspec.Struct, frozen=True, gc=False):
    """The outcome: a pod has to leave the node."""


Outcome = Reclaim | Wait | Relieve
"""What a sample in which rules fire leads to."""


class Decision(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One decision of the engine.

    Attributes:
        number: the decision's number; an engine counts from 1.
        wall_seconds: when it was made, in seconds since the epoch.
        findings: the rules that fire, in the ruleset's order.
        action: ``reclaim``, ``relieve``, ``throttle`` or ``wait``.
        reason: why this action, in one sentence.
        reclaim: the memory to swap out, the coldest first.
        victim: the pod that has to leave.
        candidates: the pods that were considered, in rank order, the excluded ones last.
        throttled: the pod that is held to its request, because it is to blame and is never evicted.
    """

    number: int
    wall_seconds: float
    findings: tuple[FiredRule, ...]
    action: str
    reason: str
    reclaim: tuple[ReclaimStep, ...] = ()
    victim: Candidate | None = None
    candidates: tuple[Candidate, ...] = ()
    throttled: Candidate | None = None

    @property
    def sentence(self) -> str:
        """The decision in one sentence: what was measured, then what is done."""
        seen = "; also ".join(finding.sentence for finding in self.findings)
        if self.action == "reclaim":
            total = sum(step.wanted_bytes for step in self.reclaim) / 2**20
            names = ", ".join(step.label for step in self.reclaim)
            return f"{seen}: swapping out {total:.0f} MiB of {names} ({self.reason})"
        if self.throttled is not None:
            held = f"{self.throttled.label} is held to its request ({self.throttled.sentence})"
            return f"{seen}: {held}; {self.reason}"
        if self.victim is not None:
            chosen = f"{self.victim.label} has to leave the node ({self.victim.sentence})"
            return f"{seen}: {chosen}; {self.reason}"
        return f"{seen}: {self.reason}"
