"""The limits of a cgroup that holds pods, and what is in use below it.

Each file is read on its own: the root of the tree has none of them, and a kernel without swap accounting has
no `memory.swap.*`. Source: kernel Documentation/admin-guide/cgroup-v2.rst.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.flat_keyed import FlatKeyed, parse_limit, parse_value
from overbook.kernel.psi import parse_stall_totals

_STAT = FlatKeyed(
    (
        b"inactive_file",
        b"active_file",
        b"slab_reclaimable",
        b"swapcached",
        b"workingset_refault_anon",
    )
)
_Value = TypeVar("_Value")


class CgroupLimits(msgspec.Struct, frozen=True, gc=False):
    """The limits of one cgroup in bytes; None: no limit, or no such file.

    Attributes:
        memory_bytes: The lower of memory.max and memory.high: at either the kernel reclaims below the cgroup.
        swap_bytes: memory.swap.max.
    """

    memory_bytes: int | None = None
    swap_bytes: int | None = None


class CgroupUse(msgspec.Struct, frozen=True, gc=False):
    """What is in use in a cgroup and below, in bytes; None: no such file.

    Attributes:
        current_bytes: memory.current.
        swap_current_bytes: memory.swap.current.
        inactive_file_bytes: of memory.stat.
        active_file_bytes: of memory.stat.
        slab_reclaimable_bytes: of memory.stat.
        swap_cached_bytes: `swapcached` of memory.stat.
        refaults: `workingset_refault_anon` of memory.stat, in pages.
        stall_some_micros: of memory.pressure.
        stall_full_micros: of memory.pressure.
    """

    current_bytes: int | None = None
    swap_current_bytes: int | None = None
    inactive_file_bytes: int | None = None
    active_file_bytes: int | None = None
    slab_reclaimable_bytes: int | None = None
    swap_cached_bytes: int | None = None
    refaults: int | None = None
    stall_some_micros: int | None = None
    stall_full_micros: int | None = None


def read_cgroup_limits(cgroup: Cgroup) -> CgroupLimits:
    """The limits of a cgroup now.

    Raises:
        MissingKernelFile: The cgroup is gone.
        KernelFileError: A file is unreadable or malformed.
    """
    hard = _optional(cgroup, "memory.max", parse_limit)
    soft = _optional(cgroup, "memory.high", parse_limit)
    memory = min((limit for limit in (hard, soft) if limit is not None), default=None)
    return CgroupLimits(memory, _optional(cgroup, "memory.swap.max", parse_limit))


def read_cgroup_use(cgroup: Cgroup) -> CgroupUse:
    """What is in use in a cgroup now.

    Raises:
        MissingKernelFile: The cgroup is gone.
        KernelFileError: A file is unreadable or malformed.
    """
    stat = _optional(cgroup, "memory.stat", _STAT.parse)
    inactive, active, slab, cached, refaults = stat if stat is not None else (None,) * 5
    stalls = _optional(cgroup, "memory.pressure", parse_stall_totals) or (None, None)
    return CgroupUse(
        _optional(cgroup, "memory.current", parse_value),
        _optional(cgroup, "memory.swap.current", parse_value),
        inactive,
        active,
        slab,
        cached,
        refaults,
        *stalls,
    )


def _optional(cgroup: Cgroup, name: str, parse: Callable[[bytes, str], _Value]) -> _Value | None:
    """The value of a file; None: this cgroup has no such file."""
    try:
        return parse(cgroup.read_hot(name), f"{cgroup.path}/{name}")
    except MissingKernelFile:
        if cgroup.path and not cgroup.is_current():
            raise
        return None  # the root of the tree has hardly any of these files
    except KernelFileError:
        raise
