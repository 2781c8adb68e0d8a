"""/sys/dev/block: what kind of disk a block device is in the end, through partitions, dm and md.

Source: kernel Documentation/ABI/stable/sysfs-block (queue/rotational), ABI/testing/sysfs-block-loop.
"""

import os
from collections.abc import Iterable
from typing import Literal

import msgspec

from overbook.kernel.files import KernelFileError, MissingKernelFile, from_os_error, read_file, under
from overbook.kernel.virtual_disk import is_virtual_disk, is_virtual_machine

Medium = Literal["network", "heads", "loop", "zvol", "zram", "unknown", "virtual", "flash"]
"""Worst first. `virtual`: a virtual machine's disk, whose medium only its host knows. `zvol`: a volume of
ZFS, or a device of a process in user space (ublk): both need memory to write."""

SYSFS = "/sys/dev/block"
MOST_LEVELS = 8
"""The most levels of stacked devices; a crypt device on a volume on a RAID on partitions has five."""
_WORST_FIRST: tuple[Medium, ...] = (
    "network",
    "heads",
    "loop",
    "zvol",
    "zram",
    "unknown",
    "virtual",
    "flash",
)
_NETWORK_NAMES = ("nbd", "rbd", "drbd", "etherd")
_ZVOL_NAMES = ("zd", "ublkb")
_NETWORK_PATHS = ("/session", "/rport-", "/nvme-fabrics/")
"""Parts of a device's path that show iSCSI, Fibre Channel or NVMe over Fabrics."""


class BlockDevice(msgspec.Struct, frozen=True, gc=False):
    """A block device and the kind of disk below it.

    Attributes:
        name: The kernel's name.
        medium: The worst kind of disk that the device is made of.
    """

    name: str
    medium: Medium


def device_numbers(root: str | os.PathLike[str] = "/") -> dict[str, str]:
    """Each block device's "major:minor" by its name; device-mapper devices also by their own name.

    Raises:
        KernelFileError: The folder cannot be listed.
    """
    folder = under(root, SYSFS)
    numbers = {}
    try:
        listed = os.listdir(folder)
    except OSError as error:
        raise from_os_error(folder, error, "list") from None
    for number in listed:
        device = f"{folder}/{number}"
        name = os.path.basename(os.path.realpath(device))
        numbers[name] = number
        if name.startswith("dm-") and (alias := _text(f"{device}/dm/name")):
            numbers[f"mapper/{alias}"] = number
    return numbers


def read_block_device(number: str, root: str | os.PathLike[str] = "/") -> BlockDevice:
    """The block device with the number "major:minor".

    Raises:
        MissingKernelFile: No device has that number.
    """
    path = under(root, f"{SYSFS}/{number}")
    if not os.path.isdir(path):
        raise MissingKernelFile(path, "there is no such block device")
    real = os.path.realpath(path)
    return BlockDevice(os.path.basename(real), _medium(real, MOST_LEVELS, is_virtual_machine(root)))


def backing_file(number: str, root: str | os.PathLike[str] = "/") -> str:
    """The backing file of the loop device below a device; empty if there is no loop device below it."""
    device = os.path.realpath(under(root, f"{SYSFS}/{number}"))
    for _ in range(MOST_LEVELS):
        slaves = _listed(f"{device}/slaves")
        if not slaves:
            break
        device = os.path.realpath(f"{device}/slaves/{slaves[0]}")
        if path := _text(f"{device}/loop/backing_file"):
            return path
    return ""


def worst(media: Iterable[Medium]) -> Medium:
    """The worst of several media; `unknown` if there are none."""
    return min(media, key=_WORST_FIRST.index, default="unknown")


def _medium(device: str, levels: int, virtual_machine: bool) -> Medium:
    if os.path.exists(f"{device}/partition"):
        device = os.path.dirname(device)
    name = os.path.basename(device)
    if name.startswith("zram"):
        return "zram"
    if name.startswith("loop"):
        return "loop"
    if name.startswith(_ZVOL_NAMES):
        return "zvol"
    if name.startswith(_NETWORK_NAMES) or any(part in device for part in _NETWORK_PATHS):
        return "network"
    if _fabric(device):
        return "network"
    slaves = _listed(f"{device}/slaves")
    if slaves and levels > 0:
        return worst(
            _medium(os.path.realpath(f"{device}/slaves/{slave}"), levels - 1, virtual_machine)
            for slave in slaves
        )
    rotational = _text(f"{device}/queue/rotational")
    # The kernel reports a virtual disk as rotating unless the hypervisor says otherwise; NVMe never rotates.
    if is_virtual_disk(device) and (rotational == "1" or name.startswith("nvme")):
        return "virtual"
    if rotational == "1":
        return "virtual" if virtual_machine or name.startswith(("vd", "xvd")) else "heads"
    return "flash" if rotational == "0" else "unknown"


def _fabric(device: str) -> bool:
    """Whether one of the paths of a multipath NVMe device goes over the network."""
    subsystem = os.path.dirname(device)
    if not os.path.basename(subsystem).startswith("nvme-subsys"):
        return False
    return any("/nvme-fabrics/" in os.path.realpath(f"{subsystem}/{name}") for name in _listed(subsystem))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace").strip()
    except KernelFileError:
        return ""


MOST_LEVELS = 8
"""The most levels of stacked devices; a crypt device on a volume on a RAID on partitions has five."""
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
