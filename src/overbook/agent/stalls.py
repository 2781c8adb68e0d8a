"""The pods' stalls on memory: `memory.pressure` of each pod's cgroup, read as seldom as is exact."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.kubepods import PodCgroup

Stalls = tuple[int | None, int | None]
"""`some` and `full` of a pod in microseconds since its cgroup was made; ``None``: not known."""
UNKNOWN: Stalls = (None, None)


class LastReading(NamedTuple):
    """What was read of a pod last.

    Attributes:
        inode: the pod's cgroup; a pod that was replaced has another one.
        stalls: the values.
        silent: whether the kernel keeps no such values for this cgroup.
    """

    inode: int
    stalls: Stalls
    silent: bool


class StallReader:
    """Holds the pods' cgroups open, and reads how long each pod has stalled.

    No pod stalls while the node does not. Where the node's `some` has not grown since the last reading,
    each pod's last values still hold, and no file is read.

    Args:
        root: directory of the host's file system.
        kept: the budget of files kept open.
        complain: receives what cannot be read.
    """

    def __init__(self, root: str, kept: KeptFiles, complain: Callable[[KernelFileError], None]) -> None:
        self._root = root
        self._kept = kept
        self._complain = complain
        self._cgroups: dict[str, tuple[int, Cgroup]] = {}
        self._last: dict[str, LastReading] = {}
        self._node_micros: int | None = None
        self._quiet = False

    def start(self, node_micros: int | None) -> None:
        """Begin a round of readings; `node_micros` is the node's own `some`, ``None``: not known."""
        self._quiet = node_micros is not None and node_micros == self._node_micros
        self._node_micros = node_micros

    def read(self, pod: PodCgroup) -> Stalls:
        """Return how long a pod has stalled by now."""
        last = self._last.get(pod.uid)
        if last is not None and last.inode == pod.inode and (self._quiet or last.silent):
            return last.stalls
        found, silent = UNKNOWN, False
        try:
            found = self._cgroup(pod).read_memory_stalls()
        except MissingKernelFile:
            silent = self._keeps_none(pod)
        except KernelFileError as error:
            self._complain(error)
        self._last[pod.uid] = LastReading(pod.inode, found, silent)
        return found

    def keep(self, found: Mapping[str, PodCgroup]) -> None:
        """Close the cgroups of pods that are gone."""
        for uid in self._cgroups.keys() - found.keys():
            self._drop(uid)

    def close(self) -> None:
        """Close all cgroups."""
        for uid in tuple(self._cgroups):
            self._drop(uid)

    def _cgroup(self, pod: PodCgroup) -> Cgroup:
        held = self._cgroups.get(pod.uid)
        if held is not None and held[0] == pod.inode:
            return held[1]
        self._drop(pod.uid)
        cgroup = Cgroup(pod.path, self._root, kept=self._kept)
        self._cgroups[pod.uid] = (pod.inode, cgroup)
        return cgroup

    def _keeps_none(self, pod: PodCgroup) -> bool:
        """Whether a cgroup that exists has no such file: no PSI, or ``cgroup.pressure`` is 0."""
        held = self._cgroups.get(pod.uid)
        silent = held is not None and held[1].exists()
        self._drop(pod.uid)
        return silent

    def _drop(self, uid: str) -> None:
        self._last.pop(uid, None)
        held = self._cgroups.pop(uid, None)
        if held is not None:
            held[1].close()
