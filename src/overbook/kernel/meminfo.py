"""/proc/meminfo: the node's memory.

    MemTotal:       24684096 kB
    MemFree:        23859640 kB
    ...

Source: kernel Documentation/filesystems/proc.rst.
"""

import os

import msgspec

from overbook.kernel.files import KernelFileError, read_file, shown, under
from overbook.kernel.flat_keyed import FlatKeyed

_FIELDS = FlatKeyed(
    (
        b"MemTotal:",
        b"MemFree:",
        b"MemAvailable:",
        b"AnonPages:",
        b"Active(file):",
        b"Inactive(file):",
        b"Shmem:",
        b"SwapTotal:",
        b"SwapFree:",
        b"SwapCached:",
        b"Writeback:",
        b"Hugetlb:",
        b"Zswap:",
    ),
    words=3,
)


class Meminfo(msgspec.Struct, frozen=True, gc=False):
    """The node's memory in bytes; None where this kernel has no such line."""

    mem_total_bytes: int
    mem_free_bytes: int | None = None
    mem_available_bytes: int | None = None
    anon_pages_bytes: int | None = None
    active_file_bytes: int | None = None
    inactive_file_bytes: int | None = None
    shmem_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    swap_cached_bytes: int | None = None
    writeback_bytes: int | None = None
    hugetlb_bytes: int | None = None
    zswap_bytes: int | None = None


def parse_meminfo(data: bytes, path: str = "/proc/meminfo") -> Meminfo:
    """The lines of /proc/meminfo that Overbook uses; the kernel's kB are KiB.

    Raises:
        KernelFileError: There is no usable `MemTotal` line. Any other bad line is None.
    """
    kib = _FIELDS.parse(data, path)
    in_bytes = [None if value is None else value * 1024 for value in kib]
    mem_total_bytes = in_bytes[0]
    if mem_total_bytes is None:
        raise KernelFileError(path, f"found {shown(data)}, expected a line such as 'MemTotal: 16384 kB'")
    return Meminfo(mem_total_bytes, *in_bytes[1:])


def read_meminfo(root: str | os.PathLike[str] = "/") -> Meminfo:
    """/proc/meminfo below `root`.

    Raises:
        KernelFileError: Unreadable, or as `parse_meminfo`.
    """
    path = under(root, "/proc/meminfo")
    return parse_meminfo(read_file(path), path)
