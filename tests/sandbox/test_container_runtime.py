import os
import pathlib
from collections.abc import Sequence

import pytest

from overbook_sandbox.machine.debian import Suite
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.node.container_runtime import container_runtime
from tests.sandbox.fake_host import FakeHost

APT = {"apt-get": "apt-get", "apt-cache": "apt-cache", "dpkg-deb": "dpkg-deb"}
FILES = {
    "containerd": ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"),
    "runc": ("usr/sbin/runc",),
    "containernetworking-plugins": ("usr/lib/cni/loopback", "usr/lib/cni/ptp", "usr/lib/cni/host-local"),
}
MIRROR = "http://mirror.example/debian/"


class Debian(FakeHost):
    """On this host apt gives small packages.

    Args:
        broken: A program that does not run here.
    """

    def __init__(self, broken: str = "") -> None:
        super().__init__(dict(APT), self.reply)
        self.downloads: list[str] = []
        self._broken = broken

    def reply(self, argv: Sequence[str], folder: str | None) -> tuple[int, str] | None:
        if "indextargets" in argv:
            return 0, f"Debian-Security http://mirror.example/security/\nDebian {MIRROR}\n"
        if argv[:2] == ("apt-get", "download"):
            assert folder is not None
            self.downloads.append(argv[-1])
            pathlib.Path(folder, f"{argv[-1]}_1_amd64.deb").write_bytes(b"deb")
        if argv[0] == "dpkg-deb":
            package = os.path.basename(argv[2]).partition("_")[0]
            for file in FILES[package]:
                path = pathlib.Path(argv[3], file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"\x7fELF")
                path.chmod(0o755)
        if argv[-1] == "--version" and os.path.basename(argv[0]) == self._broken:
            return 1, "libc.so.6: version `GLIBC_2.99' not found"
        return None


def test_the_runtime_is_downloaded_once_and_only_its_files_kept(tmp_path: pathlib.Path) -> None:
    debian = Debian()
    first = container_runtime(debian.host(), str(tmp_path))
    assert container_runtime(debian.host(), str(tmp_path)) == first
    assert debian.downloads == ["containerd", "runc", "containernetworking-plugins"]
    kept = {os.path.basename(file) for files in FILES.values() for file in files}
    assert set(os.listdir(first.folder)) == kept
    assert first.path("runc") == os.path.join(first.folder, "runc")


def test_a_damaged_copy_is_replaced(tmp_path: pathlib.Path) -> None:
    debian = Debian()
    runtime = container_runtime(debian.host(), str(tmp_path))
    os.unlink(runtime.path("ctr"))
    assert os.access(container_runtime(debian.host(), str(tmp_path)).path("ctr"), os.X_OK)


def test_only_containerd_is_of_the_newer_suite(tmp_path: pathlib.Path) -> None:
    debian = Debian()
    container_runtime(debian.host(), str(tmp_path))
    downloads = {argv[-1]: "-c" in argv for argv in debian.ran if argv[:2] == ("apt-get", "download")}
    assert downloads == {"containerd": True, "runc": False, "containernetworking-plugins": False}


def test_a_program_that_does_not_run_here_is_not_kept(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxUnavailableError, match=r"runc does not run here:\n.*GLIBC_2\.99"):
        container_runtime(Debian(broken="runc").host(), str(tmp_path))
    assert os.listdir(tmp_path / "container-runtime") == []


def test_an_error_without_apt_names_what_is_missing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="no apt-get to get packages with"):
        container_runtime(FakeHost({}).host(), str(tmp_path))


def test_another_suite_leaves_the_hosts_own_configuration_alone(tmp_path: pathlib.Path) -> None:
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    debian = Debian()
    suite = Suite(debian.host(), "forky", str(tmp_path / "lists"), str(keyring))
    suite.refresh()
    sources = (tmp_path / "lists" / "sources.list").read_text()
    assert sources == f"deb [signed-by={keyring}] {MIRROR} forky main\n"
    configuration = (tmp_path / "lists" / "apt.conf").read_text()
    assert f'Dir::State "{tmp_path}/lists/state";' in configuration
    assert debian.ran[-1] == ("apt-get", "-c", str(tmp_path / "lists" / "apt.conf"), "update", "-qq")


def test_a_suite_with_an_unverified_signature_is_refused(tmp_path: pathlib.Path) -> None:
    suite = Suite(Debian().host(), "forky", str(tmp_path), str(tmp_path / "none.gpg"))
    with pytest.raises(SandboxUnavailableError, match="debian-archive-keyring"):
        suite.refresh()
