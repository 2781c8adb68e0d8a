"""Swap lies on devices, on zram, and behind encryption whose key is never kept."""

import os
import pathlib
import struct
import subprocess
import zlib
from collections.abc import Iterator

import pytest

from overbook.kernel.swaps import read_swaps
from overbook_sandbox.node.node_programs import node_program
from tests.emulated.modules import load_modules
from tests.emulated.swap_program import MIB, SwapProgram, areas_bytes, mount_disk, state, unmount_disk

pytestmark = pytest.mark.node(memory="512Mi", swap="768Mi")

DEVICE = "/dev/vda"


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    load_modules(pathlib.Path("/run"))


@pytest.fixture
def swap(tmp_path: pathlib.Path) -> Iterator[SwapProgram]:
    subprocess.run(["swapoff", "-a"], check=True)
    subprocess.run(["wipefs", "-q", "-a", "-f", DEVICE], check=True)
    subprocess.run(["blockdev", "--rereadpt", DEVICE], check=True)
    made = SwapProgram(tmp_path, node_program("cryptsetup").environment(os.environ))
    yield made
    status, said = made.run("remove")
    assert status == 0, said
    assert read_swaps() == ()
    assert [name for name in os.listdir("/dev/mapper") if name != "control"] == []


def beginning(path: pathlib.Path | str) -> bytes:
    with open(path, "rb") as file:
        return file.read(64 << 10)


def partition_table(disk_sectors: int, label: str, sectors: int) -> bytes:
    """Return a GPT with one partition: protective MBR, header, entries (UEFI specification, chapter 5)."""
    mbr = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, disk_sectors - 1)
    name = label.encode("utf-16-le")
    entry = struct.pack(
        "<16s16sQQQ72s", b"linux swap space", b"its own identity", 2048, 2047 + sectors, 0, name
    )
    entries = entry.ljust(128 * 128, b"\0")
    places = (1, disk_sectors - 1, 34, disk_sectors - 34, b"the disk's own id", 2, 128, 128)

    def header(crc: int) -> bytes:
        fields = (b"EFI PART", 0x10000, 92, crc, 0, *places, zlib.crc32(entries))
        return struct.pack("<8sIIIIQQQQ16sQIII", *fields)

    return mbr.ljust(510, b"\0") + b"\x55\xaa" + header(zlib.crc32(header(0))).ljust(512, b"\0") + entries


def test_an_empty_device_becomes_swap_and_empty_again(swap: SwapProgram) -> None:
    status, said = swap.run("apply", kind="device", device=DEVICE, discard="pages")

    assert status == 0, said
    assert areas_bytes() == [768 * MIB - 4096]
    assert swap.run("apply")[0] == 0

    assert swap.run("remove")[0] == 0
    assert subprocess.run(["blkid", "-p", DEVICE], check=False, stdout=subprocess.PIPE).returncode == 2


def test_a_device_with_data_is_never_touched(swap: SwapProgram) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-F", DEVICE], check=True)
    before = beginning(DEVICE)

    for encrypt in (False, True):
        status, said = swap.run("apply", kind="device", device=DEVICE, encrypt=encrypt)
        assert status == 1
        assert "holds ext4" in said
        assert "state=NotEmpty" in state()

    assert beginning(DEVICE) == before


def test_a_partitioned_disk_is_kept_and_its_partition_found(
    swap: SwapProgram,
) -> None:
    with open(DEVICE, "r+b") as disk:
        disk.write(partition_table(768 * MIB // 512, "swap", 16 * MIB // 512))
    subprocess.run(["blockdev", "--rereadpt", DEVICE], check=True)

    assert swap.run("apply", kind="device", device=DEVICE)[0] == 1
    assert "state=NotEmpty" in state()

    status, said = swap.run("apply", device="PARTLABEL=swap")
    assert status == 0, said
    assert [area.filename for area in read_swaps()] == [f"{DEVICE}1"]
    assert swap.run("remove")[0] == 0


def test_an_existing_swap_device_is_found_and_left_unchanged(swap: SwapProgram) -> None:
    subprocess.run(["mkswap", "-L", "mine", DEVICE], check=True, stdout=subprocess.DEVNULL)
    before = beginning(DEVICE)[:4096]

    status, said = swap.run("apply", kind="device", device="LABEL=mine")
    assert status == 0, said
    assert [area.filename for area in read_swaps()] == [DEVICE]

    assert swap.run("remove")[0] == 0
    assert beginning(DEVICE)[:4096] == before


def test_a_missing_device_is_named(swap: SwapProgram) -> None:
    status, said = swap.run("apply", kind="device", device="LABEL=nowhere")

    assert status == 1
    assert "LABEL=nowhere is not there" in said


def test_an_encrypted_device_gets_a_new_key_at_every_boot(swap: SwapProgram) -> None:
    status, said = swap.run("apply", kind="device", device=DEVICE, encrypt=True)
    assert status == 0, said
    first = beginning(DEVICE)
    assert b"SWAPSPACE2" not in first
    subprocess.run(["swapoff", "-a"], check=True)  # as after a boot
    subprocess.run(["cryptsetup", "close", "overbook-swap-vda"], check=True, env=swap.environment)

    assert swap.run("on")[0] == 0

    assert len(read_swaps()) == 1
    assert beginning(DEVICE) != first


def test_an_encrypted_files_loop_device_is_removed_with_it(swap: SwapProgram) -> None:
    mount_disk()
    try:
        status, said = swap.run("apply", size_bytes=16 * MIB, encrypt=True)
        assert status == 0, said
        (name,) = swap.files()
        assert [area.type for area in read_swaps()] == ["partition"]
        assert b"SWAPSPACE2" not in beginning(swap.folder / name)

        status, said = swap.run("apply", encrypt=False)  # made anew: what is there has no header of its own

        assert status == 0, said
        assert [area.type for area in read_swaps()] == ["file"]
        assert swap.run("remove")[0] == 0
        assert subprocess.run(["losetup", "-a"], check=True, stdout=subprocess.PIPE).stdout == b""
    finally:
        swap.run("remove")
        unmount_disk()


def test_zram_grows_while_the_old_one_is_on_and_leaves_no_device(swap: SwapProgram) -> None:
    status, said = swap.run("apply", kind="zram", size_bytes=32 * MIB)
    assert status == 0, said
    assert areas_bytes() == [32 * MIB]
    (first,) = read_swaps()

    assert swap.run("apply", size_bytes=48 * MIB)[0] == 0
    assert areas_bytes() == [48 * MIB]
    assert read_swaps()[0].filename != first.filename

    assert swap.run("remove")[0] == 0
    assert [path for path in os.listdir("/dev") if path.startswith("zram")] == []
    assert swap.run("on")[0] == 0  # as after a boot: it is made again
    assert areas_bytes() == [48 * MIB]
