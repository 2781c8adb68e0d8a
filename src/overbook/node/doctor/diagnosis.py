"""The diagnosis of a node: every check judges the facts, and gives findings with their fixes.

A subject that could not be read is a finding, too, so that nothing unread is reported as healthy.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from overbook.node.doctor.check import SEVERITIES, Check, HostFinding
from overbook.node.doctor.checks import CHECKS
from overbook.node.doctor.facts import HostState, Subject, shown_subject

WASP_AGENT_LEFTOVERS: Final = (
    "run/containers/oci/hooks.d/swap-for-burstable.json",
    "etc/containers/oci/hooks.d/swap-for-burstable.json",
    "opt/oci-hook-swap.sh",
)
"""Files of wasp-agent, below the host's root. Its hook still runs after wasp-agent is removed."""


class Fine(msgspec.Struct, frozen=True, gc=False):
    """A subject without a finding."""

    subject: Subject
    sentence: str


class Diagnosis(msgspec.Struct, frozen=True, gc=False):
    """The result of all checks.

    Attributes:
        findings: what is wrong, worst first.
        fine: the subjects without a finding.
    """

    findings: tuple[HostFinding, ...]
    fine: tuple[Fine, ...]

    @property
    def broken(self) -> bool:
        """Whether overcommit does not work here."""
        return any(finding.severity == "Broken" for finding in self.findings)


def diagnose(facts: HostState) -> Diagnosis:
    """Run all checks on the facts."""
    found: list[HostFinding] = []
    fine: list[Fine] = []
    for check in CHECKS:
        wrong = [*_unread(check, facts), *check.look(facts)]
        found += wrong
        if not wrong and (sentence := check.fine(facts)):
            fine.append(Fine(check.subject, sentence))
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Diagnosis(tuple(found), tuple(fine))


def _unread(check: Check, facts: HostState) -> Iterator[HostFinding]:
    if why := facts.unread.get(check.subject):
        yield HostFinding(
            "Note",
            "NotLooked",
            f"{shown_subject(check.subject)} could not be checked: {why}",
            "run it as root, with the host's whole file system below --fsroot",
        )
