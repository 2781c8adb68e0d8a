"""The pods and containers on this node that are not below kubepods, as far as names of cgroups show it.

The doctor has no list of pods. It sees names: a runtime puts a pod's uid or a container's id into the name
of the cgroup that it makes, wherever that is.
"""

import os
import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from overbook.kernel.cgroup import parse_populated
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import KernelFileError, open_directory, read_file, subdirectories, under
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.misplaced import find_misplaced
from overbook.node.kubelet import CommandLines

PlaceKind = Literal["CgroupfsRuntime", "SystemdRuntime", "Kata", "Rootless", "Other"]
"""``CgroupfsRuntime``: the runtime makes cgroups by their path, the kubelet systemd's slices.
``SystemdRuntime``: the other way round."""

_COLON_NAME: Final = re.compile(
    r"(?:.*[.:])?(?:cri-containerd|crio|docker):[0-9a-f]{32,64}|.*\.slice:[^:]+:[^:]+"
)
_SCOPE_NAME: Final = re.compile(r"(?:cri-containerd|crio)-[0-9a-f]{64}\.scope")
_SANDBOX: Final = "runsc-sandbox"
_DEPTH_LIMIT: Final = 6
_MOST: Final = 20_000


class PodPlace(msgspec.Struct, frozen=True, gc=False):
    """A cgroup of a pod or a container that is not where the kubelet puts pods.

    Attributes:
        path: relative to the cgroup root.
        kind: why it is there, as its name shows.
        uid: the pod's uid; empty: the name has none.
    """

    path: str
    kind: PlaceKind
    uid: str = ""


def pod_places(root: str = "/") -> tuple[PodPlace, ...]:
    """The cgroups of pods and containers outside of kubepods that are in use, by path.

    Raises:
        KernelFileError: the cgroup tree cannot be read.
    """
    found = {place.path: PodPlace(place.path, _kind(place.path), place.uid) for place in find_misplaced(root)}
    scanner = PodScanner(root)
    scanner.scan()
    known = {path for path, _ in scanner.class_paths}
    for path in _by_name(root, "", 1, known, [0]):
        if path not in found and _may_be_in_use(root, path):
            found[path] = PodPlace(path, _kind(path))
    return tuple(found[path] for path in sorted(found))


def sandboxes(lines: CommandLines) -> int:
    """The number of gVisor's sandboxes, each of which has all containers of a pod in one cgroup."""
    return sum(os.path.basename(words[0]) == _SANDBOX for _, words in lines)


def _by_name(root: str, path: str, depth: int, known: set[str], met: list[int]) -> Iterator[str]:
    try:
        fd = open_directory(under(root, f"{CGROUP_MOUNT}/{path}"))
    except KernelFileError:
        return
    try:
        names = [name for name, _ in subdirectories(fd, path)]
    except KernelFileError:
        return
    finally:
        os.close(fd)
    met[0] += len(names)
    for name in names:
        below = f"{path}/{name}" if path else name
        if below in known or met[0] > _MOST:
            continue
        if path == "kata_overhead" or _COLON_NAME.fullmatch(name) or _SCOPE_NAME.fullmatch(name):
            yield below
        elif depth < _DEPTH_LIMIT:
            yield from _by_name(root, below, depth + 1, known, met)


def _may_be_in_use(root: str, path: str) -> bool:
    """Whether there are processes in it, or that is not shown."""
    file = under(root, f"{CGROUP_MOUNT}/{path}/cgroup.events")
    try:
        return parse_populated(read_file(file), file)
    except KernelFileError:
        return True


def _kind(path: str) -> PlaceKind:
    name = os.path.basename(path)
    if "kata" in path:
        return "Kata"
    if path.startswith("user.slice/"):
        return "Rootless"
    if ":" in name:
        return "CgroupfsRuntime"
    return "SystemdRuntime" if name.endswith(".scope") else "Other"
