from pathlib import Path

import pytest

from overbook.core.errors import InvalidInput
from overbook.node.hook_folders import (
    ADMINISTRATORS,
    SHARED,
    UNTIL_BOOT,
    crio_hook_folders,
    hook_folders,
    podman_hook_folders,
    preferred,
)

OPENSHIFT = f"""
[crio]
internal_wipe = true

[crio.runtime]
hooks_dir = [
    "{ADMINISTRATORS}",
    "{UNTIL_BOOT}",
]
"""


def write(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_no_hook_folder_exists_without_such_an_engine(tmp_path: Path) -> None:
    write(tmp_path, "etc/containers/containers.conf", '[engine]\nhooks_dir = ["/a"]\n')
    write(tmp_path, "usr/bin/containerd")

    assert hook_folders(str(tmp_path)) == ()
    assert preferred(()) == ""


def test_an_unconfigured_engine_has_its_default_folder(tmp_path: Path) -> None:
    write(tmp_path, "usr/bin/crio")
    write(tmp_path, "usr/bin/podman")

    assert crio_hook_folders(str(tmp_path)) == (SHARED,)
    assert podman_hook_folders(str(tmp_path)) == (SHARED,)


def test_crios_drop_ins_count_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "etc/crio/crio.conf", '[crio.runtime]\nhooks_dir = ["/first"]\n')
    write(tmp_path, "etc/crio/crio.conf.d/00-default", OPENSHIFT)
    assert crio_hook_folders(str(tmp_path)) == (ADMINISTRATORS, UNTIL_BOOT)

    write(tmp_path, "etc/crio/crio.conf.d/10-other.conf", '[crio.image]\npause_image = "x"\n')
    write(tmp_path, "etc/crio/crio.conf.d/99-last.conf", '[crio.runtime]\nhooks_dir = ["/last/./"]\n')
    assert crio_hook_folders(str(tmp_path)) == ("/last",)


def test_podmans_chain_of_files_and_appended_lists_are_read(tmp_path: Path) -> None:
    write(tmp_path, "usr/bin/podman")
    write(tmp_path, "usr/share/containers/containers.conf", f'[engine]\nhooks_dir = ["{SHARED}"]\n')
    write(tmp_path, "etc/containers/containers.conf", '[engine]\nhooks_dir = ["/a"]\n')
    write(
        tmp_path, "etc/containers/containers.conf.d/1.conf", '[engine]\nhooks_dir = ["/b", {append = true}]\n'
    )
    write(tmp_path, "etc/containers/containers.conf.d/2.conf~", '[engine]\nhooks_dir = ["/c"]\n')

    assert podman_hook_folders(str(tmp_path)) == ("/a", "/b")


def test_crios_folders_come_first(tmp_path: Path) -> None:
    write(tmp_path, "usr/bin/podman")
    write(tmp_path, "etc/crio/crio.conf.d/00-default", OPENSHIFT)

    assert hook_folders(str(tmp_path)) == (ADMINISTRATORS, UNTIL_BOOT, SHARED)


@pytest.mark.parametrize(
    ("folders", "chosen"),
    [
        ((SHARED, UNTIL_BOOT, ADMINISTRATORS), ADMINISTRATORS),
        ((SHARED, UNTIL_BOOT), UNTIL_BOOT),
        (("/own", SHARED), "/own"),
    ],
)
def test_a_hook_goes_among_the_administrators_files(folders: tuple[str, ...], chosen: str) -> None:
    assert preferred(folders) == chosen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hooks_dir = [\n", "a file in TOML"),
        ("\x00", "a file in TOML"),
        ('[crio.runtime]\nhooks_dir = ["relative"]\n', "a list of absolute paths"),
        ("[crio.runtime]\nhooks_dir = [1]\n", "a list of absolute paths"),
        ("[crio.runtime]\nhooks_dir = [{append = 'yes'}]\n", "a list of absolute paths"),
        ("#" * (1 << 20) + "\n", "at most 1048576 bytes"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "etc/crio/crio.conf", text)

    with pytest.raises(InvalidInput, match=f"crio.conf.*{said}"):
        hook_folders(str(tmp_path))


@pytest.mark.parametrize("text", ["", "crio = 1\n", "[crio]\nruntime = []\n", "[crio.runtime]\n"])
def test_a_file_without_hook_settings_changes_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path, "etc/crio/crio.conf", text)

    assert hook_folders(str(tmp_path)) == (SHARED,)
