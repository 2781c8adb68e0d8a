"""The page size and the boot id of the running kernel."""

import os
import re

from overbook.kernel.files import KernelFileError, read_file, shown, under

_BOOT_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\n")


def page_size_bytes() -> int:
    """Bytes in a page, the unit of counters such as pswpin. It takes no root, because there is one kernel."""
    return os.sysconf("SC_PAGE_SIZE")


def parse_boot_id(data: bytes, path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """The UUID of this boot, from the content of boot_id.

    Raises:
        KernelFileError: It is no UUID.
    """
    if _BOOT_ID.fullmatch(data) is None:
        raise KernelFileError(path, f"found {shown(data)}, expected a UUID")
    return data[:-1].decode()


def read_boot_id(root: str | os.PathLike[str] = "/") -> str:
    """The UUID of this boot, with which counters of different boots are told apart.

    Raises:
        KernelFileError: Unreadable, or no UUID.
    """
    path = under(root, "/proc/sys/kernel/random/boot_id")
    return parse_boot_id(read_file(path), path)
