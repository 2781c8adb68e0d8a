"""The disk under a swap area is found through /sys/dev/block and the host's mounts."""

import os
import pathlib

import pytest

from overbook.kernel.block_device import read_block_device
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.mountinfo import mount_of, parse_mountinfo
from overbook.kernel.swap_medium import LiesOn, read_swap_medium
from overbook.kernel.swaps import SwapArea
from overbook_sandbox.fakes.kernel_files import build_tree

GIB = 1 << 30
MOUNTS = """\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:40 / /srv/share rw - nfs4 filer:/export rw
3 1 0:30 /data /var/lib/data rw - btrfs /dev/nvme0n1p1 rw
4 1 253:0 / /var/lib/my\\040disk rw - xfs /dev/mapper/vg-swap rw
5 1 0:25 / /var/lib/ram rw - tmpfs tmpfs rw
6 1 8:17 / /srv/share/deep rw - ext4 /dev/sdb1 rw
"""


class Machine:
    """A machine is a tree of /sys and /proc."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        build_tree(root, {"proc/1/mountinfo": MOUNTS, "sys/dev/block": {}})

    def disk(
        self, path: str, number: str, rotational: str | None = None, parts: tuple[str, ...] = ()
    ) -> None:
        folder = self.root / "sys/devices" / path
        build_tree(folder, {"queue/rotational": f"{rotational}\n"} if rotational is not None else {})
        self._numbered(folder, number)
        for place, part in enumerate(parts, start=1):
            build_tree(folder / part, {"partition": f"{place}\n"})
            major, _, minor = number.partition(":")
            self._numbered(folder / part, f"{major}:{int(minor) + place}")

    def above(self, name: str, number: str, *slaves: str, alias: str = "") -> None:
        folder = self.root / "sys/devices/virtual/block" / name
        build_tree(folder, {"queue/rotational": "0\n", "slaves": {}, **({"dm/name": alias} if alias else {})})
        self._numbered(folder, number)
        for slave in slaves:
            (folder / "slaves" / os.path.basename(slave)).symlink_to(self.root / "sys/devices" / slave)

    def _numbered(self, folder: pathlib.Path, number: str) -> None:
        (self.root / "sys/dev/block" / number).symlink_to(
            os.path.relpath(folder, self.root / "sys/dev/block")
        )

    def device(self, name: str) -> LiesOn:
        return read_swap_medium(SwapArea(name, "partition", GIB, 0, 1), self.root)

    def file(self, name: str) -> LiesOn:
        return read_swap_medium(SwapArea(name, "file", GIB, 0, 1), self.root)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    made = Machine(tmp_path)
    made.disk("pci0/ata1/block/sda", "8:0", "1", ("sda1", "sda2"))
    made.disk("pci0/ata2/block/sdb", "8:16", "0", ("sdb1",))
    made.disk("pci0/nvme/nvme0/nvme0n1", "259:0", "0", ("nvme0n1p1",))
    made.disk("platform/host3/session1/target3/block/sdc", "8:32", "0", ("sdc1",))
    made.disk("virtual/nvme-fabrics/ctl/nvme5/nvme5n1", "259:8", "0")
    made.disk("virtual/block/nbd0", "43:0", "0")
    made.disk("virtual/block/zram0", "252:0", "0")
    made.disk("virtual/block/loop0", "7:0", "0")
    made.disk("pci0/virtio1/block/vda", "254:0", "1", ("vda1",))
    made.disk("virtual/block/zd0", "230:0", "0", ("zd0p1",))
    made.disk("pci0/host0/block/sdv", "8:64", "1", ("sdv1",))
    made.disk("pci0/nvme/nvme7/nvme7n1", "259:12", "0")
    build_tree(
        made.root / "sys/devices",
        {
            "pci0/host0/block/sdv/device": {"vendor": "VMware  \n", "model": "Virtual disk\n"},
            "pci0/nvme/nvme7/nvme7n1/device": {"model": "Amazon Elastic Block Store\n"},
        },
    )
    made.disk("pci0/odd/block/odd0", "240:0")
    made.above("dm-0", "253:0", "pci0/nvme/nvme0/nvme0n1/nvme0n1p1", alias="vg-swap")
    made.above("dm-1", "253:1", "virtual/block/dm-0", "pci0/ata1/block/sda/sda2", alias="slow")
    return made


@pytest.mark.parametrize(
    ("name", "medium"),
    [
        ("/dev/sda2", "heads"),
        ("/dev/sdb1", "flash"),
        ("/dev/nvme0n1p1", "flash"),
        ("/dev/sdc1", "network"),
        ("/dev/nvme5n1", "network"),
        ("/dev/nbd0", "network"),
        ("/dev/zram0", "zram"),
        ("/dev/loop0", "loop"),
        ("/dev/vda1", "virtual"),
        ("/dev/odd0", "unknown"),
        ("/dev/zd0p1", "zvol"),
        ("/dev/sdv1", "virtual"),
        ("/dev/nvme7n1", "virtual"),
        ("/dev/dm-0", "flash"),
        ("/dev/mapper/vg-swap", "flash"),
        ("/dev/mapper/slow", "heads"),
    ],
)
def test_the_medium_of_a_device_is_that_of_its_disks(machine: Machine, name: str, medium: str) -> None:
    assert machine.device(name).medium == medium


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/var/swapfile", LiesOn("heads", "/dev/sda1")),
        ("/srv/share/swapfile", LiesOn("network", "nfs4 filer:/export")),
        ("/srv/share/deep/swapfile", LiesOn("flash", "/dev/sdb1")),
        ("/srv/shared/swapfile", LiesOn("heads", "/dev/sda1")),
        ("/var/lib/data/swapfile", LiesOn("flash", "/dev/nvme0n1p1")),
        ("/var/lib/my disk/swapfile", LiesOn("flash", "/dev/dm-0")),
    ],
)
def test_a_file_lies_on_the_disk_of_its_mount(machine: Machine, name: str, expected: LiesOn) -> None:
    assert machine.file(name) == expected


def test_nvme_multipath_is_on_the_network_if_one_path_is(machine: Machine) -> None:
    machine.disk("virtual/nvme-subsystem/nvme-subsys5/nvme5n2", "259:9", "0")
    path = machine.root / "sys/devices/virtual/nvme-subsystem/nvme-subsys5/nvme5"
    path.symlink_to(machine.root / "sys/devices/virtual/nvme-fabrics/ctl/nvme5")

    assert machine.device("/dev/nvme5n2").medium == "network"


def test_an_encrypted_swap_file_lies_on_the_disk_of_the_file(machine: Machine) -> None:
    backing = {"loop/backing_file": "/var/lib/data/swapfile\n"}
    build_tree(machine.root / "sys/devices/virtual/block/loop0", backing)
    machine.above("dm-2", "253:2", "virtual/block/loop0", alias="overbook-swap")

    assert machine.device("/dev/dm-2") == LiesOn("flash", "/dev/dm-2")
    assert machine.device("/dev/loop0").medium == "loop"


@pytest.mark.parametrize("name", ["/dev/gone", "/dev/mapper/gone"])
def test_a_device_that_is_not_listed_is_an_error(machine: Machine, name: str) -> None:
    with pytest.raises(KernelFileError):
        machine.device(name)


def test_a_file_on_no_disk_is_an_error(machine: Machine) -> None:
    with pytest.raises(KernelFileError, match="tmpfs"):
        machine.file("/var/lib/ram/swapfile")


def test_a_device_number_of_no_device_is_refused(machine: Machine) -> None:
    with pytest.raises(MissingKernelFile):
        read_block_device("1:1", machine.root)


def test_lines_of_no_mounts_are_left_out() -> None:
    assert parse_mountinfo(b"") == ()
    assert parse_mountinfo(b"1 0 8:1 / / rw\nx - y z\n") == ()
    assert mount_of("/a", ()) is None


@pytest.mark.parametrize(
    ("vendor", "product", "medium"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "virtual"),
        ("Microsoft Corporation", "Virtual Machine", "virtual"),
        ("Amazon EC2", "m5.metal", "heads"),
        ("Dell Inc.", "PowerEdge R740", "heads"),
    ],
)
def test_a_virtual_machines_rotating_disk_is_virtual(
    machine: Machine, vendor: str, product: str, medium: str
) -> None:
    build_tree(
        machine.root / "sys/class/dmi/id", {"sys_vendor": f"{vendor}\n", "product_name": f"{product}\n"}
    )

    assert machine.device("/dev/sda2").medium == medium


def test_bcache_is_as_slow_as_the_worst_device_below_it(machine: Machine) -> None:
    """The kernel links a bcache device to its backing device and to its cache (bd_link_disk_holder)."""
    sdb, nvme = "pci0/ata2/block/sdb/sdb1", "pci0/nvme/nvme0/nvme0n1/nvme0n1p1"
    machine.above("bcache0", "251:0", "pci0/ata1/block/sda/sda1", nvme)
    machine.above("bcache1", "251:128", sdb, nvme)
    machine.above("dm-8", "253:8", "virtual/block/bcache1", alias="vg-cached")

    assert machine.device("/dev/bcache0").medium == "heads"
    assert machine.device("/dev/bcache1").medium == "flash"
    assert machine.device("/dev/dm-8").medium == "flash"


def test_drbd_is_on_the_network_also_below_a_volume(machine: Machine) -> None:
    """A write to DRBD waits for its peer, whatever the local disk is."""
    machine.above("drbd0", "147:0", "pci0/ata2/block/sdb/sdb1")
    machine.above("dm-9", "253:9", "virtual/block/drbd0", alias="vg-replicated")

    assert machine.device("/dev/drbd0").medium == "network"
    assert machine.device("/dev/dm-9").medium == "network"
