"""The files of a cgroup that only tests look at, to see what the kernel made of what Overbook wrote."""

from typing import Literal

import msgspec

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cpu_max import CpuMax
from overbook.kernel.files import KernelFileError, shown
from overbook.kernel.flat_keyed import FlatKeyed, parse_value
from overbook.kernel.pressure_trigger import PressureTrigger
from overbook.kernel.psi import Pressure, parse_pressure


class MemoryStat(msgspec.Struct, frozen=True, gc=False):
    """What a cgroup's memory is made of (bytes), and its counters (pages or faults since it was made).

    None where the kernel has no such line. Linux 6.1 has no `pswpin` and `pswpout` here; there refaults of
    anonymous memory (`workingset_refault_anon`) tell who waits for swap.
    """

    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    inactive_anon_bytes: int | None = None
    active_anon_bytes: int | None = None
    inactive_file_bytes: int | None = None
    active_file_bytes: int | None = None
    workingset_refault_anon: int | None = None
    workingset_refault_file: int | None = None
    swapcached_bytes: int | None = None
    pswpin: int | None = None
    pswpout: int | None = None
    pgmajfault: int | None = None


class MemorySwapEvents(msgspec.Struct, frozen=True, gc=False):
    """How often a cgroup met its swap limits; None where the kernel has no such line.

    Attributes:
        high: Over memory.swap.high.
        max: About to go over memory.swap.max, and swap allocation failed.
        fail: Swap allocation failed, for the limit or because the node has no swap left.
    """

    high: int | None = None
    max: int | None = None
    fail: int | None = None


class CpuStat(msgspec.Struct, frozen=True, gc=False):
    """Counters since the cgroup was made; all but the first are None without the cpu controller.

    Attributes:
        usage_micros: CPU time used, microseconds.
        nr_periods: Enforcement periods that passed.
        nr_throttled: Periods in which the cgroup was throttled.
        throttled_micros: How long its tasks were throttled, microseconds.
    """

    usage_micros: int | None = None
    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_micros: int | None = None


_CPU = FlatKeyed((b"usage_usec", b"nr_periods", b"nr_throttled", b"throttled_usec"))


def _keys(struct: type[msgspec.Struct]) -> FlatKeyed:
    return FlatKeyed(tuple(name.removesuffix("_bytes").encode() for name in struct.__struct_fields__))


_STAT = _keys(MemoryStat)
_SWAP_EVENTS = _keys(MemorySwapEvents)


def parse_memory_stat(data: bytes, path: str = "memory.stat") -> MemoryStat:
    """The lines of memory.stat that Overbook uses.

    Raises:
        KernelFileError: None of them is there.
    """
    return MemoryStat(*_STAT.parse(data, path))


def parse_memory_swap_events(data: bytes, path: str = "memory.swap.events") -> MemorySwapEvents:
    """`memory.swap.events`.

    Raises:
        KernelFileError: It has none of the known lines.
    """
    return MemorySwapEvents(*_SWAP_EVENTS.parse(data, path))


def parse_cpu_stat(data: bytes, path: str = "cpu.stat") -> CpuStat:
    """The lines of cpu.stat that Overbook uses.

    Raises:
        KernelFileError: None of them is there.
    """
    return CpuStat(*_CPU.parse(data, path))


def parse_cpu_max(data: bytes, path: str = "cpu.max") -> CpuMax:
    """`cpu.max`, such as "max 100000" or "50000 100000".

    Raises:
        KernelFileError: Anything else.
    """
    fields = data.split() if data[-1:] == b"\n" else []
    if len(fields) == 2 and all(len(field) <= 20 for field in fields):
        quota, period = fields
        if period.isdigit() and (quota == b"max" or quota.isdigit()):
            return CpuMax(None if quota == b"max" else int(quota), int(period))
    raise KernelFileError(path, f"found {shown(data)}, expected 'max 100000' or '50000 100000'")


class WholeCgroup(Cgroup):
    """A cgroup whose every file can be read."""

    __slots__ = ()

    def read_memory_stat(self) -> MemoryStat:
        """What its memory is made of, and paging counters."""
        return parse_memory_stat(self.read_hot("memory.stat"), self._prefix + "memory.stat")

    def read_memory_pressure(self) -> Pressure:
        """How long its tasks were stalled for lack of memory."""
        return parse_pressure(self.read_hot("memory.pressure"), self._prefix + "memory.pressure")

    def read_memory_swap_events(self) -> MemorySwapEvents:
        """How often it, or a cgroup below, met its swap limits."""
        return parse_memory_swap_events(self.read("memory.swap.events"), self._prefix + "memory.swap.events")

    def read_cpu_stat(self) -> CpuStat:
        """CPU time used and throttled."""
        return parse_cpu_stat(self.read("cpu.stat"), self._prefix + "cpu.stat")

    def read_cpu_weight(self) -> int:
        """Its share of a contended CPU, 1-10000, 100 by default."""
        return parse_value(self.read("cpu.weight"), self._prefix + "cpu.weight")

    def read_cpu_max(self) -> CpuMax:
        """Its CFS bandwidth limit."""
        return parse_cpu_max(self.read("cpu.max"), self._prefix + "cpu.max")

    def memory_pressure_trigger(
        self, kind: Literal["some", "full"], stall_micros: int, window_micros: int
    ) -> PressureTrigger:
        """A trigger on its memory.pressure; see `PressureTrigger`. The caller closes it."""
        dir_fd = self._check_open("memory.pressure")
        return PressureTrigger("memory.pressure", kind, stall_micros, window_micros, dir_fd=dir_fd)
