"""Samples: everything that was read on a node at one moment, as the kernel gave it.

``None`` means "not known": the file was missing, unreadable or malformed. Nothing is computed here; see
:mod:`overbook.core.pressure.model`.
"""

import msgspec


class ContainerSample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The cgroup files of one container.

    Attributes:
        name: the container's name, or its runtime id where no manifest names it.
        memory_current_bytes: ``memory.current``.
        inactive_file_bytes: ``inactive_file`` of ``memory.stat``.
        swappable_bytes: ``anon`` and ``shmem`` of ``memory.stat``; a VM's RAM is one or the other.
        swap_current_bytes: ``memory.swap.current``.
        swap_max_bytes: ``memory.swap.max``; ``None``: unlimited.
        refaults: ``workingset_refault_anon`` of ``memory.stat``, pages since the cgroup was made.
        swap_cached_bytes: ``swapcached`` of ``memory.stat``: memory that is in RAM and in swap, and is
            counted in both. 0 in older recordings and before Linux 5.15.
        active_file_bytes: ``active_file`` of ``memory.stat``; 0 in older recordings.
        protected_bytes: the larger one of ``memory.min`` and ``memory.low``, where the kubelet protects
            requests; 0 elsewhere, and in older recordings.
    """

    name: str
    memory_current_bytes: int
    inactive_file_bytes: int
    swappable_bytes: int
    swap_current_bytes: int
    swap_max_bytes: int | None
    refaults: int
    swap_cached_bytes: int = 0
    active_file_bytes: int = 0
    protected_bytes: int = 0


class PodSample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The containers of one pod that could be read.

    Attributes:
        uid: the pod's UID.
        containers: its containers.
        stall_some_micros: ``some total`` of the pod's ``memory.pressure``, µs since its cgroup was made;
            ``None`` also in older recordings.
        stall_full_micros: ``full total``, likewise.
        below: the path of the nearest cgroup in :attr:`Sample.limits` that the pod is below; ``None``: there
            is none.
    """

    uid: str
    containers: tuple[ContainerSample, ...]
    stall_some_micros: int | None = None
    stall_full_micros: int | None = None
    below: str | None = None


class LimitSample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A cgroup above pods that has a limit of memory or of swap.

    Attributes:
        path: its path, relative to the cgroup root; empty: the root itself, which has limits in a container.
        kind: ``kubepods``, the QoS class of the pods in it, ``pod``, or ``above``: something above kubepods.
        memory_max_bytes: the lower of ``memory.max`` and ``memory.high``; ``None``: no limit.
        memory_current_bytes: ``memory.current``; ``None``: not known.
        swap_max_bytes: ``memory.swap.max``; ``None``: no limit.
        swap_current_bytes: ``memory.swap.current``; ``None``: not known.
        inactive_file_bytes: ``inactive_file`` of ``memory.stat``.
        active_file_bytes: ``active_file`` of ``memory.stat``.
        slab_reclaimable_bytes: ``slab_reclaimable`` of ``memory.stat``.
        swap_cached_bytes: ``swapcached`` of ``memory.stat``.
        refaults: ``workingset_refault_anon`` of ``memory.stat``, pages.
        stall_some_micros: ``some total`` of its ``memory.pressure``.
        stall_full_micros: ``full total``.
    """

    path: str
    kind: str
    memory_max_bytes: int | None = None
    memory_current_bytes: int | None = None
    swap_max_bytes: int | None = None
    swap_current_bytes: int | None = None
    inactive_file_bytes: int = 0
    active_file_bytes: int = 0
    slab_reclaimable_bytes: int = 0
    swap_cached_bytes: int = 0
    refaults: int | None = None
    stall_some_micros: int | None = None
    stall_full_micros: int | None = None


class NodeSample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Counters and sizes of the whole node.

    Attributes:
        memory_total_bytes: MemTotal.
        memory_available_bytes: MemAvailable.
        swap_total_bytes: SwapTotal.
        swap_free_bytes: SwapFree.
        swap_in_pages: ``pswpin`` of ``/proc/vmstat``, pages since boot.
        swap_out_pages: ``pswpout``, pages since boot.
        oom_kills: ``oom_kill`` of ``/proc/vmstat``, processes since boot.
        stall_some_micros: ``some total`` of ``/proc/pressure/memory``, µs since boot.
        stall_full_micros: ``full total``, µs since boot.
        swap_cached_bytes: SwapCached; ``None`` also in older recordings.
        writeback_bytes: Writeback; likewise.
        hugetlb_bytes: Hugetlb: huge pages that were set aside; 0 in older recordings.
        zswap_in_pages: ``zswpin`` of ``/proc/vmstat``, pages since boot. These are not in ``pswpin``.
        zswap_out_pages: ``zswpout``, likewise.
        zero_in_pages: ``swpin_zero``: pages full of zeros, which no disk sees.
        zero_out_pages: ``swpout_zero``.
        zswap_pool_bytes: Zswap: RAM that the compressed pages take.
        page_bytes: the kernel's page size.
    """

    memory_total_bytes: int
    memory_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    swap_in_pages: int | None = None
    swap_out_pages: int | None = None
    oom_kills: int | None = None
    stall_some_micros: int | None = None
    stall_full_micros: int | None = None
    swap_cached_bytes: int | None = None
    writeback_bytes: int | None = None
    hugetlb_bytes: int = 0
    zswap_in_pages: int | None = None
    zswap_out_pages: int | None = None
    zero_in_pages: int | None = None
    zero_out_pages: int | None = None
    zswap_pool_bytes: int | None = None
    page_bytes: int = 4096

    @property
    def in_pages(self) -> int | None:
        """Pages that were swapped in since boot, from wherever they were."""
        return _sum_known(self.swap_in_pages, self.zswap_in_pages, self.zero_in_pages)

    @property
    def out_pages(self) -> int | None:
        """Pages that were swapped out since boot, to wherever they went."""
        return _sum_known(self.swap_out_pages, self.zswap_out_pages, self.zero_out_pages)


def _sum_known(disk: int | None, *others: int | None) -> int | None:
    return None if disk is None else disk + sum(other or 0 for other in others)


class Sample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One reading of the node and its pods.

    Attributes:
        at_seconds: the monotonic time of the reading; only differences mean anything.
        wall_seconds: the time of the reading in seconds since the epoch, for people.
        node: counters and sizes of the node.
        pods: every pod that was found.
        limits: the cgroups above pods that have a limit; empty also in older recordings.
    """

    at_seconds: float
    wall_seconds: float
    node: NodeSample
    pods: tuple[PodSample, ...] = ()
    limits: tuple[LimitSample, ...] = ()
