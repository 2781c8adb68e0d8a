"""/proc/zoneinfo: the watermarks at which the kernel begins to reclaim.

    Node 0, zone   Normal
      pages free     23146
            min      11283
            low      14103
            high     16923
            ...
            managed  2009824

The values are in pages, with a paragraph for each zone. Source: kernel mm/vmstat.c `zoneinfo_show_print`.
"""

import os
import re

import msgspec

from overbook.kernel.files import KernelFileError, read_file, shown, under
from overbook.kernel.machine import page_size_bytes

LIMIT_BYTES = 8 << 20
"""The longest file that is read. A paragraph lists each CPU; large machines have many of both."""
_FIELD = re.compile(rb"^ +(min|low|high|managed) +([0-9]{1,15})$", re.MULTILINE)


class ZoneSums(msgspec.Struct, frozen=True, gc=False):
    """The watermarks, summed over all zones, in bytes.

    Attributes:
        min_bytes: Below it only the kernel itself gets memory.
        low_bytes: Below it kswapd works.
        high_bytes: Above it kswapd sleeps.
        managed_bytes: The size of the zones.
    """

    min_bytes: int
    low_bytes: int
    high_bytes: int
    managed_bytes: int


def parse_zoneinfo(data: bytes, path: str = "/proc/zoneinfo", page_bytes: int = 4096) -> ZoneSums:
    """The sums over all zones of a zoneinfo file.

    Raises:
        KernelFileError: There is no zone, or an incomplete one.
    """
    sums = dict.fromkeys((b"min", b"low", b"high", b"managed"), 0)
    seen = dict.fromkeys(sums, 0)
    for name, pages in _FIELD.findall(data):
        sums[name] += int(pages) * page_bytes
        seen[name] += 1
    if not seen[b"managed"] or len(set(seen.values())) > 1:
        raise KernelFileError(path, f"found {shown(data)}, expected zones with min, low, high and managed")
    return ZoneSums(sums[b"min"], sums[b"low"], sums[b"high"], sums[b"managed"])


def read_zoneinfo(root: str | os.PathLike[str] = "/") -> ZoneSums:
    """/proc/zoneinfo below `root`.

    Raises:
        KernelFileError: Unreadable, or as `parse_zoneinfo`.
    """
    path = under(root, "/proc/zoneinfo")
    return parse_zoneinfo(read_file(path, LIMIT_BYTES), path, page_size_bytes())
