"""One check of the doctor: what it looks at, what it finds wrong, and what it says where all is well."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:  # the agent reports findings, and looks seldom
    from overbook.node.doctor.facts import HostState, Subject

HostSeverity = Literal["Broken", "Risky", "Note"]
"""``Broken``: overcommit does not work here. ``Risky``: it works until the node is short of memory."""

SEVERITIES: Final[tuple[HostSeverity, ...]] = ("Broken", "Risky", "Note")
APPLY: Final = "overbook node swap apply"
"""What fixes most of what is wrong with swap."""
TUNE: Final = "overbook node tune apply"
"""What fixes most of what is wrong with the kernel's settings."""
_PROGRAMS: Final = frozenset({"overbook", "rm", "swapoff"})


class HostFinding(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One thing that is wrong.

    Attributes:
        severity: how bad.
        word: for programs.
        sentence: for people, with the numbers.
        mend: the command that mends it, or where there is none, what to do.
    """

    severity: HostSeverity
    word: str
    sentence: str
    mend: str

    @property
    def mend_is_command(self) -> bool:
        """Whether the mend can be typed as it is."""
        return self.mend.split(" ", 1)[0] in _PROGRAMS


class Check(NamedTuple):
    """A check.

    Attributes:
        subject: what it looks at.
        look: what is wrong; nothing where the facts are not known.
        fine: what is right, in a line, where nothing is wrong; empty: nothing is worth saying.
    """

    subject: "Subject"
    look: "Callable[[HostState], Iterator[HostFinding]]"
    fine: "Callable[[HostState], str]"
