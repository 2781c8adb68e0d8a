"""Swap that others make is left to them if that is stored, judged, and counted towards Overbook's."""

import json
import os
import pathlib

import pytest

from overbook.cli import main
from overbook.core.errors import InvalidInput
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.node import swap_places
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.look import host_facts
from overbook.node.swap import RUN_SETTINGS, SETTINGS, STATE, SwapSettings, read_settings, read_state
from overbook.node.swap_places import other_bytes, sufficing
from overbook_sandbox.fakes.kernel_files import build_tree
from tests.node.swap_host import GIB, make_host


@pytest.fixture
def root(tmp_path: pathlib.Path) -> str:
    build_tree(tmp_path, {"run": {}})
    return make_host(tmp_path, rotational=0)


def swap(root: str, *words: str) -> int:
    return main(["node", "swap", *words, "--fsroot", root])


def words(root: str, percent: int) -> set[str]:
    facts = host_facts(root, SwapPolicy(percent=percent))
    assert "owners" not in facts.unread, facts.unread
    return {finding.word for finding in diagnose(facts).findings}


@pytest.mark.parametrize(("percent", "status", "word"), [(150, 0, "Existing"), (200, 1, "ExistingTooSmall")])
def test_swap_is_left_to_others_and_judged(
    root: str, capsys: pytest.CaptureFixture[str], percent: int, status: int, word: str
) -> None:
    assert swap(root, "apply", "--kind", "existing", "--percent", str(percent)) == status

    stored = read_settings(root)
    assert stored is not None
    assert (stored.kind, stored.percent) == ("existing", percent)
    assert (read_state(root) or ("",))[0] == word
    assert os.listdir(os.path.join(root, "etc/systemd/system")) == []
    capsys.readouterr()
    assert swap(root, "status", "-o", "json") == status
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["state"], shown["wantedBytes"]) == (
        "existing",
        word,
        16 * GIB * (percent - 100) // 100,
    )
    assert [area["path"] for area in shown["areas"]] == ["/dev/vda2"]

    assert swap(root, "remove") == 0
    assert read_settings(root) is None
    assert read_state(root) is None


def test_the_plan_to_leave_swap_to_others_writes_nothing(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swap(root, "plan", "--kind", "existing", "--percent", "150", "-o", "json") == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["steps"] == []
    assert shown["notes"][-1] == "8Gi of swap suffice: 150 % needs 8Gi"
    assert read_settings(root) is None


def test_settings_are_below_run_where_etc_is_read_only(
    root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tree(pathlib.Path(root), {"etc/os-release": "ID=talos\n"})
    for module in ("overbook.node.swap", "overbook.node.swap_places"):
        monkeypatch.setattr(f"{module}.is_read_only", lambda _root, path: path.startswith("etc/"))

    assert swap(root, "apply", "--percent", "200") == 1
    assert "--kind existing" in capsys.readouterr().err
    assert swap(root, "apply", "--kind", "existing", "--percent", "150") == 0
    assert os.path.exists(os.path.join(root, RUN_SETTINGS))
    assert not os.path.exists(os.path.join(root, SETTINGS))
    assert swap(root, "status") == 0

    (finding,) = [
        one for one in diagnose(host_facts(root, SwapPolicy(percent=200))).findings if "Swap" in one.word
    ]
    assert finding.word == "SwapTooSmall"
    assert "SwapVolumeConfig" in finding.fix
    assert not finding.fix_is_command


def test_the_doctor_agrees_that_others_make_swap(root: str) -> None:
    build_tree(
        pathlib.Path(root),
        {
            "etc/fstab": "/dev/vda2 none swap sw 0 0\n",
            "etc/default/zramswap": "",
            "opt": {},
            "usr": {},
            "proc/1/net/unix": "Num\n",
        },
    )
    assert "OtherOwner" in words(root, 150)

    swap(root, "apply", "--kind", "existing", "--percent", "150")

    found = diagnose(host_facts(root, SwapPolicy(percent=150)))
    assert not {"OtherOwner", "OtherSwapAtBoot", "UnexplainedSwap", "SwapNotProvisioned"} & {
        one.word for one in found.findings
    }
    fine = {one.subject: one.sentence for one in found.fine}
    assert "left to others" in fine["provisioning"]
    assert "zram-tools" in fine["owners"]
    (finding,) = [
        one
        for one in diagnose(host_facts(root, SwapPolicy(percent=200))).findings
        if one.word == "SwapTooSmall"
    ]
    assert finding.fix == "overbook node swap apply --kind file --percent 200"


def test_swap_that_overbook_made_is_not_left_to_others(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    build_tree(pathlib.Path(root), {SETTINGS: "KIND=file\nPERCENT=150\n"})

    assert swap(root, "apply", "--kind", "existing") == 1

    assert "remove" in capsys.readouterr().err
    assert read_state(root) is None


def test_no_swap_is_made_where_other_swap_suffices(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert swap(root, "apply", "--percent", "150") == 0

    assert "suffice for 8Gi: nothing to make" in capsys.readouterr().out
    assert not os.path.exists(os.path.join(root, SETTINGS))
    assert swap(root, "plan", "--percent", "150", "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["steps"] == []
    assert "nothing to make" in shown["notes"][0]


def test_swap_from_before_counts_as_far_as_it_is_still_there(root: str) -> None:
    assert other_bytes(root, None) == 8 * GIB - (8 * GIB) % 1024
    assert other_bytes(root, SwapSettings(percent=150)) == 0
    assert other_bytes(root, SwapSettings(percent=150, other_bytes=GIB)) == GIB
    assert other_bytes(root, SwapSettings(percent=150, other_bytes=64 * GIB)) == 8 * GIB
    assert other_bytes(root, SwapSettings(kind="existing")) == 8 * GIB


def test_huge_pages_need_no_swap(root: str) -> None:
    meminfo = pathlib.Path(root, "proc/meminfo")
    settings = SwapSettings(percent=200, other_bytes=8 * GIB)
    assert sufficing(root, settings) == ""

    meminfo.write_text(meminfo.read_text() + f"Hugetlb: {8 * GIB // 1024} kB\n")

    assert "suffice for 8Gi" in sufficing(root, settings)
    assert swap_places.existing(root, SwapSettings(percent=200))[1:] == (8 * GIB, True)


@pytest.mark.parametrize("wrong", [{"keep_on": True}, {"encrypt": True}])
def test_swap_of_others_is_neither_kept_on_nor_encrypted(wrong: dict[str, bool]) -> None:
    with pytest.raises(InvalidInput):
        SwapSettings(kind="existing", **wrong).check()  # type: ignore[arg-type]


def test_the_state_file_is_that_of_the_swap_program(root: str) -> None:
    swap(root, "apply", "--kind", "existing", "--percent", "150")

    assert pathlib.Path(root, STATE).read_text().splitlines() == [
        "state=Existing",
        "sentence=8Gi of swap suffice: 150 % needs 8Gi",
    ]
