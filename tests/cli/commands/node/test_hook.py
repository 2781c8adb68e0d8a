import json
from pathlib import Path

import pytest

from overbook.agent.limits.allowance_file import AllowanceFile
from overbook.cli import main
from overbook.core.overcommit.writer import HOOK_FILE
from overbook.node.hook import PROGRAM
from overbook.node.hook_folders import ADMINISTRATORS, SHARED, UNTIL_BOOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with CRI-O, as OpenShift configures it."""
    drop_in = tmp_path / "etc/crio/crio.conf.d/00-default"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(f'[crio.runtime]\nhooks_dir = ["{ADMINISTRATORS}", "{UNTIL_BOOT}", "{SHARED}"]\n')
    return tmp_path


def hook(root: Path, *arguments: str) -> int:
    return main(["node", "hook", *arguments, "--fsroot", str(root)])


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {
        "etc/crio/crio.conf.d/00-default"
    }


def placed(folder: str) -> str:
    return f"{folder.lstrip('/')}/{HOOK_FILE}"


def test_install_uses_the_engines_folder_and_is_idempotent(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook(root, "install") == 0
    assert files(root) == {PROGRAM, placed(ADMINISTRATORS)}
    assert (root / PROGRAM).stat().st_mode & 0o777 == 0o755
    capsys.readouterr()

    assert hook(root, "install") == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_dry_run_names_its_steps_and_changes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook(root, "install", "--dry-run") == 0
    assert files(root) == set()
    assert f"would be written: /{PROGRAM}" in capsys.readouterr().out
    hook(root, "install")
    capsys.readouterr()

    assert hook(root, "remove", "--dry-run") == 0
    assert files(root) == {PROGRAM, placed(ADMINISTRATORS)}
    assert f"would be removed: /{PROGRAM}" in capsys.readouterr().out


def test_install_in_another_folder_leaves_the_first(root: Path) -> None:
    hook(root, "install")
    hook(root, "install", "--folder", UNTIL_BOOT)
    assert files(root) == {PROGRAM, placed(UNTIL_BOOT)}


def test_removal_finds_the_hook_in_every_folder(root: Path) -> None:
    hook(root, "install")
    hook(root, "install", "--folder", "/own/hooks.d")
    AllowanceFile(str(root)).keep({("a", "c"): 1})
    (root / "etc/crio/crio.conf.d/00-default").write_text("")  # the configuration has changed since

    assert hook(root, "remove", "--folder", "/own/hooks.d") == 0
    assert files(root) == set()


def test_status_names_the_fault_and_its_fix(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hook(root, "status") == 0
    hook(root, "install", "--eligibility", "Burstable")
    assert hook(root, "status") == 0
    assert "(eligibility Burstable)" in capsys.readouterr().out

    (root / PROGRAM).unlink()
    assert hook(root, "status") == 1
    assert f"/{PROGRAM} is missing" in capsys.readouterr().out

    hook(root, "install", "--folder", "/own/hooks.d")
    capsys.readouterr()
    assert hook(root, "status", "--folder", "/own/hooks.d") == 1
    assert "which the engine does not read" in capsys.readouterr().out


def test_status_is_available_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook(root, "install")
    AllowanceFile(str(root)).keep({("a", "c"): 1, ("a", "d"): 2})
    capsys.readouterr()

    assert hook(root, "status", "--output", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["installed"] == [ADMINISTRATORS]
    assert shown["eligibility"] == "BurstableVirtualMachines"
    assert shown["allowances"] == 2
    assert shown["problems"] == []


def test_the_original_agents_hook_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = root / "run/containers/oci/hooks.d/swap-for-burstable.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")

    assert hook(root, "install") == 0
    assert "rm /run/containers/oci/hooks.d/swap-for-burstable.json" in capsys.readouterr().out


def test_install_is_refused_where_no_engine_reads_hooks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook(tmp_path, "install") == 2
    assert "containerd reads no hooks" in capsys.readouterr().err
    assert hook(tmp_path, "remove") == 0


def test_a_wrong_configuration_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook(root, "install")
    (root / "etc/crio/crio.conf.d/00-default").write_text("[crio")
    assert hook(root, "install") == 2
    assert "00-default" in capsys.readouterr().err
    assert hook(root, "remove") == 0
    assert files(root) == set()
