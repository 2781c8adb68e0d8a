import os
import pathlib
import stat
import subprocess
import time
from collections.abc import Iterator

import pytest

from overbook.core.overcommit.swap import node_swap_bytes
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.swaps import read_swaps
from tests.emulated.swap_program import (
    DISK,
    MIB,
    PAGE,
    SwapProgram,
    areas_bytes,
    memory_held,
    mount_disk,
    push_out,
    state,
    unmount_disk,
)

pytestmark = pytest.mark.node(memory="512Mi", swap="768Mi")


@pytest.fixture(scope="module", autouse=True)
def disk() -> Iterator[None]:
    mount_disk()
    yield
    unmount_disk()


@pytest.fixture
def swap(tmp_path: pathlib.Path) -> Iterator[SwapProgram]:
    made = SwapProgram(tmp_path)
    yield made
    status, said = made.run("remove")
    assert status == 0, said
    assert "nothing is left" in said
    assert read_swaps() == ()
    assert not made.folder.exists()


def test_the_file_has_the_size_that_the_percentage_demands(swap: SwapProgram) -> None:
    status, said = swap.run("apply", percent=115)

    assert status == 0, said
    demanded = node_swap_bytes(read_meminfo().mem_total_bytes, 115)
    assert demanded <= (read_meminfo().swap_total_bytes or 0) < demanded + 2 * PAGE
    (name,) = swap.files()
    assert stat.S_IMODE((swap.folder / name).stat().st_mode) == 0o600
    assert (swap.folder / name).stat().st_blocks * 512 >= demanded  # written, not promised
    assert [area.priority for area in read_swaps()] == [10]
    assert "state=Ready" in state()


def test_a_second_apply_changes_nothing(swap: SwapProgram) -> None:
    swap.run("apply", size_bytes=16 * MIB)
    (name,) = swap.files()
    before = (swap.folder / name).stat()

    assert swap.run("apply")[0] == 0

    after = (swap.folder / name).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert swap.run("plan")[1].startswith("nothing")


def test_a_little_more_ram_recreates_nothing(swap: SwapProgram, tmp_path: pathlib.Path) -> None:
    swap.run("apply", percent=105)
    files = swap.files()
    ram = read_meminfo().mem_total_bytes
    proc = proc_with(tmp_path, MemTotal=ram + MIB)

    assert swap.run("apply", environment={"OVERBOOK_PROC": proc})[0] == 0
    assert swap.files() == files

    assert "write" in swap.run("plan", percent=106)[1]


def test_swap_is_only_turned_on_at_boot(swap: SwapProgram) -> None:
    swap.run("apply", size_bytes=16 * MIB)
    (name,) = swap.files()
    made = (swap.folder / name).stat().st_mtime_ns
    subprocess.run(["swapoff", "-a"], check=True)  # as after a boot

    assert swap.run("on")[0] == 0

    assert areas_bytes() == [16 * MIB]
    assert (swap.folder / name).stat().st_mtime_ns == made


def test_a_boot_before_the_first_apply_is_reported(swap: SwapProgram) -> None:
    assert swap.run("on", size_bytes=16 * MIB)[0] == 1
    assert read_swaps() == ()
    assert "state=NotMade" in state()


def test_swap_grows_while_its_pages_stay_swapped(swap: SwapProgram) -> None:
    swap.run("apply", size_bytes=48 * MIB)
    with memory_held(48 * MIB) as holder:
        push_out(24 * MIB)

        status, said = swap.run("apply", size_bytes=64 * MIB)

        assert status == 0, said
        assert areas_bytes() == [64 * MIB]
        assert len(swap.files()) == 1
        assert holder.poll() is None


def test_pages_without_room_in_ram_stay_in_swap(swap: SwapProgram, tmp_path: pathlib.Path) -> None:
    swap.run("apply", size_bytes=64 * MIB)
    with memory_held(64 * MIB) as holder:
        push_out(40 * MIB)
        full = {"OVERBOOK_PROC": proc_with(tmp_path, MemTotal=512 * MIB, MemAvailable=50 * MIB)}

        for command, size in (("apply", 8 * MIB), ("remove", 8 * MIB)):
            status, said = swap.run(command, environment=full, size_bytes=size)

            assert status == 1, said
            assert "RAM has 50 MiB available, 26 MiB of which stay free" in said
            assert areas_bytes() == [64 * MIB]
            assert "state=NoRoom" in state()
        assert len(swap.files()) == 1
        assert holder.poll() is None


def test_a_disk_that_would_be_too_full_is_refused_with_numbers(swap: SwapProgram) -> None:
    status, said = swap.run("apply", size_bytes=64 * MIB, disk_floor_percent=99)

    assert status == 1
    assert "MiB free" in said
    assert "state=DiskFull" in state()
    assert swap.files() == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_partial_file(swap: SwapProgram) -> None:
    fill("before", os.statvfs(DISK).f_bavail * os.statvfs(DISK).f_frsize - 180 * MIB)
    process = swap.start("apply", size_bytes=140 * MIB, disk_floor_percent=1)
    half = swap.folder / ".making"
    deadline = time.monotonic() + 60
    while not (half.exists() and half.stat().st_size >= MIB):
        assert time.monotonic() < deadline, said_so_far(process)
        time.sleep(0.05)
    fill("meanwhile", 64 * MIB)
    said, _ = process.communicate(timeout=100)

    assert process.returncode == 1, said
    assert read_swaps() == ()
    assert swap.files() == []
    assert "state=DiskFull" in state()
    for filler in DISK.glob("filler-*"):
        filler.unlink()


def test_a_kubelet_that_refuses_swap_keeps_it_off(swap: SwapProgram, tmp_path: pathlib.Path) -> None:
    config = tmp_path / "kubelet.yaml"
    config.write_text("kind: KubeletConfiguration\nfailSwapOn: true\n")

    assert swap.run("apply", size_bytes=16 * MIB, kubelet_configs=(str(config),))[0] == 1
    assert read_swaps() == ()
    assert "state=KubeletRefusesSwap" in state()

    config.write_text("kind: KubeletConfiguration\nfailSwapOn: false\n")
    assert swap.run("apply")[0] == 0
    assert len(read_swaps()) == 1


def test_a_file_system_that_cannot_hold_swap_is_named(swap: SwapProgram) -> None:
    status, said = swap.run("apply", size_bytes=16 * MIB, folder="/run/overbook-test")

    assert status == 1
    assert "tmpfs" in said


def proc_with(folder: pathlib.Path, **meminfo: int) -> str:
    """Make a /proc with the node's swap areas and other figures of its RAM."""
    proc = folder / "proc"
    proc.mkdir()
    (proc / "swaps").symlink_to("/proc/swaps")
    (proc / "meminfo").write_text("".join(f"{key}: {value // 1024} kB\n" for key, value in meminfo.items()))
    return str(proc)


def fill(name: str, size_bytes: int) -> None:
    with open(DISK / f"filler-{name}", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)


def said_so_far(process: "subprocess.Popen[str]") -> str:
    process.kill()
    return process.communicate()[0]
