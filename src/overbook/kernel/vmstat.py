"""/proc/vmstat: the node's paging counters since boot.

    pswpin 345012
    pswpout 388420
    ...

Source: kernel mm/vmstat.c. All are counters of events or pages; rates are the difference of two readings.
"""

import os

import msgspec

from overbook.kernel.files import read_file, under
from overbook.kernel.flat_keyed import FlatKeyed


class Vmstat(msgspec.Struct, frozen=True, gc=False):
    """Counters since boot, in pages unless a comment says otherwise; None where the kernel has none."""

    pswpin: int | None = None
    pswpout: int | None = None
    pgmajfault: int | None = None  # faults
    oom_kill: int | None = None  # processes
    workingset_refault_anon: int | None = None
    workingset_refault_file: int | None = None
    pgscan_kswapd: int | None = None
    pgscan_direct: int | None = None
    pgsteal_kswapd: int | None = None
    pgsteal_direct: int | None = None
    zswpin: int | None = None
    zswpout: int | None = None
    swpin_zero: int | None = None
    swpout_zero: int | None = None


_FIELDS = FlatKeyed(tuple(name.encode() for name in Vmstat.__struct_fields__))


def parse_vmstat(data: bytes, path: str = "/proc/vmstat") -> Vmstat:
    """The lines of /proc/vmstat that Overbook uses.

    Raises:
        KernelFileError: None of these lines exists.
    """
    return Vmstat(*_FIELDS.parse(data, path))


def read_vmstat(root: str | os.PathLike[str] = "/") -> Vmstat:
    """/proc/vmstat below `root`.

    Raises:
        KernelFileError: Unreadable, or as `parse_vmstat`.
    """
    path = under(root, "/proc/vmstat")
    return parse_vmstat(read_file(path), path)
