"""The reader of the cgroups above pods that have a limit of memory or of swap, once a tick.

These are few: kubepods, the QoS classes and what is above them, and a pod's own cgroup where somebody limits
its swap. One without a limit costs three short reads and is not in the sample.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from overbook.core.pressure.sample import LimitSample
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.cgroup_limits import CgroupLimits, read_cgroup_limits, read_cgroup_use
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.kubepods import PodCgroup
from overbook.kernel.kubepods_names import QosClass

LOOK_EVERY: Final = 32
"""A pod's own cgroup, which the kubelet leaves unlimited in swap, is looked at when it is new, and then in
every 32nd tick."""
ClassPaths = Iterable[tuple[str, QosClass]]


class LimitReader:
    """Holds the cgroups above pods open, and reads those that have a limit.

    Args:
        root: directory of the host's file system.
        kept: the budget of files kept open.
        complain: receives what cannot be read.
    """

    def __init__(self, root: str, kept: KeptFiles, complain: Callable[[KernelFileError], None]) -> None:
        self._root = root
        self._kept = kept
        self._complain = complain
        self._cgroups: dict[str, Cgroup] = {}
        self._pods: dict[str, tuple[int, bool]] = {}
        self._ticks = 0
        self._limited: frozenset[str] = frozenset()
        self._nearest: dict[str, str | None] = {}

    def read(self, class_paths: ClassPaths, pods: Mapping[str, PodCgroup]) -> tuple[LimitSample, ...]:
        """Return the cgroups that have a limit now, the upper ones first.

        Args:
            class_paths: the cgroups that hold pods, with their QoS class; kubepods is Guaranteed.
            pods: the pods' cgroups by UID.
        """
        self._ticks += 1
        kinds = _kinds(class_paths)
        kinds.update((pod.path, "pod") for pod in self._pods_with_limits(pods))
        for path in self._cgroups.keys() - kinds.keys():
            self._drop(path)
        found = tuple(sample for path, kind in kinds.items() if (sample := self._sample(path, kind)))
        limited = frozenset(sample.path for sample in found)
        if limited != self._limited:
            self._limited, self._nearest = limited, {}
        return found

    def below(self, pod: PodCgroup) -> str | None:
        """Return the nearest limited cgroup at or above a pod; ``None``: there is none."""
        if not self._limited:
            return None
        if pod.path in self._limited:
            return pod.path
        parent = pod.path.rpartition("/")[0]
        if parent not in self._nearest:
            self._nearest[parent] = next((path for path in _upwards(parent) if path in self._limited), None)
        return self._nearest[parent]

    def close(self) -> None:
        """Close all cgroups."""
        for path in tuple(self._cgroups):
            self._drop(path)

    def _sample(self, path: str, kind: str) -> LimitSample | None:
        try:
            cgroup = self._cgroup(path)
            limits = read_cgroup_limits(cgroup)
            if limits == CgroupLimits():
                return None
            use = read_cgroup_use(cgroup)
        except MissingKernelFile:
            self._drop(path)
            return None  # it is gone; what was made in its place is read in the next tick
        except KernelFileError as error:
            self._complain(error)
            return None
        return LimitSample(
            path,
            kind,
            limits.memory_bytes,
            use.current_bytes,
            limits.swap_bytes,
            use.swap_current_bytes,
            use.inactive_file_bytes or 0,
            use.active_file_bytes or 0,
            use.slab_reclaimable_bytes or 0,
            use.swap_cached_bytes or 0,
            use.refaults,
            use.stall_some_micros,
            use.stall_full_micros,
        )

    def _pods_with_limits(self, pods: Mapping[str, PodCgroup]) -> Iterator[PodCgroup]:
        """The pods whose own cgroup limits swap."""
        for uid in self._pods.keys() - pods.keys():
            del self._pods[uid]
        for uid, pod in pods.items():
            inode, limited = self._pods.get(uid, (0, False))
            if inode != pod.inode or (self._ticks + pod.inode) % LOOK_EVERY == 0:
                limited = self._limits_swap(pod)
                self._pods[uid] = (pod.inode, limited)
            if limited:
                yield pod

    def _limits_swap(self, pod: PodCgroup) -> bool:
        try:
            with Cgroup(pod.path, self._root, kept=KeptFiles(0)) as cgroup:
                return cgroup.read_memory_swap_max() is not None
        except MissingKernelFile:
            return False
        except KernelFileError as error:
            self._complain(error)
            return False

    def _cgroup(self, path: str) -> Cgroup:
        held = self._cgroups.get(path)
        if held is None:
            held = self._cgroups[path] = Cgroup(path, self._root, kept=self._kept)
        return held

    def _drop(self, path: str) -> None:
        held = self._cgroups.pop(path, None)
        if held is not None:
            held.close()


def _kinds(class_paths: ClassPaths) -> dict[str, str]:
    """The kind of each cgroup that holds pods, and of all above them, the upper ones first."""
    kinds: dict[str, str] = {}
    for path, quality in class_paths:
        for above in reversed(tuple(_upwards(path))):
            kinds.setdefault(above, "above")
        kinds[path] = "kubepods" if quality == "Guaranteed" else quality
    return kinds


def _upwards(path: str) -> Iterator[str]:
    """The path and all above it, up to the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""
