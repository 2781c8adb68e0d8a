"""The plan says what swap is there, what the new swap lies on, and where no unit can be written."""

import os
import pathlib
import subprocess

import pytest

from overbook.cli import main
from overbook.node import swap_places
from overbook.node.swap import (
    ETC_PROGRAM,
    KEEP_UNIT,
    MAKE_UNIT,
    ON_UNIT,
    PATHS,
    PROGRAM,
    SETTINGS,
    UNIT_FOLDER,
    SwapSettings,
    host_files,
    program_file,
    program_path,
    read_settings,
)
from overbook.node.swap_places import notes, unwritable
from overbook_sandbox.fakes.kernel_files import build_tree
from tests.node.swap_host import GIB, make_host


@pytest.fixture
def root(tmp_path: pathlib.Path) -> str:
    return make_host(tmp_path, rotational=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SwapSettings(percent=150, other_bytes=8 * GIB), "8Gi on from /dev/vda2 (a virtual disk"),
        (SwapSettings(percent=150, other_bytes=8 * GIB), "suffice for 8Gi: nothing to make"),
        (SwapSettings(percent=175, other_bytes=8 * GIB), "only the missing 4Gi are made"),
        (SwapSettings(percent=150), "came later than Overbook's swap"),
        (SwapSettings(percent=150, size_bytes=GIB), "8Gi of other swap are on"),
        (SwapSettings(), "8Gi of other swap are on"),
        (SwapSettings(percent=150), "/var/lib/overbook/swap is on /dev/vda1: a virtual disk"),
    ],
)
def test_the_plan_names_swap_that_is_there_and_the_medium(
    root: str, settings: SwapSettings, said: str
) -> None:
    assert said in "\n".join(notes(root, settings))


def test_a_folder_on_the_network_is_warned_of(root: str) -> None:
    build_tree(
        pathlib.Path(root),
        {"proc/1/mountinfo": "1 0 0:40 / /srv rw - nfs4 filer:/x rw\n", "sys/dev/block": {}},
    )

    assert "reached over the network" in "\n".join(notes(root, SwapSettings(folder="/srv/swap")))


@pytest.mark.parametrize(
    ("distribution", "said"),
    [("talos", "SwapVolumeConfig"), ("bottlerocket", "settings.kernel.sysctl"), ("other", "own setting")],
)
def test_hosts_without_writable_units_name_their_own_setting(
    root: str, monkeypatch: pytest.MonkeyPatch, distribution: str, said: str
) -> None:
    assert unwritable(root) == ""
    build_tree(pathlib.Path(root), {"etc/os-release": f'NAME=x\nID="{distribution}"\n'})
    monkeypatch.setattr(swap_places, "is_read_only", lambda _root, _path: True)

    assert said in unwritable(root)


def test_the_program_is_below_etc_where_usr_is_read_only(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_path(root) == PROGRAM
    monkeypatch.setattr("overbook.node.swap.is_read_only", lambda _root, _path: True)
    assert program_path(root) == ETC_PROGRAM

    files = host_files(SwapSettings(), program=ETC_PROGRAM)

    assert PROGRAM not in files
    for unit in (ON_UNIT, MAKE_UNIT):
        assert f"ExecStart=/{ETC_PROGRAM} ".encode() in files[f"{UNIT_FOLDER}/{unit}"][0]


def test_a_timer_keeps_swap_on_only_if_asked_for(root: str) -> None:
    timer = f"{UNIT_FOLDER}/{KEEP_UNIT}"
    assert timer not in host_files(SwapSettings())
    assert timer in PATHS

    files = host_files(SwapSettings(keep_on=True))

    assert f"Unit={MAKE_UNIT}" in files[timer][0].decode()
    os.makedirs(os.path.dirname(os.path.join(root, SETTINGS)), exist_ok=True)
    pathlib.Path(root, SETTINGS).write_bytes(files[SETTINGS][0])
    assert read_settings(root) == SwapSettings(keep_on=True)


@pytest.mark.parametrize(("percent", "status", "said"), [(150, 0, " suffice: "), (200, 1, "do not suffice")])
def test_swap_of_another_program_is_judged_in_place(
    root: str, capsys: pytest.CaptureFixture[str], percent: int, status: int, said: str
) -> None:
    assert main(["node", "swap", "status", "--percent", str(percent), "--fsroot", root]) == status

    shown = capsys.readouterr().out
    assert said in shown
    assert "/dev/vda2 (a virtual disk" in shown


def test_the_selinux_type_is_set_again_before_swap_is_turned_on(tmp_path: pathlib.Path) -> None:
    program, _, _ = program_file().decode().partition("COMMAND=${1:-}")
    (tmp_path / "swaps").write_text("Filename\n")
    for name in ("selinuxenabled", "chcon", "swapon"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/called\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "program").write_text(
        f"{program}\nCOMMAND=on KIND=file ENCRYPT=no PRIORITY=1 DISCARD=no\nturn_on /swapfile-1\n"
    )

    subprocess.run(
        ["/bin/sh", tmp_path / "program"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "OVERBOOK_PROC": str(tmp_path)},
        check=True,
    )

    called = (tmp_path / "called").read_text().splitlines()
    assert called[1:] == ["chcon -t swapfile_t /swapfile-1", "swapon --priority 1 /swapfile-1"]
