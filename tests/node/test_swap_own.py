"""Overbook's swap areas are known by its settings, state, unit, marks and mappings, and no others are."""

import pathlib

import pytest

from overbook.kernel.swaps import SwapArea
from overbook.node.swap import ON_UNIT, SETTINGS, UNIT_FOLDER
from overbook.node.swap_own import own_areas
from overbook_sandbox.fakes.kernel_files import build_tree

FILE = "/var/lib/overbook/swap/swapfile-8"


def own(root: pathlib.Path, *names: str, state: tuple[str, str] | None = None) -> set[str]:
    return set(own_areas(str(root), [SwapArea(name, "file", 8, 0, 1) for name in names], state))


def mapping(root: pathlib.Path, number: int, alias: str) -> None:
    build_tree(root, {f"sys/devices/virtual/block/dm-{number}/dm/name": f"{alias}\n", "sys/dev/block": {}})
    (root / f"sys/dev/block/253:{number}").symlink_to(f"../../devices/virtual/block/dm-{number}")


@pytest.mark.parametrize(
    "name",
    ["/swapfile-1", "/swapfile-8589934592", "/srv/swapfile-8", f"{FILE}.old", "/dev/dm-3", "/dev/zram0"],
)
def test_areas_of_others_are_not_taken_for_overbooks(tmp_path: pathlib.Path, name: str) -> None:
    assert own(tmp_path, name, FILE) == {FILE}
    assert own(tmp_path, name, FILE, state=("Ready", f"8 MiB of swap are on: {FILE}")) == {FILE}


def test_a_sentence_of_a_failure_names_no_area(tmp_path: pathlib.Path) -> None:
    assert own(tmp_path, "/dev/sdb", state=("NotEmpty", "a: /dev/sdb holds ext4")) == set()


def test_files_are_own_in_the_folder_of_the_settings(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {SETTINGS: "KIND=file\nFOLDER=/data/swap\n", "disk/swap": {}})
    (tmp_path / "data").symlink_to("disk")

    names = ("/data/swap/swapfile-8", "/disk/swap/swapfile-8.crypt")
    assert own(tmp_path, *names, "/disk/swapfile-8") == set(names)


def test_the_unit_names_the_folder_if_no_settings_are_seen(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {f"{UNIT_FOLDER}/{ON_UNIT}": "[Unit]\nRequiresMountsFor=/data/swap\n"})

    assert own(tmp_path, "/data/swap/swapfile-8", "/swapfile-8") == {"/data/swap/swapfile-8"}


def test_a_device_is_own_by_any_of_its_names(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {SETTINGS: "KIND=device\nDEVICE=PARTLABEL=swap\n", "dev/disk/by-partlabel": {}})
    (tmp_path / "dev/disk/by-partlabel/swap").symlink_to("../../sda3")

    assert own(tmp_path, "/dev/sda3", "/dev/sda4") == {"/dev/sda3"}


def test_of_mappings_only_overbooks_own_is(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {SETTINGS: "KIND=device\nDEVICE=/dev/sda3\nENCRYPT=yes\n"})
    mapping(tmp_path, 0, "vg-swap")
    mapping(tmp_path, 1, "overbook-swap-sda3")

    state = ("Ready", "8 MiB of swap are on: /dev/sda3")
    assert own(tmp_path, "/dev/dm-0", "/dev/dm-1", state=state) == {"/dev/dm-1"}
    assert own(tmp_path, "/dev/dm-0", state=state) == set()


def test_zram_is_own_by_its_mark(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {"run/overbook/zram1": ""})

    assert own(tmp_path, "/dev/zram0", "/dev/zram1") == {"/dev/zram1"}
