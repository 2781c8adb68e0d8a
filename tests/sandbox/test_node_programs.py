import os
import pathlib
from collections.abc import Sequence

import pytest

from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.node.node_programs import PACKAGES, node_program, prepare
from tests.sandbox.fake_host import FakeHost

APT = {"apt-get": "apt-get", "apt-cache": "apt-cache", "dpkg-deb": "dpkg-deb"}


class Debian(FakeHost):
    """On this host apt gives packages of one file each."""

    def __init__(self, programs: dict[str, str]) -> None:
        super().__init__(programs, self.reply)
        self.downloads: list[str] = []

    def reply(self, argv: Sequence[str], folder: str | None) -> tuple[int, str] | None:
        if argv[:2] == ("apt-get", "download"):
            assert folder is not None
            self.downloads.append(argv[-1])
            pathlib.Path(folder, f"{argv[-1]}_1_amd64.deb").write_bytes(b"deb")
        if argv[0] == "dpkg-deb":
            package = os.path.basename(argv[2]).partition("_")[0]
            path = pathlib.Path(argv[3], "usr/bin", package)
            path.parent.mkdir(parents=True)
            path.write_text(package)
        return None


def test_programs_are_fetched_once_with_packages_in_one_tree(tmp_path: pathlib.Path) -> None:
    debian = Debian(APT)
    prepare(debian.host(), str(tmp_path))
    prepare(debian.host(), str(tmp_path))

    assert debian.downloads == [package for packages in PACKAGES.values() for package in packages]
    crun = node_program("crun", {"OVERBOOK_CACHE": str(tmp_path)})
    assert set(os.listdir(os.path.join(crun.tree, "usr/bin"))) == set(PACKAGES["crun"])
    assert crun.environment({"PATH": "/bin"})["PATH"] == f"{crun.tree}/usr/bin:/bin"


def test_placed_programs_lie_as_installed_and_replace_nothing(tmp_path: pathlib.Path) -> None:
    prepare(Debian(APT).host(), str(tmp_path / "cache"))
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/crun").write_text("the host's own")

    node_program("crun", {"OVERBOOK_CACHE": str(tmp_path / "cache")}).put_into_place(str(root))

    assert (root / "usr/bin/crun").read_text() == "the host's own"
    assert (root / "usr/bin/libyajl2").read_text() == "libyajl2"


def test_missing_programs_name_the_command_that_fetches_them(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="overbook sandbox prepare --kubernetes"):
        node_program("podman", {"OVERBOOK_CACHE": str(tmp_path)})
    with pytest.raises(SandboxUnavailableError, match="no apt-get"):
        prepare(FakeHost({}).host(), str(tmp_path))


def test_only_the_named_programs_are_fetched(tmp_path: pathlib.Path) -> None:
    debian = Debian(APT)
    prepare(debian.host(), str(tmp_path), ["nohang", "earlyoom"])
    assert debian.downloads == ["nohang", "earlyoom"]
