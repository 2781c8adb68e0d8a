"""The form of the doctor's checks, and of their findings."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:  # keeps the agent's start light: it needs only the findings
    from overbook.node.doctor.facts import HostState, Subject

HostSeverity = Literal["Broken", "Risky", "Note"]
"""``Broken``: overcommit does not work here. ``Risky``: it works until the node is short of memory.
``Note``: good to know."""

SEVERITIES: Final[tuple[HostSeverity, ...]] = ("Broken", "Risky", "Note")
APPLY: Final = "overbook node swap apply"
"""The fix for most findings about swap."""
TUNE: Final = "overbook node tune apply"
"""The fix for most findings about the kernel's settings."""
_PROGRAMS: Final = frozenset({"overbook", "rm", "swapoff", "echo", "find", "mkdir", "systemctl"})


class HostFinding(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One thing that is wrong.

    Attributes:
        severity: how bad it is.
        word: for programs.
        sentence: for people, with the numbers.
        fix: the command that removes the cause, or else what to do; ``mend`` in JSON.
    """

    severity: HostSeverity
    word: str
    sentence: str
    fix: str = msgspec.field(name="mend")

    @property
    def fix_is_command(self) -> bool:
        """Whether the fix can be typed as it is."""
        return self.fix.split(" ", 1)[0] in _PROGRAMS


class Check(NamedTuple):
    """A check.

    Attributes:
        subject: the part of the node that is checked.
        look: yields the findings; none if the facts are not known.
        fine: the line to print if there is no finding; empty for none.
    """

    subject: "Subject"
    look: "Callable[[HostState], Iterator[HostFinding]]"
    fine: "Callable[[HostState], str]"
