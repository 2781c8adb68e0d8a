"""Programs for nodes and tests that this host may lack: from Debian, unpacked in the cache, never installed.

A test in the emulated node finds them in the cache, because the node sees this host's files.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from overbook_sandbox.machine.cache import cache_folder, folder_in_the_making, locked
from overbook_sandbox.machine.debian import fetch, require_apt
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "crun": ("crun", "libyajl2", "libseccomp2"),
    "runc": ("runc", "libseccomp2"),
    "podman": (
        "podman",
        "conmon",
        "golang-github-containers-common",
        "golang-github-containers-image",
        "libassuan0",
        "libdevmapper1.02.1",
        "libglib2.0-0",
        "libgpgme11",
        "libseccomp2",
        "libsubid4",
    ),
    "cryptsetup": (
        "cryptsetup-bin",
        "libargon2-1",
        "libcryptsetup12",
        "libdevmapper1.02.1",
        "libjson-c5",
        "libpopt0",
    ),
    "earlyoom": ("earlyoom",),
    "jq": ("jq", "libjq1", "libonig5"),
    "nohang": ("nohang",),
    "python3": (
        "python3-minimal",
        "python3.11-minimal",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libc6",
        "libexpat1",
        "libffi8",
        "libgcc-s1",
        "libssl3",
        "zlib1g",
    ),
    "shellcheck": ("shellcheck", "libffi8", "libgmp10"),
    "systemd": ("systemd", "libsystemd-shared", "libapparmor1", "libip4tc2", "libkmod2"),
    "systemd-oomd": ("systemd-oomd", "libsystemd-shared", "libapparmor1", "libip4tc2", "libkmod2"),
}
"""The packages of each program, from this host's suite, with libraries that a minimal Debian lacks."""

_FOLDER: Final = "node-programs"
_BINARIES: Final = ("usr/bin", "usr/sbin", "bin", "sbin", "usr/libexec/podman")
_LIBRARIES: Final = (
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/systemd",
)


class NodeProgram(NamedTuple):
    """A program's packages, unpacked into one tree.

    Attributes:
        name: the program, a key of :data:`PACKAGES`.
        tree: the folder with their files, as below ``/``.
    """

    name: str
    tree: str

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """An environment with the program and its libraries before the host's own."""
        made = dict(base)
        for name, folders in (("PATH", _BINARIES), ("LD_LIBRARY_PATH", _LIBRARIES)):
            paths = [os.path.join(self.tree, folder) for folder in folders]
            made[name] = ":".join([*filter(os.path.isdir, paths), *filter(None, [base.get(name)])])
        return made

    def put_into_place(self, root: str = "/") -> None:
        """Link the files to their installed paths, except existing ones. Only for use in a node.

        This way a program finds its libraries also if it is started with another environment.
        """
        for parent, _, names in os.walk(self.tree):
            folder = os.path.join(root, os.path.relpath(parent, self.tree))
            os.makedirs(folder, exist_ok=True)
            for name in names:
                with suppress(FileExistsError):
                    os.symlink(os.path.join(parent, name), os.path.join(folder, name))


def node_program(name: str, environment: Mapping[str, str] = os.environ) -> NodeProgram:
    """A program that :func:`prepare` has fetched.

    Args:
        name: a key of :data:`PACKAGES`.
        environment: may contain the cache folder.

    Raises:
        SandboxUnavailableError: the program has not been fetched.
    """
    found = NodeProgram(name, _tree(cache_folder(environment), name))
    if not os.path.isdir(found.tree):
        raise SandboxUnavailableError(
            f"there is no {name}; `overbook sandbox prepare --kubernetes` fetches it"
        )
    return found


def prepare(host: Host, cache: str, names: Iterable[str] = PACKAGES) -> None:
    """Fetch the programs that the cache does not have.

    Args:
        host: Runs apt.
        cache: The cache folder.
        names: The keys of :data:`PACKAGES`; default: all.

    Raises:
        SandboxUnavailableError: A program cannot be fetched on this host.
    """
    with locked(cache, _FOLDER):
        for name in names:
            tree = _tree(cache, name)
            if not os.path.isdir(tree):
                _download(host, name, PACKAGES[name], tree)


def _download(host: Host, name: str, packages: tuple[str, ...], tree: str) -> None:
    require_apt(host, f"programs on a node need Debian's {name}")
    host.say(f"downloading {name} (nothing is installed)")
    with folder_in_the_making(tree) as making:
        for package in packages:
            unpacked = _fetch(host, package, making)
            shutil.copytree(unpacked, making, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(unpacked)
        shutil.rmtree(os.path.join(making, "usr/share/doc"), ignore_errors=True)


def _fetch(host: Host, package: str, folder: str) -> str:
    try:
        return fetch(host, package, folder)
    except SandboxUnavailableError:
        if not host.refresh_package_lists():
            raise
        return fetch(host, package, folder)


def _tree(cache: str, name: str) -> str:
    key = hashlib.sha256(" ".join(PACKAGES[name]).encode()).hexdigest()[:8]
    return os.path.join(cache, _FOLDER, f"{name}-{key}")
