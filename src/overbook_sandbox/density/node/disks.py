"""What a node swaps to: disks of different speed, one that stalls, and zram."""

import os
import struct
import subprocess
from typing import Final, NamedTuple

from overbook_sandbox.density.loads import Disk
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.kernel_image import later_modules
from overbook_sandbox.machine.kernel_modules import dependencies, load_order

MIB: Final = 2**20
SECTOR: Final = 512
FLOODED_MIB: Final = 1024
"""The size of the disk's part for files, where a load needs one."""
DEVICE: Final = "/dev/vda"
_BUSYBOX: Final = "/run/overbook/busybox"
_FIRST_SECTOR: Final = 2048
_LINUX_SWAP, _LINUX = 0x82, 0x83


class Throttle(NamedTuple):
    """The limits of a disk.

    Attributes:
        reads_per_second: reads. The kernel counts each page of a swapped-in cluster as one; it swaps out
            pages side by side, so writes are limited by their size only.
        bytes_per_second: bytes that are read, and as many that are written.
    """

    reads_per_second: int
    bytes_per_second: int

    @property
    def limits(self) -> str:
        """The limits as ``io.max`` takes them."""
        size = self.bytes_per_second
        return f"rbps={size} wbps={size} riops={self.reads_per_second} wiops=max"


THROTTLES: Final[dict[Disk, Throttle]] = {
    "fast": Throttle(12_000, 125_000_000),  # a cloud's general-purpose disk: 3,000 clusters of some pages
    "slow": Throttle(1_200, 12_000_000),  # a disk with moving parts
    "stalling": Throttle(12_000, 125_000_000),
    "zram": Throttle(12_000, 125_000_000),
}
_STANDING_STILL: Final = Throttle(2, 4096)
"""The kernel refuses to allow a single read."""


class ThrottledDisk:
    """The node's disk as the pods see it: limited by ``io.max``, in the node's own time.

    Args:
        cgroup: the absolute path of the cgroup whose reads and writes are limited.
        throttle: the limits.
    """

    def __init__(self, cgroup: str, throttle: Throttle) -> None:
        # Kept open and encoded: when the disk stands still there may be no memory for anything else.
        self._fd = os.open(os.path.join(cgroup, "io.max"), os.O_WRONLY)
        with open(f"/sys/block/{os.path.basename(DEVICE)}/dev", encoding="ascii") as file:
            device = file.read().strip()
        self._works, self._stands = (
            f"{device} {limits.limits}".encode() for limits in (throttle, _STANDING_STILL)
        )
        self.stall(on=False)

    def stall(self, *, on: bool) -> None:
        """Make the disk stand still, or work again."""
        os.write(self._fd, self._stands if on else self._works)


def parts(swap_mib: int, flooded: bool) -> int:
    """The size of the disk in MiB, with the partition table."""
    return swap_mib + (FLOODED_MIB if flooded else 0) + 2


def partition(swap_mib: int, flooded: bool, device: str = DEVICE) -> tuple[str, str]:
    """Divide the disk: a part for swap, and one for files if a load needs that.

    Returns:
        The device to swap to, and that for files; empty: none.
    """
    swap_sectors = swap_mib * MIB // SECTOR
    table = [(_LINUX_SWAP, _FIRST_SECTOR, swap_sectors)]
    if flooded:
        table.append((_LINUX, _FIRST_SECTOR + swap_sectors, FLOODED_MIB * MIB // SECTOR))
    with open(device, "r+b") as disk:
        disk.write(master_boot_record(table))
    subprocess.run([_BUSYBOX, "blockdev", "--rereadpt", device], check=True)  # noqa: S603
    return f"{device}1", f"{device}2" if flooded else ""


def master_boot_record(table: list[tuple[int, int, int]]) -> bytes:
    """A partition table.

    Args:
        table: type, first sector and sectors of at most four partitions.
    """
    entries = b"".join(
        struct.pack("<B3sB3sII", 0, b"\xff" * 3, kind, b"\xff" * 3, first, count)
        for kind, first, count in table
    )
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa"


def swap_on(device: str) -> None:
    """Make a swap area, and use it."""
    subprocess.run([_BUSYBOX, "mkswap", device], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    subprocess.run([_BUSYBOX, "swapon", device], check=True)  # noqa: S603


def make_zram(swap_mib: int) -> str:
    """Load zram's module, and make a device of this size, before compression.

    Returns:
        The device.
    """
    modules = later_modules(cache_folder(os.environ), os.environ, os.uname().release)
    for name in load_order(["zram"], lambda name: dependencies(modules[name])):
        path = f"/run/{name}.ko"
        with open(path, "wb") as file:
            file.write(modules[name])
        subprocess.run([_BUSYBOX, "insmod", path], check=True)  # noqa: S603
        os.unlink(path)
    with open("/sys/block/zram0/disksize", "w", encoding="ascii") as size:
        size.write(f"{swap_mib}M")
    return "/dev/zram0"
