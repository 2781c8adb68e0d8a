"""The reader of the whole node, once a tick: it makes the Sample, and holds the cgroups open."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from overbook.agent.limit_reader import LimitReader
from overbook.agent.stalls import StallReader
from overbook.core.kubernetes.pod import Pod
from overbook.core.pressure.sample import ContainerSample, NodeSample, PodSample, Sample
from overbook.core.say_once import SayOnce
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.kubepods import ContainerCgroup, PodCgroup, PodScanner
from overbook.kernel.kubepods_names import QosClass
from overbook.kernel.machine import page_size_bytes
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.misplaced import one_of_each
from overbook.kernel.psi import Pressure, read_pressure
from overbook.kernel.vmstat import Vmstat, read_vmstat

log = logging.getLogger(__name__)

MOST_COMPLAINTS: Final = 1024
NOT_COUNTED: Final = (
    "memory.swap.max: the kernel does not count swap for each cgroup, so no swap limit can be kept, and none "
    "is written; boot it with swapaccount=1, on a kernel with CONFIG_SWAP and CONFIG_MEMCG"
)
WHOLLY: Final = 1 << 62
"""Stands for ``max`` in ``memory.min`` and ``memory.low``: all memory is protected."""
MEMORY_NOT_COUNTED: Final = (
    "memory.current: the kernel does not count memory for each cgroup, so nothing is known of pods, and no "
    "limit is kept; boot it with cgroup_enable=memory, without cgroup_disable=memory"
)
LOOK_EVERY: Final = 8
"""List a pod's subdirectories only every 8th tick; in between, a failed read shows a container's end."""


class HeldContainer:
    """A container's open cgroup. A recreated cgroup of the same name is a different HeldContainer."""

    def __init__(self, found: ContainerCgroup, name: str, root: str, kept: KeptFiles) -> None:
        self.found = found
        self.name = name
        self.cgroup = Cgroup(found.path, root, kept=kept)
        self.leaf = Cgroup(found.leaf_path, root, kept=kept) if found.leaf_path != found.path else None
        self.counts_swap = self.cgroup.file_exists("memory.swap.max")
        """Whether the kernel counts swap here; without the file no limit of swap can be kept."""
        self.counts_memory = self.cgroup.file_exists("memory.current")
        """Whether the kernel counts memory here; without the file nothing is known of the container."""
        self.protected_bytes: int | None = None
        """The memory that is protected from reclaim; ``None``: not read yet."""

    def close(self) -> None:
        """Close the cgroups' directories."""
        self.cgroup.close()
        if self.leaf is not None:
            self.leaf.close()


