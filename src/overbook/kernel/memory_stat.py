"""A cgroup's `memory.stat` and `memory.events`.

Source: kernel Documentation/admin-guide/cgroup-v2.rst. `overbook.kernel.cgroup.Cgroup` reads them.
"""

import msgspec

from overbook.kernel.flat_keyed import FlatKeyed


class MemoryUse(msgspec.Struct, frozen=True, gc=False):
    """The lines of memory.stat that are needed every second: a third of the work of parsing all lines."""

    anon_bytes: int | None = None
    shmem_bytes: int | None = None
    inactive_file_bytes: int | None = None
    workingset_refault_anon: int | None = None
    swapcached_bytes: int | None = None
    active_file_bytes: int | None = None


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


def _keys(struct: type[msgspec.Struct]) -> FlatKeyed:
    return FlatKeyed(tuple(name.removesuffix("_bytes").encode() for name in struct.__struct_fields__))


_USE = _keys(MemoryUse)
_EVENTS = _keys(MemoryEvents)


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
