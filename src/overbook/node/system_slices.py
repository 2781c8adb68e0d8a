"""The top cgroups in which this node's kubelet and container runtime run, beside ``system.slice``.

Amazon's images and Bottlerocket have ``runtime.slice``, some images ``podruntime.slice``; Talos, which has
no systemd, ``podruntime``. What holds for ``system.slice`` holds for them: programs that are swapped out
there stall together with the pods.
"""

import os
from collections.abc import Iterator
from typing import Final

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import MissingKernelFile, read_file, under
from overbook.node.kubelet import CommandLines, cgroup_of, command_lines, find_process

SYSTEM_SLICE: Final = "system.slice"
RUNTIMES: Final = frozenset({"containerd", "crio", "dockerd", "cri-dockerd"})
_OTHERS: Final = frozenset({"podruntime", "runtime", "system"})
"""Top cgroups of a host without systemd."""
_NOT_ITS_OWN: Final = frozenset({SYSTEM_SLICE, "user.slice", "machine.slice"})
"""``system.slice`` is judged by itself; sessions and machines hold more than kubelet and runtime."""


def other_slices(root: str) -> tuple[str, ...]:
    """The names of the other top cgroups that exist, sorted.

    Raises:
        OSError: there is no ``/proc``.
    """
    return tuple(sorted(set(_tops(root))))


def other_swap_max(root: str, lines: CommandLines | None = None) -> dict[str, str]:
    """``memory.swap.max`` of each; 0 also if the cgroups below it, in which the programs run, have 0.

    Raises:
        OSError: there is no ``/proc``.
        KernelFileError: a limit cannot be read.
    """
    paths = dict[str, list[str]]()
    for path in _paths(root, lines):
        if _is_other(top := path.split("/")[1], root):
            paths.setdefault(top, []).append(path)
    return {
        top: "0" if all(_never_swaps(path, root) for path in below) else _swap_max(f"/{top}", root)
        for top, below in sorted(paths.items())
    }


def _tops(root: str) -> Iterator[str]:
    tops = (path.split("/")[1] for path in _paths(root))
    return (top for top in tops if _is_other(top, root))


def _paths(root: str, lines: CommandLines | None = None) -> Iterator[str]:
    """The cgroups of kubelet and runtime; a runtime in a pod is not the node's."""
    lines = tuple(command_lines(root)) if lines is None else lines
    kubelet = find_process(root, lines)
    pids = [kubelet.pid] if kubelet else []
    pids += [pid for pid, words in lines if os.path.basename(words[0]) in RUNTIMES]
    paths = (cgroup_of(pid, root) for pid in pids)
    return (path for path in paths if path and path.startswith("/") and "kubepods" not in path)


def _is_other(top: str, root: str) -> bool:
    named = (top.endswith(".slice") and top not in _NOT_ITS_OWN) or top in _OTHERS
    return named and os.path.isdir(under(root, f"{CGROUP_MOUNT}/{top}"))


def _never_swaps(path: str, root: str) -> bool:
    parts = path.split("/")[1:]
    return any(_swap_max("/" + "/".join(parts[: n + 1]), root) == "0" for n in range(len(parts)))


def _swap_max(path: str, root: str) -> str:
    try:
        return (
            read_file(under(root, f"{CGROUP_MOUNT}{path}/memory.swap.max")).decode("ascii", "replace").strip()
        )
    except MissingKernelFile:
        return "max"
