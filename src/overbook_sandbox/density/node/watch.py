"""What the node's program reads of the node and its pods, twice a second."""

import time
from collections.abc import Mapping
from typing import Final

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError
from overbook.kernel.flat_keyed import FlatKeyed
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.psi import Pressure, parse_pressure, read_pressure
from overbook_sandbox.density.guards.guard import StartedPod
from overbook_sandbox.density.node.worker import Counters
from overbook_sandbox.density.trace import PodPoint, TracePoint

MIB: Final = 2**20
_STAT: Final = FlatKeyed((b"swapcached",))
_CPU: Final = FlatKeyed((b"usage_usec",))


class Watched:
    """A pod that is watched.

    Args:
        started: the pod.
        slot: its place in the counters.
    """

    def __init__(self, started: StartedPod, slot: int) -> None:
        self.started = started
        self.slot = slot
        self.alive = True
        self.longest_gap = 0.0
        self.stalled_micros = 0


class Watch:
    """Reads points of the trace.

    Args:
        counters: the pods' counters.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._last = time.monotonic()
        self._some = self._full = 0

    def point(self, pods: Mapping[str, Watched], event_at: float) -> TracePoint:
        """The node now; rates are those since the last call.

        Args:
            pods: all pods that were started.
            event_at: the monotonic time that counts as 0.
        """
        now = time.monotonic()
        micros = max(1.0, (now - self._last) * 1e6)
        self._last = now
        memory, (some, full) = read_meminfo(), _totals(read_pressure("memory"))
        point = TracePoint(
            at=round(now - event_at, 2),
            available_mib=_mib(memory.mem_available_bytes),
            swap_used_mib=_mib((memory.swap_total_bytes or 0) - (memory.swap_free_bytes or 0)),
            some_percent=_percent(some - self._some, micros),
            full_percent=_percent(full - self._full, micros),
            pods={name: self._pod(pod, now, micros) for name, pod in pods.items()},
        )
        self._some, self._full = some, full
        return point

    def gap(self, pod: Watched, now: float) -> float:
        """For how long a pod has finished no unit; 0 while it sleeps or is gone. Keeps the longest."""
        _, last, longest, awake, _ = self._counters.read(pod.slot)
        event_at = self._counters.event_at
        gap = now - last if pod.alive and awake and last else 0.0
        if event_at:
            since = now - max(last, event_at) if gap else 0.0
            pod.longest_gap = max(pod.longest_gap, longest, since)
        return max(0.0, gap)

    def _pod(self, pod: Watched, now: float, micros: float) -> PodPoint:
        units = self._counters.read(pod.slot)[0]
        cgroup = pod.started.cgroup
        try:
            current, swap = cgroup.read_memory_current(), cgroup.read_memory_swap_current()
            cached = _STAT.parse(cgroup.read_hot("memory.stat"), "memory.stat")[0] if swap else 0
            some, _ = _totals(parse_pressure(cgroup.read_hot("memory.pressure")))
        except KernelFileError:
            current = swap = cached = some = 0
        stalled = _percent(some - pod.stalled_micros, micros)
        pod.stalled_micros = some
        return PodPoint(
            memory_mib=_mib(current),
            swap_mib=_mib(swap),
            swap_cached_mib=_mib(cached),
            some_percent=stalled,
            units=units,
            gap_seconds=round(self.gap(pod, now), 2),
            alive=pod.alive,
        )


def cpu_seconds(path: str) -> float:
    """The CPU time that a cgroup has used."""
    with Cgroup(path) as cgroup:
        return (_CPU.parse(cgroup.read("cpu.stat"), "cpu.stat")[0] or 0) / 1e6


def _totals(pressure: Pressure) -> tuple[int, int]:
    some, full = pressure.some, pressure.full
    return some.total_micros if some else 0, full.total_micros if full else 0


def _percent(stalled_micros: float, micros: float) -> float:
    return round(max(0.0, min(100.0, 100 * stalled_micros / micros)), 1)


def _mib(size_bytes: int | None) -> float:
    return round((size_bytes or 0) / MIB, 1)
