"""containerd, runc and network plugins for the Kubernetes node, from Debian, unpacked in the cache.

A current kubelet needs containerd 2, which Debian has since its suite forky. It has few dependencies and runs
on older suites. That suite's runc does not, so runc is from this host's suite.
"""

import hashlib
import os
import shutil
from typing import Final, NamedTuple

from overbook_sandbox.machine.cache import folder_in_the_making, locked
from overbook_sandbox.machine.debian import Suite, fetch, require_apt
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

SUITE: Final = "forky"

_KEPT: Final = {
    "containerd": ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"),
    "runc": ("usr/sbin/runc",),
    "containernetworking-plugins": ("usr/lib/cni/loopback", "usr/lib/cni/ptp", "usr/lib/cni/host-local"),
}
"""The kept files of each package, which go into one folder."""
_OF_SUITE: Final = frozenset({"containerd"})


class ContainerRuntime(NamedTuple):
    """The folder of the runtime's programs.

    Attributes:
        folder: The folder with containerd, its shim, ctr, runc, and the plugins.
    """

    folder: str

    def path(self, program: str) -> str:
        """The path of a program."""
        return os.path.join(self.folder, program)


def container_runtime(host: Host, cache: str) -> ContainerRuntime:
    """Find the runtime, or download it if the cache has none.

    Args:
        host: Runs apt.
        cache: The cache folder.

    Raises:
        SandboxUnavailableError: The runtime cannot be downloaded on this host.
    """
    final = os.path.join(cache, "container-runtime", _key())
    with locked(cache, "container-runtime"):
        if not _complete(final):
            _download(host, final)
    return ContainerRuntime(final)


def _download(host: Host, final: str) -> None:
    require_apt(host, "a Kubernetes node needs containerd and runc from Debian")
    host.say(f"downloading containerd (from Debian {SUITE}) and runc (about 40 MB; nothing is installed)")
    with folder_in_the_making(final) as making:
        lists = os.path.join(making, "apt")
        suite = Suite(host, SUITE, lists)
        suite.refresh()
        for package, paths in _KEPT.items():
            unpacked = _fetch(host, package, making, suite if package in _OF_SUITE else None)
            for path in paths:
                _keep(os.path.join(unpacked, path), making)
            shutil.rmtree(unpacked)
        shutil.rmtree(lists)
        for program in ("containerd", "runc"):
            _try(host, os.path.join(making, program))


def _fetch(host: Host, package: str, folder: str, suite: Suite | None) -> str:
    try:
        return fetch(host, package, folder, suite=suite)
    except SandboxUnavailableError:
        if suite is not None or not host.refresh_package_lists():
            raise
        return fetch(host, package, folder)


def _keep(path: str, folder: str) -> None:
    if not os.path.exists(path):
        raise SandboxUnavailableError(f"{path}: the package does not contain this file")
    os.rename(path, os.path.join(folder, os.path.basename(path)))


def _try(host: Host, program: str) -> None:
    done = host.run((program, "--version"), None)
    if done.returncode:
        raise SandboxUnavailableError(
            f"{os.path.basename(program)} does not run here:\n{done.stdout.strip()}"
        )


def _complete(folder: str) -> bool:
    names = (os.path.basename(path) for paths in _KEPT.values() for path in paths)
    return all(os.access(os.path.join(folder, name), os.X_OK) for name in names)


def _key() -> str:
    return hashlib.sha256(f"{SUITE} {sorted(_KEPT.items())}".encode()).hexdigest()[:8]
