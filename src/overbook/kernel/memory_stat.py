"""A cgroup's `memory.stat` and `memory.events`.

Source: kernel Documentation/admin-guide/cgroup-v2.rst. `overbook.kernel.cgroup.Cgroup` reads them.
"""

import msgspec

from overbook.kernel.flat_keyed import FlatKeyed


class MemoryStat(msgspec.Struct, frozen=True, gc=False):
    """The parts of a cgroup's memory (bytes), and its counters (pages or faults since it was made).

    A value is None where the kernel has no such line. Linux 6.1 has no `pswpin` and `pswpout` here; there
    refaults of anonymous memory (`workingset_refault_anon`) show which cgroup waits for swap.
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
    pswpin: int | None = None
    pswpout: int | None = None
    pgmajfault: int | None = None


class MemoryUse(msgspec.Struct, frozen=True, gc=False):
    """The lines of memory.stat that are needed every second: a third of the work of parsing all lines."""

    anon_bytes: int | None = None
    shmem_bytes: int | None = None
    inactive_file_bytes: int | None = None
    workingset_refault_anon: int | None = None


class MemoryEvents(msgspec.Struct, frozen=True, gc=False):
    """How often a cgroup reached its limits; None where the kernel has no such line.

    Attributes:
        low: Reclaimed although below memory.low.
        high: Throttled above memory.high.
        max: About to go over memory.max.
        oom: The limit was reached and an allocation was about to fail.
        oom_kill: Processes killed by any OOM killer.
        oom_group_kill: Times that the whole cgroup was killed.
    """

    low: int | None = None
    high: int | None = None
    max: int | None = None
    oom: int | None = None
    oom_kill: int | None = None
    oom_group_kill: int | None = None


class MemorySwapEvents(msgspec.Struct, frozen=True, gc=False):
    """How often a cgroup reached its swap limits; None where the kernel has no such line.

    Attributes:
        high: Over memory.swap.high.
        max: About to go over memory.swap.max, and swap allocation failed.
        fail: Swap allocation failed, for the limit or because the node has no swap left.
    """

    high: int | None = None
    max: int | None = None
    fail: int | None = None


def _keys(struct: type[msgspec.Struct]) -> FlatKeyed:
    return FlatKeyed(tuple(name.removesuffix("_bytes").encode() for name in struct.__struct_fields__))


_STAT = _keys(MemoryStat)
_USE = _keys(MemoryUse)
_EVENTS = _keys(MemoryEvents)
_SWAP_EVENTS = _keys(MemorySwapEvents)


def parse_memory_stat(data: bytes, path: str = "memory.stat") -> MemoryStat:
    """The lines of memory.stat that Overbook uses.

    Raises:
        KernelFileError: None of these lines exists.
    """
    return MemoryStat(*_STAT.parse(data, path))


def parse_memory_use(data: bytes, path: str = "memory.stat") -> MemoryUse:
    """The few lines of memory.stat that are needed every second.

    Raises:
        KernelFileError: None of these lines exists.
    """
    return MemoryUse(*_USE.parse(data, path))


def parse_memory_events(data: bytes, path: str = "memory.events") -> MemoryEvents:
    """`memory.events` (of the cgroup and below) or `memory.events.local`.

    Raises:
        KernelFileError: It has none of the known lines.
    """
    return MemoryEvents(*_EVENTS.parse(data, path))


def parse_memory_swap_events(data: bytes, path: str = "memory.swap.events") -> MemorySwapEvents:
    """`memory.swap.events`.

    Raises:
        KernelFileError: It has none of the known lines.
    """
    return MemorySwapEvents(*_SWAP_EVENTS.parse(data, path))
