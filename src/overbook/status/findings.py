"""Findings: one for each object, then the same finding of many objects as one, worst first."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Severity = Literal["Critical", "Warning", "Note"]
"""``Critical``: VMs or nodes are in danger, or no agent watches them. ``Warning``: they may be soon, or a
setting does not work. ``Note``: good to know."""

SEVERITIES: Final[tuple[Severity, ...]] = ("Critical", "Warning", "Note")
MOST_NAMED: Final = 5
"""How many objects a finding names."""


class ClusterFinding(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that is wrong with one object.

    Attributes:
        word: for programs; findings with the same word are gathered into one.
        severity: how bad it is.
        noun: the kind of object: ``node``, ``virtual machine``; empty: the cluster as a whole.
        subject: the object's name.
        sentence: what is wrong; the same for every object with this finding.
        detail: this object's own numbers.
        fix: the command that removes the cause, or shows more about it.
        weight: among findings with the same word, the one with the largest weight is the worst.
    """

    word: str
    severity: Severity
    sentence: str
    noun: str = ""
    subject: str = ""
    detail: str = ""
    fix: str = ""
    weight: float = 0.0


class Gathered(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A finding with all objects that have it.

    Attributes:
        word: for programs.
        severity: the severity for the worst object.
        sentence: for people: the objects, what is wrong, and the numbers of the worst object.
        fix: the command for the worst object; ``mend`` in JSON.
        subjects: the names of the objects, worst first.
    """

    word: str
    severity: Severity
    sentence: str
    fix: str = msgspec.field(name="mend")
    subjects: tuple[str, ...] = ()


def gather(findings: Iterable[ClusterFinding]) -> tuple[Gathered, ...]:
    """Gather the findings with the same word; worst first: by severity, then in the given order.

    The given findings are in the order of the rules, which are sorted with the worst first.
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
        fix=worst.fix,
        subjects=subjects,
    )


def _sentence(worst: ClusterFinding, subjects: tuple[str, ...]) -> str:
    if len(subjects) <= 1:
        subject = f"{worst.noun} {worst.subject}: " if worst.subject else ""
        return f"{subject}{worst.sentence}{_after(': ', worst.detail)}"
    others = subjects[1:MOST_NAMED]
    more = len(subjects) - MOST_NAMED
    and_more = f" and {more:,} more" if more > 0 else ""
    return (
        f"{len(subjects):,} {worst.noun}s: {worst.sentence}; first {worst.subject}"
        f"{_after(': ', worst.detail)}; also {', '.join(others)}{and_more}"
    )


def _after(separator: str, text: str) -> str:
    return f"{separator}{text}" if text else ""
