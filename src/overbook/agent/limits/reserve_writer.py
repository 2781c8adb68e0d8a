"""The writer of ``memory.max`` of QoS classes, with a record of the limits from before.

The record outlives the agent: if limits stay when an agent stops, the next agent that keeps no reserves
restores them. The record is in ``/run``, so it is gone when the cgroups in it are gone.
"""

import logging
import os
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import msgspec

from overbook.core.kubernetes.reserve import HEADROOM_BYTES
from overbook.core.say_once import SayOnce
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.node.files import write_whole

log = logging.getLogger(__name__)

RECORD: Final = "run/overbook/qos-reserved.json"
"""The record's path, below the root of the host's file system."""
MOST_RECORD_BYTES: Final = 64 << 10


class Before(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The limit of a class before the first change.

    Attributes:
        inode: of the class's cgroup; a new cgroup of the same name has another inode.
        max_bytes: ``memory.max``; ``None``: no limit.
    """

    inode: int
    max_bytes: int | None


class ReserveWriter(Protocol):
    """The interface through which ``memory.max`` of a class is changed."""

    def write(self, cgroup: Cgroup, present_bytes: int | None, limit_bytes: int, /) -> bool:
        """Remember the present limit, then set the new one. Returns whether it was set."""

    def restore(self) -> int:
        """Restore the limits from before; returns how many were restored."""

    def forget(self) -> None:
        """Drop the record, because another program keeps these limits from now on."""


class CgroupReserveWriter:
    """Writes ``memory.max`` into the classes' cgroups.

    Args:
        root: the host's file system.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path = os.path.join(root, RECORD)
        self._before: dict[str, Before] | None = None
        self._complain = SayOnce(partial(log.warning, "%s"))

    def write(self, cgroup: Cgroup, present_bytes: int | None, limit_bytes: int) -> bool:
        """Set the limit, after the limit from before is on record.

        Raises:
            KernelFileError: the kernel refuses, or the cgroup is gone.
            OSError: the record cannot be written; then no limit is changed.
        """
        before = self._recorded()
        known = before.get(cgroup.path)
        if known is None or known.inode != cgroup.inode:
            changed = {**before, cgroup.path: Before(cgroup.inode, present_bytes)}
            self._record(changed)
        cgroup.write_memory_max(limit_bytes)
        return True

    def restore(self) -> int:
        """Restore the limits on record, never below the memory in use, and delete the record."""
        restored = 0
        left: dict[str, Before] = {}
        for path, before in self._recorded().items():
            try:
                with Cgroup(path, self._root) as cgroup:
                    if cgroup.inode == before.inode:
                        self._put_back(cgroup, before.max_bytes)
                        restored += 1
            except MissingKernelFile:
                continue  # the cgroup is gone, and its limit with it
            except KernelFileError as error:
                left[path] = before
                self._complain(f"memory.max not restored: {error}")
        if not left:
            self.forget()
        self._before = left
        return restored

    def forget(self) -> None:
        """Delete the record."""
        if self._recorded():
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        self._before = {}

    def _put_back(self, cgroup: Cgroup, max_bytes: int | None) -> None:
        if max_bytes is not None:
            usage = cgroup.read_memory_current()
            if usage > max_bytes:
                max_bytes = usage + HEADROOM_BYTES
        cgroup.write_memory_max(max_bytes)
        shown = "max" if max_bytes is None else f"{max_bytes // 2**20} MiB"
        log.info("memory.max of %s is restored to %s", cgroup.path, shown)

    def _record(self, before: dict[str, Before]) -> None:
        write_whole(self._path, msgspec.json.encode(before))
        self._before = before

    def _recorded(self) -> dict[str, Before]:
        """The record, read once. A malformed record counts as empty."""
        if self._before is None:
            self._before = {}
            try:
                with open(self._path, "rb") as file:
                    self._before = msgspec.json.decode(file.read(MOST_RECORD_BYTES), type=dict[str, Before])
            except FileNotFoundError:
                pass
            except (OSError, msgspec.DecodeError) as error:
                self._complain(f"{self._path} cannot be read: {error}")
        return self._before


class ReportingReserveWriter:
    """Writes nothing: for ``--mode observe`` and while paused."""

    def write(self, _cgroup: Cgroup, _present_bytes: int | None, _limit_bytes: int, /) -> bool:
        """Leave the limit as it is."""
        return False

    def restore(self) -> int:
        """Leave the limits of the previous agent."""
        return 0

    def forget(self) -> None:
        """Leave the record as it is."""
