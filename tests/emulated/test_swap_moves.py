"""Swap moves: the new one is on before the old one goes, and settings that are not given again stay."""

import pathlib
from collections.abc import Iterator

import pytest

from overbook.kernel.swaps import read_swaps
from overbook.node.swap import NEXT_SETTINGS, OLD_SETTINGS, PROGRAM, read_settings
from tests.emulated.sick_node import overbook, run
from tests.emulated.swap_program import DISK, MIB, areas_bytes, mount_disk, state, unmount_disk

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

FLOOR = ("--disk-floor", "1Mi", "--disk-floor-percent", "1")


@pytest.fixture(scope="module", autouse=True)
def disk() -> Iterator[None]:
    mount_disk()
    yield
    unmount_disk()


@pytest.fixture(autouse=True)
def swap(disk: None) -> Iterator[None]:  # noqa: ARG001 - the disk comes first
    apply("--size", "16Mi", "--folder", f"{DISK}/a", *FLOOR, "--priority", "7")
    yield
    done = overbook("node", "swap", "remove")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_swaps() == ()
    assert not (DISK / "a").exists()
    assert not (DISK / "b").exists()


def apply(*words: str, status: int = 0) -> str:
    done = overbook("node", "swap", "apply", *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def areas() -> list[tuple[str, int]]:
    return [(area.filename, area.priority) for area in read_swaps()]


def test_swap_moves_to_another_folder_with_its_settings() -> None:
    planned = overbook("node", "swap", "plan", "--folder", f"{DISK}/b").stdout
    assert f"write {DISK}/b/swapfile-" in planned
    assert f"turn {DISK}/a/swapfile-" in planned

    apply("--folder", f"{DISK}/b")

    assert areas() == [(f"{DISK}/b/swapfile-{16 * MIB + 4096}", 7)]
    assert not (DISK / "a").exists()
    settings = read_settings("/")
    assert settings is not None
    assert (settings.size_bytes, settings.priority, settings.disk_floor_percent) == (16 * MIB, 7, 1)
    for path in (NEXT_SETTINGS, OLD_SETTINGS):
        assert not pathlib.Path("/", path).exists()
    assert f"state=Ready\nsentence=16 MiB of swap are on: {DISK}/b/swapfile-" in state()


def test_swap_that_cannot_be_made_elsewhere_stays_where_it_is() -> None:
    said = apply("--folder", "/run/overbook-test", status=1)

    assert "the swap was not moved" in said
    assert [name for name, _ in areas()] == [f"{DISK}/a/swapfile-{16 * MIB + 4096}"]
    settings = read_settings("/")
    assert settings is not None
    assert settings.folder == f"{DISK}/a"
    apply()
    assert "state=Ready" in state()


def test_a_killed_move_is_cleared_away_by_the_next_apply() -> None:
    text = pathlib.Path("/etc/overbook/swap.conf").read_text()
    pathlib.Path("/", NEXT_SETTINGS).write_text(text.replace(f"{DISK}/a", f"{DISK}/b"))
    run("env", f"OVERBOOK_CONF=/{NEXT_SETTINGS}", f"/{PROGRAM}", "apply")
    assert len(areas()) == 2

    apply()

    assert [name for name, _ in areas()] == [f"{DISK}/a/swapfile-{16 * MIB + 4096}"]
    assert not pathlib.Path("/", NEXT_SETTINGS).exists()


def test_swap_moves_between_a_file_a_device_and_zram() -> None:
    image = DISK / "image"
    image.write_bytes(bytes(24 * MIB))
    loop = run("losetup", "--find", "--show", str(image)).stdout.strip()
    try:
        apply("--kind", "device", "--device", loop)
        assert [name for name, _ in areas()] == [loop]
        apply("--kind", "device", "--device", loop)
        assert [name for name, _ in areas()] == [loop]
        apply("--kind", "file")
        assert [name for name, _ in areas()] == [f"{DISK}/a/swapfile-{16 * MIB + 4096}"]
        assert run("blkid", "-p", loop, check=False).stdout == ""
    finally:
        run("losetup", "--detach", loop)
        image.unlink()


def test_only_what_other_swap_lacks_is_made() -> None:
    assert overbook("node", "swap", "remove").returncode == 0
    other = DISK / "other"
    other.write_bytes(bytes(16 * MIB))
    other.chmod(0o600)
    run("mkswap", str(other))
    run("swapon", str(other))
    try:
        assert "nothing to make" in apply("--percent", "102")
        assert len(areas()) == 1
        apply("--percent", "110", "--folder", f"{DISK}/a", *FLOOR)
        total = sum(areas_bytes())
        ram = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) * 1024
        assert ram // 10 <= total <= ram // 10 + 2 * 4096
        apply()
        assert sum(areas_bytes()) == total
    finally:
        run("swapoff", str(other))
        other.unlink()
