"""A guest's work: allocate memory, keep a part of it hot, and on SIGUSR1 run wild.

Runs alone (``python -I -S load.py …``) with little more than a bare interpreter, since every page of it
counts on a small node. Memory is touched a page at a time by one slice assignment, at C speed.
"""

import mmap
import os
import signal
import struct
import sys
import time

PAGE = 4096
MIB = 2**20
UNIT_SECONDS = 0.1
"""The paced work: a unit each tenth of a second, as long as the node lets it."""
SLICES = 10
"""In how many units all of the hot memory is touched once."""
GROWTH_MIB = 2
WILD_STEP_MIB = 12
COUNTER = struct.Struct("=Qd")
"""Units done, and when the last one was (monotonic seconds)."""


def take(mib: int) -> mmap.mmap:
    """Reserve memory of the kind that a guest's RAM is: anonymous and private."""
    return mmap.mmap(-1, max(1, mib) * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def touch(memory: mmap.mmap, start: int, length: int) -> None:
    """Write one byte to every page of a stretch."""
    memory[start : start + length : PAGE] = b"\1" * (length // PAGE)


def run_wild(memory: mmap.mmap, size_mib: int) -> None:
    """Touch everything, again and again, and take more each time."""
    more: list[mmap.mmap] = []
    while True:
        grown = take(WILD_STEP_MIB)
        touch(grown, 0, WILD_STEP_MIB * MIB)
        more.append(grown)
        touch(memory, 0, size_mib * MIB)
        for piece in more:
            touch(piece, 0, WILD_STEP_MIB * MIB)
        time.sleep(0.05)


def main(hot_mib: int, cold_mib: int, pace_file: str) -> None:
    """Work until ended.

    Args:
        hot_mib: touched over and over.
        cold_mib: touched once.
        pace_file: where finished units are counted; empty: the work is not paced.
    """
    wild = False

    def go_wild(*_: object) -> None:
        nonlocal wild
        wild = True

    signal.signal(signal.SIGUSR1, go_wild)
    memory = take(hot_mib + cold_mib)
    counter = pace_counter(pace_file) if pace_file else None
    touch(memory, 0, hot_mib * MIB)
    slice_mib = max(1, hot_mib // SLICES)
    grown_mib = hot_mib
    done = 0
    due = time.monotonic()
    while not wild:
        touch(memory, done % SLICES * slice_mib * MIB, slice_mib * MIB)
        if grown_mib < hot_mib + cold_mib:
            # Cold memory comes little by little beside the hot, as in a guest that fills its caches.
            touch(memory, grown_mib * MIB, GROWTH_MIB * MIB)
            grown_mib += GROWTH_MIB
        done += 1
        now = time.monotonic()
        if counter is not None:
            counter[: COUNTER.size] = COUNTER.pack(done, now)
        # Work that could not be done in time is not made up for: a second stood still stays lost.
        due = max(due + UNIT_SECONDS, now)
        time.sleep(max(0.0, due - time.monotonic()))
    run_wild(memory, grown_mib)


def pace_counter(path: str) -> mmap.mmap:
    """A page shared with whoever wants to see how the work goes."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, PAGE)
    return mmap.mmap(fd, PAGE)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