class Collector:
    """Reads the node and its pods.

    Args:
        root: directory of the host's file system.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._scanner = PodScanner(root, look_every=LOOK_EVERY)
        self._kept = KeptFiles()
        self._complaints = SayOnce(partial(log.warning, "not readable: %s"), most=MOST_COMPLAINTS)
        self.containers: dict[str, dict[str, HeldContainer]] = {}
        """Open containers by pod UID and container name."""
        self._settled: dict[str, tuple[PodCgroup, Pod | None]] = {}
        self._stalls = StallReader(root, self._kept, self._complain)
        self._limits = LimitReader(root, self._kept, self._complain)
        self._page_bytes = page_size_bytes()
        self.pod_cgroups: dict[str, PodCgroup] = {}
        self.generation = 0
        """A number that grows whenever a container is opened or closed."""
        self._vanished: set[str] = set()
        self.unreadable = 0
        """Number of failed reads since the start, for the metrics."""
        self.reads_protection = False
        """Whether containers may be protected from reclaim, so that two more files are read now and then."""
        self._ticks = 0

    def collect(self, at_seconds: float, wall_seconds: float, pods: Mapping[str, Pod]) -> Sample:
        """Read the node and all its pods now.

        Raises:
            KernelFileError: not even the node's own memory can be read.
        """
        self._ticks += 1
        node = self._node()
        self._hold(pods)
        self._stalls.start(node.stall_some_micros)
        limits = self._limits.read(self._scanner.class_paths, self.pod_cgroups)
        self._vanished.clear()
        sampled = tuple([self._pod(uid, held) for uid, held in self.containers.items()])
        if self._vanished:
            # A container is gone or was replaced by one of the same name: list and read these pods again.
            again, self._vanished = self._vanished, set()
            for uid in again:
                self._scanner.forget(self.pod_cgroups[uid].path)
            self._hold(pods)
            before = {pod.uid: pod for pod in sampled if pod.uid not in again}
            sampled = tuple(
                [before.get(uid) or self._pod(uid, held) for uid, held in self.containers.items()]
            )
        return Sample(at_seconds, wall_seconds, node, sampled, limits)

    @property
    def uncounted_swap(self) -> int:
        """The number of containers whose swap the kernel does not count, so that no limit can be kept."""
        return self._number(lambda held: held.counts_memory and not held.counts_swap)

    @property
    def uncounted_memory(self) -> int:
        """The number of containers whose memory the kernel does not count."""
        return self._number(lambda held: not held.counts_memory)

    def _number(self, which: Callable[[HeldContainer], bool]) -> int:
        return sum(which(held) for containers in self.containers.values() for held in containers.values())

    @property
    def class_paths(self) -> tuple[tuple[str, QosClass], ...]:
        """The cgroups that hold pods, with their QoS class."""
        return self._scanner.class_paths

    def close(self) -> None:
        """Close all cgroups."""
        for held in self.containers.values():
            for container in held.values():
                container.close()
        self.containers.clear()
        self._stalls.close()
        self._limits.close()

    def _node(self) -> NodeSample:
        memory = read_meminfo(self._root)
        try:
            events = read_vmstat(self._root)
        except KernelFileError as error:
            events = Vmstat()
            self._complain(error)
        try:
            pressure = read_pressure("memory", self._root)
        except KernelFileError as error:
            pressure = Pressure()
            self._complain(error)
        return NodeSample(
            memory_total_bytes=memory.mem_total_bytes,
            memory_available_bytes=memory.mem_available_bytes,
            swap_total_bytes=memory.swap_total_bytes,
            swap_free_bytes=memory.swap_free_bytes,
            swap_in_pages=events.pswpin,
            swap_out_pages=events.pswpout,
            oom_kills=events.oom_kill,
            stall_some_micros=pressure.some.total_micros if pressure.some else None,
            stall_full_micros=pressure.full.total_micros if pressure.full else None,
            swap_cached_bytes=memory.swap_cached_bytes,
            writeback_bytes=memory.writeback_bytes,
            hugetlb_bytes=memory.hugetlb_bytes or 0,
            zswap_in_pages=events.zswpin,
            zswap_out_pages=events.zswpout,
            zero_in_pages=events.swpin_zero,
            zero_out_pages=events.swpout_zero,
            zswap_pool_bytes=memory.zswap_bytes,
            page_bytes=self._page_bytes,
        )

    def _hold(self, pods: Mapping[str, Pod]) -> None:
        """Open the cgroups that are new and close those that are gone."""
        try:
            found = one_of_each(self._scanner.scan(), self._root)
        except KernelFileError as error:
            self._complain(error)
            return
        for uid in self.containers.keys() - found.keys():
            self._settled.pop(uid, None)
            self.generation += 1
            for container in self.containers.pop(uid).values():
                container.close()
        for uid, cgroup in found.items():
            pod = pods.get(uid)
            # Scanner and source return the same objects while nothing changes.
            last = self._settled.get(uid)
            if last is None or last[0] is not cgroup or last[1] is not pod:
                self._hold_pod(uid, cgroup, pod)
        self.pod_cgroups = found
        self._stalls.keep(found)

    def _hold_pod(self, uid: str, cgroup: PodCgroup, pod: Pod | None) -> None:
        self.generation += 1
        names = container_names(cgroup, pod)
        held = self.containers.setdefault(uid, {})
        wanted = {names[container.id]: container for container in cgroup.containers}
        # A new inode means a new container; a new leaf is crun's, which appears after the container.
        for name in [n for n, c in held.items() if wanted.get(n) != c.found]:
            held.pop(name).close()
        for name in wanted.keys() - held.keys():
            try:
                held[name] = HeldContainer(wanted[name], name, self._root, self._kept)
                if not held[name].counts_swap and held[name].counts_memory:
                    self._complaints(NOT_COUNTED, about=NOT_COUNTED)
            except KernelFileError as error:
                self._complain(error)
        if held.keys() == wanted.keys():
            self._settled[uid] = (cgroup, pod)
        else:
            self._settled.pop(uid, None)  # the next tick tries again

    def _pod(self, uid: str, held: dict[str, HeldContainer]) -> PodSample:
        samples = [self._container(uid, container) for container in held.values()]
        cgroup = self.pod_cgroups[uid]
        some, full = self._stalls.read(cgroup)
        known = tuple([sample for sample in samples if sample is not None])
        return PodSample(uid, known, some, full, self._limits.below(cgroup))

    def _container(self, uid: str, held: HeldContainer) -> ContainerSample | None:
        try:
            read = held.cgroup.read_memory()
        except MissingKernelFile:
            if held.counts_memory or not held.cgroup.is_current():
                self._vanished.add(uid)
                return None  # the container ended between the listing and the reading
            held.counts_memory = held.cgroup.file_exists("memory.current")
            self._complaints(MEMORY_NOT_COUNTED, about=MEMORY_NOT_COUNTED)
            return None
        except KernelFileError as error:
            self._complain(error)
            return None
        if not held.counts_swap:
            held.counts_swap = held.cgroup.file_exists("memory.swap.max")
        use = read.use
        return ContainerSample(
            held.name,
            read.current_bytes,
            use.inactive_file_bytes or 0,
            (use.anon_bytes or 0) + (use.shmem_bytes or 0),
            read.swap_current_bytes,
            read.swap_max_bytes,
            use.workingset_refault_anon or 0,
            use.swapcached_bytes or 0,
            use.active_file_bytes or 0,
            self._protected_bytes(held) if self.reads_protection else 0,
        )

    def _protected_bytes(self, held: HeldContainer) -> int:
        """Return how much of a container's memory is protected; it is read again in every 8th tick."""
        if held.protected_bytes is None or self._ticks % LOOK_EVERY == 0:
            try:
                protected = held.cgroup.read_memory_protected()
                held.protected_bytes = WHOLLY if protected is None else protected
            except MissingKernelFile:
                held.protected_bytes = 0  # the container has just ended
            except KernelFileError as error:
                self._complain(error)
                held.protected_bytes = held.protected_bytes or 0
        return held.protected_bytes

    def _complain(self, error: KernelFileError) -> None:
        """Log each complaint once: a node under pressure must not fill its log."""
        self.unreadable += 1
        self._complaints(str(error), about=str(error))


def container_names(found: PodCgroup, pod: Pod | None) -> dict[str, str]:
    """Return the names of the containers in a pod's cgroup, by runtime id.

    The names are in the pod's status. Without a status, the cgroup of a pod with one container and one cgroup
    is that container's. If the status has no container yet, the one cgroup is the sandbox's, which is made
    first. All others (sandboxes, containers of unknown pods) get their id as name.
    """
    names = {container.id: container.id for container in found.containers}
    if pod is None:
        return names
    statuses = (
        (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ()))
        if pod.status
        else ()
    )
    known = {
        (status.container_id or "").partition("://")[2]: status.name
        for status in statuses
        if status.container_id
    }
    if known:
        names.update({id_: known[id_] for id_ in names if id_ in known})
    elif pod.status is None and len(names) == 1 and len(pod.containers) == 1:
        names = dict.fromkeys(names, pod.containers[0].name)
    return names
