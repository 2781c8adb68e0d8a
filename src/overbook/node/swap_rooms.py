"""The swap limits above the containers: what all pods together, or those of one QoS class, may swap.

A cgroup swaps no more than each cgroup above it may (kernel cgroup-v2.rst, ``memory.swap.max``). The root of
a container that is a node (LXD, kind) is such a cgroup, too: the host's limit is in its own root.
"""

import os

import msgspec

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import KernelFileError, MissingKernelFile, read_file, under
from overbook.kernel.flat_keyed import parse_limit
from overbook.kernel.kubepods import PodScanner
from overbook.node.drop_in import Setting, unit_settings


class SwapRoom(msgspec.Struct, frozen=True, gc=False):
    """A cgroup above containers that limits their swap.

    Attributes:
        path: relative to the cgroup root; empty: the root.
        limit_bytes: ``memory.swap.max``.
        pods: the cgroups of pods that have this limit, if it is a pod's own; none: it is above pods.
        is_shown: whether there is such a file: a host's root has none.
        setting: ``MemorySwapMax=`` of its unit, where the unit's files can be read.
        writeback: whether pages leave zswap for the swap area; ``None``: this kernel does not say.
    """

    path: str
    limit_bytes: int | None
    pods: tuple[str, ...] = ()
    is_shown: bool = True
    setting: Setting | None = None
    writeback: bool | None = None


def swap_rooms(root: str = "/", scanner: PodScanner | None = None) -> tuple[SwapRoom, ...]:
    """The cgroups above containers, the highest first, then the pods whose own limit is 0 as one.

    Best-effort pods are left out: they have no swap in any case.

    Args:
        root: the host's file system.
        scanner: one that scanned the same tree before, which makes this cheaper.

    Raises:
        KernelFileError: the cgroup tree or a limit cannot be read.
        OSError: a unit's file cannot be read.
    """
    scanner = scanner or PodScanner(root)
    pods = scanner.scan()
    paths: dict[str, None] = {"": None}
    for path, qos_class in scanner.class_paths:
        parts = path.split("/")
        if qos_class != "BestEffort":
            paths.update(dict.fromkeys("/".join(parts[: count + 1]) for count in range(len(parts))))
    rooms = [_room(root, path) for path in paths]
    able = [pod.path for pod in pods if pod.qos_class != "BestEffort" and pod.containers]
    closed = [path for path in able if _limit(root, path)[0] == 0]
    if closed:
        rooms.append(SwapRoom(closed[0], 0, tuple(closed)))
    return tuple(rooms)


def _room(root: str, path: str) -> SwapRoom:
    limit, is_shown = _limit(root, path)
    unit = os.path.basename(path)
    setting = None
    if limit is not None and unit.endswith(".slice"):
        setting = unit_settings(unit, root).get("MemorySwapMax")
    return SwapRoom(path, limit, is_shown=is_shown, setting=setting, writeback=_writeback(root, path))


def _limit(root: str, path: str) -> tuple[int | None, bool]:
    file = under(root, f"{CGROUP_MOUNT}/{path}/memory.swap.max")
    try:
        return parse_limit(read_file(file), file), True
    except MissingKernelFile:
        return None, False


def _writeback(root: str, path: str) -> bool | None:
    try:
        return read_file(under(root, f"{CGROUP_MOUNT}/{path}/memory.zswap.writeback")).strip() != b"0"
    except KernelFileError:
        return None
