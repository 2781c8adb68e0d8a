"""Readers of other guards' logs: which process or cgroup a guard killed, and why in its own words."""

import re
from typing import Final, NamedTuple, Protocol


class Kill(NamedTuple):
    """A kill that a guard logged.

    Attributes:
        reason: The guard's own words.
        process: The killed process; None: a whole cgroup.
        cgroup: The killed cgroup below the root; empty: a process.
    """

    reason: str
    process: int | None = None
    cgroup: str = ""


class KillReader(Protocol):
    """A reader of a guard's log, line by line."""

    def read(self, line: str) -> Kill | None:
        """Return the kill that a line tells of, or None."""


class EarlyoomReader:
    """The reader of earlyoom's log, where a line on the limits precedes the kill."""

    _KILL: Final = re.compile(r"sending (SIG\w+) to process (\d+).*?(?:badness (\d+))?(?:,|$)")

    def __init__(self) -> None:
        self._cause = ""

    def read(self, line: str) -> Kill | None:
        """Return the kill that a line tells of, or None."""
        if line.startswith("low memory!"):
            self._cause = line.removeprefix("low memory! ")
        found = self._KILL.search(line)
        if found is None:
            return None
        return Kill(f"{found[1]}, badness {found[3] or 'unknown'}; {self._cause}", int(found[2]))


class NohangReader:
    """The reader of nohang's log, where the victim's status precedes the kill by several lines."""

    _VICTIM: Final = re.compile(r"^\s*PID:\s+(\d+), name:")
    _BADNESS: Final = re.compile(r"^\s*badness:\s+(\d+)")
    _CAUSE: Final = re.compile(r"^\s*((?:MemAvailable|SwapFree) \[.*<=.*)$")
    _KILL: Final = re.compile(r"Sending (SIG\w+) to the victim")

    def __init__(self) -> None:
        self._victim: int | None = None
        self._badness = "unknown"
        self._causes: dict[str, str] = {}

    def read(self, line: str) -> Kill | None:
        """Return the kill that a line tells of, or None."""
        if found := self._VICTIM.search(line):
            self._victim = int(found[1])
        elif found := self._BADNESS.search(line):
            self._badness = found[1]
        elif found := self._CAUSE.search(line):
            self._causes[found[1].split()[0]] = found[1]
        elif (found := self._KILL.search(line)) and self._victim is not None:
            causes = ", ".join(self._causes.values())
            return Kill(f"{found[1]}, badness {self._badness}; {causes}", self._victim)
        return None


class OomdReader:
    """The reader of systemd-oomd's log, where one line tells of the killed cgroup."""

    _KILL: Final = re.compile(r"Killed (/\S+) (due to .*)$")

    def read(self, line: str) -> Kill | None:
        """Return the kill that a line tells of, or None."""
        found = self._KILL.search(line)
        return Kill(found[2], cgroup=found[1].strip("/")) if found else None
