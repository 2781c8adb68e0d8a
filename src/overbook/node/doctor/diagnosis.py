"""What is wrong on a node: each check looks at the facts and says what, and how to mend it.

What could not be looked at is said too, so nothing is called healthy that was not seen.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from overbook.node.doctor.check import SEVERITIES, Check, HostFinding
from overbook.node.doctor.checks import CHECKS
from overbook.node.doctor.facts import HostState, Subject

ORIGINAL_LEFTOVERS: Final = (
    "run/containers/oci/hooks.d/swap-for-burstable.json",
    "etc/containers/oci/hooks.d/swap-for-burstable.json",
    "opt/oci-hook-swap.sh",
)
"""Files of the original agent, below the host's root; its hook outlives it."""


class Fine(msgspec.Struct, frozen=True, gc=False):
    """One thing that is as it should be."""

    subject: Subject
    sentence: str


class Diagnosis(msgspec.Struct, frozen=True, gc=False):
    """What the doctor says.

    Attributes:
        findings: what is wrong, worst first.
        fine: what is right.
    """

    findings: tuple[HostFinding, ...]
    fine: tuple[Fine, ...]

    @property
    def broken(self) -> bool:
        """Whether overcommit does not work here."""
        return any(finding.severity == "Broken" for finding in self.findings)


def diagnose(facts: HostState) -> Diagnosis:
    """Everything that is wrong, worst first, and what is right."""
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
            f"{check.subject} could not be looked at: {why}",
            "look as root, with the host's whole file system below --fsroot",
        )
