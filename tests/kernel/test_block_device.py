import pathlib

import pytest

from overbook.kernel.block_device import whole_disks
from overbook_sandbox.fakes.kernel_files import build_tree


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """The machine has an encrypted volume over two disks, a partition, and zram."""
    build_tree(
        tmp_path / "sys/devices",
        {
            "nvme0n1": {"dev": "259:0\n", "nvme0n1p3": {"partition": "3\n", "dev": "259:3\n"}},
            "sda": {"dev": "8:0\n"},
            "zram0": {"dev": "253:0\n"},
            "dm-0": {"dev": "252:0\n", "slaves": {}},
            "dm-1": {"dev": "252:1\n", "slaves": {}},
        },
    )
    devices = {"259:3": "nvme0n1/nvme0n1p3", "253:0": "zram0", "252:1": "dm-1"}
    slaves = {"dm-1/slaves/dm-0": "dm-0", "dm-0/slaves/p3": "nvme0n1/nvme0n1p3", "dm-0/slaves/sda": "sda"}
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    for number, device in devices.items():
        (tmp_path / "sys/dev/block" / number).symlink_to(tmp_path / "sys/devices" / device)
    for link, device in slaves.items():
        (tmp_path / "sys/devices" / link).symlink_to(tmp_path / "sys/devices" / device)
    return tmp_path


@pytest.mark.parametrize(
    ("number", "disks"),
    [("259:3", ("259:0",)), ("252:1", ("259:0", "8:0")), ("253:0", ()), ("0:31", ()), ("", ())],
    ids=["a partition", "a volume", "zram", "no device", "nothing"],
)
def test_the_disks_below_a_device_are_found(root: pathlib.Path, number: str, disks: tuple[str, ...]) -> None:
    assert whole_disks(number, root) == disks
