"""The version of the running kubelet, from what its distribution leaves on the node. No program is run.

Sources, the first that says something: the path of the program (minikube, RKE2 and Nix have the version in
it), the package's description (snaps; Debian's list of installed packages), and the modules that Go's linker
wrote into the program.
"""

import mmap
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from overbook.node.kubelet.process import Process, is_kernels, read_bytes

_IN_PATH: Final = re.compile(r"(?:^|[^0-9.])v?1\.(\d{1,2})\.\d+")
_SNAP: Final = re.compile(r"^/snap/([a-z0-9-]+)/([^/]+)/")
_SNAP_VERSION: Final = re.compile(r"^version:\s*['\"]?v?1\.(\d{1,2})\b", re.MULTILINE)
_DEBIAN: Final = re.compile(rb"^Version: (?:\d+:)?1\.(\d{1,2})\.", re.MULTILINE)
_DEBIAN_KUBELET: Final = b"Package: kubelet\n"
_GO_MODULE: Final = re.compile(rb"\tk8s\.io/kubernetes\tv1\.(\d{1,2})\.")
_GO_BUILD: Final = b"\xff Go buildinf:"
_MOST_MODULES: Final = 1 << 18
_MOST_STATUS: Final = 32 << 20


def minor_version(process: Process, root: str = "/") -> int | None:
    """The minor version of a kubelet 1.x; ``None``: not known."""
    return _minor_version(process.path, process.words[:1], process.pid, process.started, root)


def parse_minor(version: str) -> int | None:
    """The minor version in ``v1.36.2+k3s1``, the form of a Node's ``kubeletVersion``."""
    found = re.match(r"v?1\.(\d{1,2})(?:\.|$)", version)
    return int(found[1]) if found else None


@lru_cache(maxsize=8)  # the agent's doctor asks once a minute, and a process does not change its version
def _minor_version(path: str, words: tuple[str, ...], pid: int, _started: str, root: str) -> int | None:
    ways: tuple[Callable[[], int | None], ...] = (
        lambda: _of_paths(path, *words),
        lambda: _of_snap(path, root),
        lambda: _of_package(path, root),
        lambda: _of_modules(path, pid, root),
    )
    for way in ways:
        try:
            minor = way()
        except (OSError, ValueError):
            continue
        if minor is not None:
            return minor
    return None


def _of_paths(*paths: str) -> int | None:
    return next((int(found[1]) for path in paths if (found := _IN_PATH.search(path))), None)


def _of_snap(path: str, root: str) -> int | None:
    found = _SNAP.match(path)
    if found is None:
        return None
    text = read_bytes(os.path.join(root, "snap", found[1], found[2], "meta/snap.yaml"))
    version = _SNAP_VERSION.search(text.decode("utf-8", "replace"))
    return int(version[1]) if version else None


def _of_package(path: str, root: str) -> int | None:
    """The version of Debian's package, which has the kubelet at this place."""
    if path != "/usr/bin/kubelet":
        return None
    with open(os.path.join(root, "var/lib/dpkg/status"), "rb") as file:
        packages = file.read(_MOST_STATUS)
    at = packages.find(_DEBIAN_KUBELET)
    found = _DEBIAN.search(packages[at : packages.find(b"\n\n", at)]) if at >= 0 else None
    return int(found[1]) if found else None


def _of_modules(path: str, pid: int, root: str) -> int | None:
    """The version of Kubernetes' module in the program's build information; a release of its own has none."""
    own = os.path.join(root, "proc", str(pid), "exe")
    program = own if is_kernels(root) and os.path.exists(own) else os.path.join(root, path.lstrip("/"))
    with open(program, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_GO_BUILD)
        found = _GO_MODULE.search(data[at : at + _MOST_MODULES]) if at >= 0 else None
    return int(found[1]) if found else None
