r"""/proc/1/mountinfo: the device or network share that holds a host's file.

    36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue

The mounts of process 1 are those of the host. Blanks and backslashes are octal escapes.
Source: kernel Documentation/filesystems/proc.rst, 3.5.
"""

import os
import re

import msgspec

from overbook.kernel.files import read_file, under

LIMIT_BYTES = 16 << 20
"""A node with many pods has thousands of mounts."""
_OCTAL = re.compile(r"\\([0-3][0-7]{2})")


class Mount(msgspec.Struct, frozen=True, gc=False):
    """One mount.

    Attributes:
        device: "major:minor"; major 0 means that it is not a block device.
        mount_point: Where it is mounted.
        filesystem: Its type.
        source: What was mounted, as its type writes it.
    """

    device: str
    mount_point: str
    filesystem: str
    source: str


def parse_mountinfo(data: bytes) -> tuple[Mount, ...]:
    """The mounts in the order in which they were made; malformed lines are left out."""
    mounts = []
    for line in data.decode("utf-8", "backslashreplace").splitlines():
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")
        if len(fields) >= 6 and len(kind) >= 2:
            mounts.append(Mount(fields[2], _plain(fields[4]), kind[0], _plain(kind[1])))
    return tuple(mounts)


def mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount that contains a file: the deepest one, and of equal ones the one made last."""
    best = None
    for mount in mounts:
        point = mount.mount_point.rstrip("/")
        holds = path == point or path.startswith(f"{point}/")
        if holds and (best is None or len(point) >= len(best.mount_point.rstrip("/"))):
            best = mount
    return best


def read_mountinfo(root: str | os.PathLike[str] = "/") -> tuple[Mount, ...]:
    """The mounts of process 1, from /proc below `root`.

    Raises:
        KernelFileError: Unreadable.
    """
    return parse_mountinfo(read_file(under(root, "/proc/1/mountinfo"), LIMIT_BYTES))


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), text)
