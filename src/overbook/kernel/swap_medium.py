"""The medium of a swap area: the disk under its device, or under the file system of its file."""

import os

import msgspec

from overbook.kernel.block_device import Medium, backing_file, device_numbers, read_block_device
from overbook.kernel.files import KernelFileError
from overbook.kernel.mountinfo import mount_of, read_mountinfo
from overbook.kernel.swaps import SwapArea

NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs", "fuse.glusterfs"}
    | {"lustre", "beegfs", "gpfs", "afs", "orangefs", "fuse.juicefs"}
)


class LiesOn(msgspec.Struct, frozen=True, gc=False):
    """The medium below a swap area.

    Attributes:
        medium: The kind of medium.
        name: The device or network share; empty: not known.
    """

    medium: Medium
    name: str = ""


def read_swap_medium(area: SwapArea, root: str | os.PathLike[str] = "/") -> LiesOn:
    """The medium of a swap area.

    Raises:
        KernelFileError: A file cannot be read, or a device or file system is of an unknown kind.
    """
    if area.type == "file":
        return _of_file(area.filename, root)
    return _named(area.filename, root)


def read_folder_medium(folder: str, root: str | os.PathLike[str] = "/") -> LiesOn:
    """The medium of the file system of a folder, which need not exist yet.

    Raises:
        KernelFileError: As `read_swap_medium`.
    """
    return _of_file(folder, root)


def _of_file(path: str, root: str | os.PathLike[str]) -> LiesOn:
    mount = mount_of(path, read_mountinfo(root))
    if mount is None:
        raise KernelFileError(path, "is below no mount of the host's first process")
    if mount.filesystem in NETWORK_FILESYSTEMS:
        return LiesOn("network", f"{mount.filesystem} {mount.source}")
    if not mount.device.startswith("0:"):
        return _of_device(mount.device, root)
    # btrfs reports a device number that no device has.
    if mount.source.startswith("/dev/"):
        return _named(mount.source, root)
    if mount.filesystem == "zfs":
        return LiesOn("zvol", f"zfs {mount.source}")
    raise KernelFileError(path, f"is on {mount.filesystem}, whose device is not known")


def _named(filename: str, root: str | os.PathLike[str]) -> LiesOn:
    number = device_numbers(root).get(filename.removeprefix("/dev/"))
    if number is None:
        raise KernelFileError(filename, "is no block device that the kernel lists by this name")
    return _of_device(number, root)


def _of_device(number: str, root: str | os.PathLike[str]) -> LiesOn:
    device = read_block_device(number, root)
    # An encrypted swap file is a crypt device over a loop device, both made for it.
    if device.medium == "loop" and (path := backing_file(number, root)):
        return LiesOn(_of_file(path, root).medium, f"/dev/{device.name}")
    return LiesOn(device.medium, f"/dev/{device.name}")
