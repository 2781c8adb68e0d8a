"""A process makes the node's disk stand still for some seconds, again and again.

A thread of the node's program could not: the program waits now and then for memory, which is free only when
the disk works again, and a page fault that waits holds the interpreter's lock.
"""

import mmap
import os
import sys
import time
import traceback
from contextlib import suppress
from typing import Final, Protocol

from overbook.kernel.own_process import lock_memory

STALL_SECONDS: Final = 3.0
STALL_EVERY_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 0.02
_WAITS, _RUNS, _ENDS = range(3)


def stands_still(seconds: float) -> bool:
    """Whether the disk stands still so many seconds after the event; negative: before it."""
    return seconds >= 0 and seconds % STALL_EVERY_SECONDS < STALL_SECONDS


class StallingDisk(Protocol):
    """A disk that can be made to stand still."""

    def stall(self, *, on: bool) -> None:
        """Make the disk stand still, or work again."""


class Staller:
    """The process; it is forked at once, and after its first moments it needs no new memory.

    Args:
        disk: the disk.
    """

    def __init__(self, disk: StallingDisk) -> None:
        self._disk = disk
        self._state = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._state[0] = _WAITS
        self._pid = os.fork()
        if not self._pid:
            status = 1
            try:
                self._work()
                status = 0
            except OSError:
                traceback.print_exc(file=sys.stderr)
            finally:
                os._exit(status)

    def begin(self) -> None:
        """Make the disk stand still now, and from now on in its rhythm."""
        self._state[0] = _RUNS

    def end(self) -> None:
        """Let the disk work again, and wait for that.

        Raises:
            ChildProcessError: it did not stall.
        """
        self._state[0] = _ENDS
        _, status = os.waitpid(self._pid, 0)
        if status:
            raise ChildProcessError("the process that makes the disk stand still has failed")

    def _work(self) -> None:
        with suppress(PermissionError):  # root may, and is what the node's program runs as
            # The kernel leaves such a process its last pages: writing a limit takes a few bytes.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        lock_memory()
        for on in (True, False):  # a page that is written for the first time is copied: now there is room
            self._disk.stall(on=on)
        still, begun = False, None
        while self._state[0] != _ENDS:
            if begun is None and self._state[0] == _RUNS:
                begun = time.monotonic()
            wanted = begun is not None and stands_still(time.monotonic() - begun)
            if wanted != still:
                self._disk.stall(on=wanted)
                still = wanted
            time.sleep(_LOOK_SECONDS)
        self._disk.stall(on=False)
