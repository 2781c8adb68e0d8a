"""What is wrong, in words: one finding for each object, gathered where many have the same, worst first."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Severity = Literal["Critical", "Warning", "Note"]
"""``Critical``: guests or nodes are in danger, or nobody watches them. ``Warning``: it will be, or something
does not work as it was set. ``Note``: good to know."""

SEVERITIES: Final[tuple[Severity, ...]] = ("Critical", "Warning", "Note")
MOST_NAMED: Final = 5
"""Objects named in a finding that many have."""


class ClusterFinding(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that is wrong with one object.

    Attributes:
        word: for programs; findings of one word are gathered.
        severity: how bad it is.
        noun: what the object is: ``node``, ``virtual machine``; empty: the cluster as a whole.
        subject: its name.
        sentence: what is wrong, true of every object that has it.
        detail: this object's own numbers.
        mend: the command that mends it, or shows what stands in the way.
        weight: among findings of one word the heaviest is the worst.
    """

    word: str
    severity: Severity
    sentence: str
    noun: str = ""
    subject: str = ""
    detail: str = ""
    mend: str = ""
    weight: float = 0.0


class Gathered(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A finding and all that have it.

    Attributes:
        word: for programs.
        severity: of the worst.
        sentence: for people, complete: objects, what is wrong, the worst one's numbers.
        mend: the command for the worst.
        subjects: who has it, worst first.
    """

    word: str
    severity: Severity
    sentence: str
    mend: str
    subjects: tuple[str, ...] = ()


def gather(findings: Iterable[ClusterFinding]) -> tuple[Gathered, ...]:
    """Findings of one word together, worst first: by severity, then in the order in which they came.

    Rules are asked worst first, so of two words that are equally bad the one that came first is worse.
    """
    alike: dict[str, list[ClusterFinding]] = {}
    for finding in findings:
        alike.setdefault(finding.word, []).append(finding)
    gathered = [_together(sorted(group, key=_badness)) for group in alike.values()]
    return tuple(sorted(gathered, key=lambda one: SEVERITIES.index(one.severity)))


def _badness(finding: ClusterFinding) -> tuple[int, float, str]:
    return SEVERITIES.index(finding.severity), -finding.weight, finding.subject


def _together(group: list[ClusterFinding]) -> Gathered:
    worst = group[0]
    subjects = tuple(finding.subject for finding in group if finding.subject)
    return Gathered(
        word=worst.word,
        severity=worst.severity,
        sentence=_sentence(worst, subjects),
        mend=worst.mend,
        subjects=subjects,
    )


def _sentence(worst: ClusterFinding, subjects: tuple[str, ...]) -> str:
    if len(subjects) <= 1:
        who = f"{worst.noun} {worst.subject}: " if worst.subject else ""
        return f"{who}{worst.sentence}{_after(': ', worst.detail)}"
    others = subjects[1:MOST_NAMED]
    more = len(subjects) - MOST_NAMED
    and_more = f" and {more:,} more" if more > 0 else ""
    return (
        f"{len(subjects):,} {worst.noun}s: {worst.sentence}; first {worst.subject}"
        f"{_after(': ', worst.detail)}; also {', '.join(others)}{and_more}"
    )


def _after(separator: str, text: str) -> str:
    return f"{separator}{text}" if text else ""
