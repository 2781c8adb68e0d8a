"""The cgroup version of a node, and its controllers.

Only version 2 has per-cgroup swap limits, pressure and reclaim, so there is nothing to fall back on.
"""

import os

import msgspec

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import KernelFileError, MissingKernelFile, read_file, under


class CgroupVersion(msgspec.Struct, frozen=True, gc=False):
    """The controllers of the root cgroup; `version` is always 2."""

    controllers: frozenset[str]
    version: int = 2


def check_cgroup2(root: str | os.PathLike[str] = "/") -> CgroupVersion:
    """Check that /sys/fs/cgroup below `root` is cgroup version 2.

    Raises:
        MissingKernelFile: Nothing is mounted there.
        KernelFileError: It is version 1 or a hybrid of both; the message says what to do.
    """
    mount = under(root, CGROUP_MOUNT)
    try:
        data = read_file(f"{mount}/cgroup.controllers")
    except MissingKernelFile:
        raise _what_it_is(mount) from None
    return CgroupVersion(frozenset(data.decode("utf-8", "backslashreplace").split()))


def _what_it_is(mount: str) -> KernelFileError:
    remedy = "Overbook needs cgroup version 2: boot with systemd.unified_cgroup_hierarchy=1"
    if os.path.exists(f"{mount}/unified/cgroup.controllers"):
        return KernelFileError(mount, f"is a hybrid of cgroup versions 1 and 2; {remedy}")
    if os.path.isdir(f"{mount}/memory"):
        return KernelFileError(mount, f"is cgroup version 1; {remedy}")
    return MissingKernelFile(mount, "has no cgroup.controllers: is the cgroup2 file system mounted there?")
