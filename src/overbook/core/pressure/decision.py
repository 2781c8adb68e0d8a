"""The record of a decision: what was measured, what fired, who was considered, and what follows."""

import msgspec

from overbook.core.pressure.candidate import Candidate


class FiredRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A rule that holds.

    Attributes:
        rule: its name.
        sentence: what its detectors saw.
        numbers: the same, for programs.
    """

    rule: str
    sentence: str
    numbers: dict[str, float]


class ReclaimStep(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Memory to be pushed out of one pod.

    Attributes:
        uid: the pod's UID.
        label: ``namespace/name``.
        wanted_bytes: how much.
    """

    uid: str
    label: str
    wanted_bytes: int


class Reclaim(msgspec.Struct, frozen=True, gc=False):
    """Memory is pushed out.

    Attributes:
        reason: why that is enough for now.
        steps: of which pods, coldest first.
    """

    reason: str
    steps: tuple[ReclaimStep, ...]


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Nothing is done.

    Attributes:
        reason: what is waited for.
    """

    reason: str


class Relieve(msgspec.Struct, frozen=True, gc=False):
    """A guest has to go."""


Outcome = Reclaim | Wait | Relieve
"""What rules that hold lead to."""


class Decision(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One decision.

    Attributes:
        number: counts from 1 within one engine.
        wall_seconds: when, in seconds since the epoch.
        findings: the rules that hold, the first of which named the decision.
        action: ``reclaim``, ``relieve``, or ``wait``.
        reason: why this action, in one sentence.
        reclaim: what is pushed out, coldest first.
        victim: who is asked to go.
        candidates: everyone considered, in order.
    """

    number: int
    wall_seconds: float
    findings: tuple[FiredRule, ...]
    action: str
    reason: str
    reclaim: tuple[ReclaimStep, ...] = ()
    victim: Candidate | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def sentence(self) -> str:
        """The whole decision in one readable sentence."""
        seen = "; also ".join(finding.sentence for finding in self.findings)
        if self.action == "reclaim":
            total = sum(step.wanted_bytes for step in self.reclaim) / 2**20
            names = ", ".join(step.label for step in self.reclaim)
            return f"{seen}: pushing {total:.0f} MiB of {names} out to swap ({self.reason})"
        if self.victim is not None:
            return (
                f"{seen}: relieving the node of {self.victim.label} ({self.victim.sentence}); {self.reason}"
            )
        return f"{seen}: {self.reason}"
