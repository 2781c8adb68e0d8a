"""The work of a pod's process, which is forked from the node's program: touch memory, count units of work.

While it can, a pod finishes ten units a second. Its counter is in memory that all processes share, so that
reading it costs nothing, also while the node thrashes.
"""

import mmap
import os
import struct
import time
from typing import Final

from overbook_sandbox.density.loads import AllHot, Burn, FloodCache, Grow, Load, LoadPod, Rotate, Wake

PAGE: Final = 4096
MIB: Final = 2**20
UNIT_SECONDS: Final = 0.1
SLICES: Final = 10
"""The number of units in which all hot memory is touched once."""
RESERVED_MIB: Final = 4096
"""The address space for a pod's memory; more than any node has."""
MAP_NORESERVE: Final = 0x4000
MADV_NOHUGEPAGE: Final = 15
"""With huge pages, a pod would hold more than it touches."""

SLOT: Final = struct.Struct("=Qdddd")
SLOT_BYTES: Final = 64
EVENT: Final = struct.Struct("=d")


class Counters:
    """The shared page: when the event begins, and a slot for each pod.

    Args:
        count: the number of pods.
    """

    def __init__(self, count: int) -> None:
        size = -(-(count + 1) * SLOT_BYTES // PAGE) * PAGE
        self._page = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._page[:] = b"\0" * size  # it is in RAM, and counted as this process's, from now on

    @property
    def event_at(self) -> float:
        """The monotonic time of the event; 0: not yet."""
        at: float = EVENT.unpack_from(self._page, 0)[0]
        return at

    @event_at.setter
    def event_at(self, at: float) -> None:
        EVENT.pack_into(self._page, 0, at)

    def write(self, slot: int, done: int, last: float, longest: float, awake: float, filled: float) -> None:
        """Set a pod's slot."""
        SLOT.pack_into(self._page, (slot + 1) * SLOT_BYTES, done, last, longest, awake, filled)

    def read(self, slot: int) -> tuple[int, float, float, bool, float]:
        """A pod's slot.

        Returns:
            The units done; the time of the last one; the longest gap since the event in seconds; whether the
            pod works and does not sleep; the share (0-1) of its memory that is filled.
        """
        done, last, longest, awake, filled = SLOT.unpack_from(self._page, (slot + 1) * SLOT_BYTES)
        return done, last, longest, bool(awake), filled


class Memory:
    """The memory of one pod: what it holds lies side by side from the start.

    Args:
        content: what new pages hold; empty: nothing but one byte each, which is faster.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self._memory = mmap.mmap(-1, RESERVED_MIB * MIB, flags=flags)
        self._memory.madvise(MADV_NOHUGEPAGE)
        self.held_bytes = 0

    def touch(self, start_bytes: float, length_bytes: float) -> None:
        """Write one byte to every page of a range."""
        start = int(start_bytes) // PAGE * PAGE
        end = int(start_bytes + length_bytes) // PAGE * PAGE
        if end > start:
            self._memory[start:end:PAGE] = b"\1" * ((end - start) // PAGE)

    def grow(self, size_bytes: float) -> None:
        """Hold more."""
        size = int(size_bytes) // PAGE * PAGE
        if self._content:
            whole = self._content * -(-size // len(self._content))
            self._memory[self.held_bytes : self.held_bytes + size] = whole[:size]
        else:
            self.touch(self.held_bytes, size)
        self.held_bytes += size


class PodWork:
    """The work of one pod, unit by unit.

    Args:
        load: the load.
        pod: the pod in it.
        slot: the pod's place in the counters.
        counters: the shared counters.
        flooded: the device to read and write; empty: none.
    """

    def __init__(self, load: Load, pod: LoadPod, slot: int, counters: Counters, flooded: str) -> None:
        self._pod = pod
        self._slot = slot
        self._counters = counters
        self._memory = Memory(_content() if load.disk == "zram" else b"")
        share = pod.cold_mib / max(1, sum(one.cold_mib for one in load.pods))
        self._fill_unit_bytes = load.fill_mib_per_second * share * MIB * UNIT_SECONDS
        self._whole_bytes = (pod.hot_mib + pod.cold_mib) * MIB
        self._hot_bytes = pod.hot_mib * MIB
        self._hot_from = 0.0
        self._grown_from: float | None = None
        self._done = 0
        self._burns = any(isinstance(act, Burn) for act in pod.acts)
        self._flooded = os.open(flooded, os.O_RDWR) if flooded and self._floods() else -1
        self._flooded_bytes = os.lseek(self._flooded, 0, os.SEEK_END) if self._flooded >= 0 else 0
        self._flood_at = 0

    def run(self) -> None:
        """Work until the process is ended."""
        time.sleep(self._pod.offset_seconds)
        counters, slot = self._counters, self._slot
        last = due = time.monotonic()
        longest = 0.0
        while True:
            event_at = counters.event_at
            since = time.monotonic() - event_at if event_at else -1.0
            if self._asleep(since):
                last = due = time.monotonic()
                counters.write(slot, self._done, last, longest, 0, 1)
                time.sleep(UNIT_SECONDS)
                continue
            counters.write(slot, self._done, last, longest, 1, self._filled)
            self._unit(since)
            self._done += 1
            now = time.monotonic()
            if event_at:
                longest = max(longest, now - max(last, event_at))
            last = now
            counters.write(slot, self._done, last, longest, 1, self._filled)
            # Missed units are not made up for: a second of standstill stays lost.
            due = max(due + UNIT_SECONDS, now)
            if self._burns:
                while time.monotonic() < due:
                    pass
            else:
                time.sleep(max(0.0, due - time.monotonic()))

    @property
    def _filled(self) -> float:
        return min(1.0, self._memory.held_bytes / self._whole_bytes) if self._whole_bytes else 1.0

    def _floods(self) -> bool:
        return any(isinstance(act, FloodCache) for act in self._pod.acts)

    def _asleep(self, since: float) -> bool:
        if not self._pod.idle or self._memory.held_bytes + PAGE < self._whole_bytes:
            return False
        for act in self._pod.acts:
            if isinstance(act, Wake) and since >= act.after_seconds:
                passed = since - act.after_seconds
                if (passed % act.every_seconds if act.every_seconds else passed) < act.seconds:
                    return False
        return True

    def _unit(self, since: float) -> None:
        """One unit: use the hot memory's next part, fill, and do what the event demands."""
        memory = self._memory
        if not memory.held_bytes:
            memory.grow(self._hot_bytes)
        self._touch_part(self._hot_from, min(self._hot_bytes, memory.held_bytes - self._hot_from))
        if self._grown_from is not None:
            self._touch_part(self._grown_from, memory.held_bytes - self._grown_from)
        missing = self._whole_bytes - memory.held_bytes
        if missing >= PAGE:
            memory.grow(min(missing, self._fill_unit_bytes))
        if since >= 0:
            for act in self._pod.acts:
                self._act(act, since)

    def _touch_part(self, start: float, length: float) -> None:
        part = self._done % SLICES
        self._memory.touch(start + length * part / SLICES, length / SLICES + PAGE - 1)

    def _act(self, act: object, since: float) -> None:
        memory = self._memory
        if isinstance(act, Grow):
            if not act.most_mib or memory.held_bytes < self._whole_bytes + act.most_mib * MIB:
                if act.hot and self._grown_from is None:
                    self._grown_from = memory.held_bytes
                memory.grow(act.mib_per_second * MIB * UNIT_SECONDS)
        elif isinstance(act, AllHot):
            hot = not act.seconds or since < act.seconds
            self._hot_bytes = memory.held_bytes if hot else self._pod.hot_mib * MIB
        elif isinstance(act, Rotate):
            parts = max(1, int(self._whole_bytes / self._hot_bytes))
            self._hot_from = int(since / act.every_seconds) % parts * self._hot_bytes
        elif isinstance(act, Wake):
            self._hot_bytes = memory.held_bytes
        elif isinstance(act, FloodCache):
            self._flood(int(act.mib_per_second * MIB * UNIT_SECONDS / 2) // PAGE * PAGE)

    def _flood(self, size_bytes: int) -> None:
        if self._flooded < 0:
            return
        half = self._flooded_bytes // 2 // PAGE * PAGE
        at = self._flood_at % max(PAGE, half - size_bytes) // PAGE * PAGE
        os.pread(self._flooded, size_bytes, at)
        os.pwrite(self._flooded, bytes(size_bytes), half + at)
        self._flood_at += size_bytes


def _content() -> bytes:
    """A MiB of pages of which a third is random, so that they compress as those of real programs do."""
    third = PAGE // 3
    return b"".join(os.urandom(third) + bytes(PAGE - third) for _ in range(MIB // PAGE))


def fork(
    load: Load, pod: LoadPod, slot: int, counters: Counters, cgroup: str, score: int, flooded: str
) -> int:
    """Fork a pod's process, which enters its cgroup before it allocates anything.

    Returns:
        The process's id.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        _write(os.path.join(cgroup, "cgroup.procs"), str(os.getpid()))
        _write("/proc/self/oom_score_adj", str(score))
        PodWork(load, pod, slot, counters, flooded).run()
    finally:
        os._exit(1)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
