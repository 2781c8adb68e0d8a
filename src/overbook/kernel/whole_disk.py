"""The whole disks below a block device, by number: io.latency counts requests there, not on partitions.

Source: kernel block/blk-cgroup.c `blkg_conf_prep` (partitions are refused); sysfs: `partition`, `slaves`.
"""

import os

from overbook.kernel.files import KernelFileError, read_file, under

MOST_LEVELS = 8
"""A crypt device on a volume on a RAID on partitions has five."""
_IN_MEMORY = ("zram", "ram", "loop")


def whole_disks(number: str, root: str | os.PathLike[str] = "/") -> tuple[str, ...]:
    """The disks below the device of a "major:minor", sorted; empty: there is none, or it is memory."""
    device = under(root, f"/sys/dev/block/{number}")
    return tuple(sorted(_below(os.path.realpath(device), MOST_LEVELS))) if os.path.isdir(device) else ()


def _below(device: str, levels: int) -> set[str]:
    if os.path.exists(f"{device}/partition"):
        device = os.path.dirname(device)
    if os.path.basename(device).startswith(_IN_MEMORY):
        return set()
    try:
        slaves = os.listdir(f"{device}/slaves")
    except OSError:
        slaves = []
    if slaves and levels:
        return set().union(
            *(_below(os.path.realpath(f"{device}/slaves/{name}"), levels - 1) for name in slaves)
        )
    try:
        return {read_file(f"{device}/dev").decode("ascii", "replace").strip()}
    except KernelFileError:
        return set()
