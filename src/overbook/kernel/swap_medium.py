"""What a swap area lies on: the disk under its device, or under the file system that its file is on."""

import os

import msgspec

from overbook.kernel.block_device import BlockDevice, Medium, device_numbers, read_block_device
from overbook.kernel.files import KernelFileError
from overbook.kernel.mountinfo import mount_of, read_mountinfo
from overbook.kernel.swaps import SwapArea

NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs", "fuse.glusterfs"})


class LiesOn(msgspec.Struct, frozen=True, gc=False):
    """What is below a swap area.

    Attributes:
        medium: What it is.
        name: The device or network share; empty: not known.
    """

    medium: Medium
    name: str = ""


def read_swap_medium(area: SwapArea, root: str | os.PathLike[str] = "/") -> LiesOn:
    """What it lies on.

    Raises:
        KernelFileError: Something on the way cannot be read, or is of a kind that is not known here.
    """
    if area.type == "file":
        return _of_file(area.filename, root)
    return _lies_on(_named(area.filename, root))


def _of_file(path: str, root: str | os.PathLike[str]) -> LiesOn:
    mount = mount_of(path, read_mountinfo(root))
    if mount is None:
        raise KernelFileError(path, "is below no mount of the host's first process")
    if mount.filesystem in NETWORK_FILESYSTEMS:
        return LiesOn("network", f"{mount.filesystem} {mount.source}")
    if not mount.device.startswith("0:"):
        return _lies_on(read_block_device(mount.device, root))
    # btrfs gives its files a number that no device has.
    if mount.source.startswith("/dev/"):
        return _lies_on(_named(mount.source, root))
    raise KernelFileError(path, f"is on {mount.filesystem}, of which the device is not known")


def _named(filename: str, root: str | os.PathLike[str]) -> BlockDevice:
    number = device_numbers(root).get(filename.removeprefix("/dev/"))
    if number is None:
        raise KernelFileError(filename, "is no block device that the kernel lists by this name")
    return read_block_device(number, root)


def _lies_on(device: BlockDevice) -> LiesOn:
    return LiesOn(device.medium, f"/dev/{device.name}")
