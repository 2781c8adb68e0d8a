"""The load of a pod: allocate memory, keep a part of it hot, and run wild after SIGUSR1.

It runs as ``python -I -S load.py …`` with few imports, since every page counts on a small node. A slice
assignment touches many pages at C speed.
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
"""The time of a unit of work, if the node is fast enough."""
SLICES = 10
"""The number of units in which all hot memory is touched once."""
GROWTH_MIB = 2
WILD_STEP_MIB = 12
COUNTER = struct.Struct("=Qd")
"""The number of units, and the time of the last one (monotonic seconds)."""


def take(mib: int) -> mmap.mmap:
    """Reserve anonymous private memory, as a guest's RAM is."""
    return mmap.mmap(-1, max(1, mib) * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def touch(memory: mmap.mmap, start: int, length: int) -> None:
    """Write one byte to every page of a range."""
    memory[start : start + length : PAGE] = b"\1" * (length // PAGE)


def run_wild(memory: mmap.mmap, size_mib: int) -> None:
    """Touch all memory repeatedly, and allocate more each time."""
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
        hot_mib: the memory that is touched all the time.
        cold_mib: the memory that is touched once.
        pace_file: the file in which finished units are counted; empty: they are not counted.
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
            # Cold memory grows little by little, as in a guest that fills its caches.
            touch(memory, grown_mib * MIB, GROWTH_MIB * MIB)
            grown_mib += GROWTH_MIB
        done += 1
        now = time.monotonic()
        if counter is not None:
            counter[: COUNTER.size] = COUNTER.pack(done, now)
        # Missed units are not made up for: a second of standstill stays lost.
        due = max(due + UNIT_SECONDS, now)
        time.sleep(max(0.0, due - time.monotonic()))
    run_wild(memory, grown_mib)


def pace_counter(path: str) -> mmap.mmap:
    """A page of a file with the counter, which other processes can read."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, PAGE)
    return mmap.mmap(fd, PAGE)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
