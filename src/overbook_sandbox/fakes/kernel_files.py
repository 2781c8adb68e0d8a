"""Kernel files for tests: trees of /proc and cgroups that are made in code.

    make_node(tmp_path, mem_total_bytes=16 << 30)
    path = make_container(tmp_path, uid=UID, container_id=ID, qos_class="Burstable", memory_current=1 << 20)
    Cgroup(path, tmp_path).read_memory_current()

The files look as a kernel prints them, and may be written like a kernel's, but limits and kills have no
effect.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Literal

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import under
from overbook.kernel.kubepods_names import QosClass

Driver = Literal["systemd", "cgroupfs"]
Runtime = Literal["cri-containerd", "crio"]

_QOS_WORD: dict[QosClass, str] = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}


def build_tree(root: str | os.PathLike[str], tree: Mapping[str, object]) -> None:
    """Make files and directories below `root`.

    Args:
        root: The root folder, made if it is missing.
        tree: The content by name: text or bytes make a file, a mapping makes a directory. A name may be a
            path.

    Raises:
        TypeError: Content is neither text, bytes nor a mapping.
    """
    base = os.fspath(root)
    os.makedirs(base, exist_ok=True)
    for name, content in tree.items():
        path = os.path.join(base, name)
        if isinstance(content, Mapping):
            build_tree(path, content)
            continue
        if not isinstance(content, str | bytes):
            raise TypeError(f"{path}: a tree holds text, bytes and mappings, not {type(content).__name__}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)


def pressure_file(
    some_micros: int = 0, full_micros: int = 0, some_avg10: float = 0, full_avg10: float = 0
) -> str:
    """A pressure file with these totals in microseconds and 10-second averages in percent."""
    return (
        f"some avg10={some_avg10:.2f} avg60=0.00 avg300=0.00 total={some_micros}\n"
        f"full avg10={full_avg10:.2f} avg60=0.00 avg300=0.00 total={full_micros}\n"
    )


def memory_stat_file(**values: int) -> str:
    """A memory.stat as Linux 6.12 prints it; missing keys are 0.

    Raises:
        ValueError: A key is not in that file.
    """
    keys = _MEMORY_STAT.split()
    unknown = sorted(set(values) - set(keys))
    if unknown:
        raise ValueError(f"memory.stat of Linux 6.12 has no {', '.join(unknown)}")
    return "".join(f"{key} {values.get(key, 0)}\n" for key in keys)


def container_files(
    *,
    memory_current: int = 64 << 20,
    memory_max: int | None = None,
    memory_swap_current: int = 0,
    memory_swap_max: int | None = 0,
    memory_stat: Mapping[str, int] | None = None,
    some_micros: int = 0,
    full_micros: int = 0,
    pids: Sequence[int] = (),
) -> dict[str, object]:
    """The files of one cgroup, for `build_tree`.

    Args:
        memory_current: The bytes in use.
        memory_max: The limit in bytes; None is "max".
        memory_swap_current: The bytes in swap.
        memory_swap_max: The swap limit in bytes; None is "max".
        memory_stat: The lines of memory.stat by key; default: all of `memory_current` is `anon`.
        some_micros: The total of the `some` line of memory.pressure, in microseconds.
        full_micros: The total of its `full` line.
        pids: The processes; with any the cgroup is populated.
    """
    stat = {"anon": memory_current, "inactive_anon": memory_current} if memory_stat is None else memory_stat
    return {
        "cgroup.procs": "".join(f"{pid}\n" for pid in pids),
        "cgroup.events": f"populated {1 if pids else 0}\nfrozen 0\n",
        "cgroup.controllers": "cpu io memory\n",
        "cgroup.kill": "",
        "cpu.stat": _CPU_STAT,
        "cpu.weight": "100\n",
        "cpu.max": "max 100000\n",
        "memory.current": f"{memory_current}\n",
        "memory.max": _limit(memory_max),
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.pressure": pressure_file(some_micros, full_micros),
        "memory.reclaim": "",
        "memory.stat": memory_stat_file(**stat),
        "memory.swap.current": f"{memory_swap_current}\n",
        "memory.swap.events": "high 0\nmax 0\nfail 0\n",
        "memory.swap.max": _limit(memory_swap_max),
    }


def pod_path(uid: str, qos_class: QosClass, driver: Driver = "systemd") -> str:
    """The path of a pod's cgroup, relative to the cgroup root."""
    word = _QOS_WORD[qos_class]
    if driver == "cgroupfs":
        return "/".join(part for part in ("kubepods", word, f"pod{uid}") if part)
    escaped = uid.replace("-", "_")
    if not word:
        return f"kubepods.slice/kubepods-pod{escaped}.slice"
    return f"kubepods.slice/kubepods-{word}.slice/kubepods-{word}-pod{escaped}.slice"


def container_path(
    uid: str,
    container_id: str,
    qos_class: QosClass = "Burstable",
    driver: Driver = "systemd",
    runtime: Runtime = "cri-containerd",
) -> str:
    """The path of a container's cgroup, relative to the cgroup root."""
    if driver == "systemd":
        name = f"{runtime}-{container_id}.scope"
    else:
        name = container_id if runtime == "cri-containerd" else f"{runtime}-{container_id}"
    return f"{pod_path(uid, qos_class, driver)}/{name}"


def make_cgroup(root: str | os.PathLike[str], path: str, files: Mapping[str, object] | None = None) -> str:
    """Make one cgroup at `path` below the cgroup root, by default with `container_files()`."""
    build_tree(os.path.join(under(root, CGROUP_MOUNT), path), container_files() if files is None else files)
    return path


def remove_cgroup(root: str | os.PathLike[str], path: str) -> None:
    """Remove a cgroup and those below it; readers that keep its files open notice that, as with a kernel."""
    full = os.path.join(under(root, CGROUP_MOUNT), path)
    for directory, _, names in os.walk(full):
        for name in names:
            os.truncate(os.path.join(directory, name), 0)
    shutil.rmtree(full)


def make_node(
    root: str | os.PathLike[str],
    *,
    mem_total_bytes: int = 16 << 30,
    mem_available_bytes: int = 8 << 30,
    swap_total_bytes: int = 8 << 30,
    swap_free_bytes: int = 8 << 30,
    vmstat: Mapping[str, int] | None = None,
    some_micros: int = 0,
    full_micros: int = 0,
) -> None:
    """Make the node's files below `root`: /proc, and a cgroup v2 root without pods.

    Args:
        root: The file-system root.
        mem_total_bytes: RAM.
        mem_available_bytes: The memory that is available without swapping.
        swap_total_bytes: The size of the only swap partition; 0 is no swap.
        swap_free_bytes: The free part of swap.
        vmstat: The lines of /proc/vmstat by key; others are 0.
        some_micros: The total of the `some` line of /proc/pressure/memory, in microseconds.
        full_micros: The total of its `full` line.
    """
    meminfo = dict.fromkeys(_MEMINFO.split(), 0) | {
        "MemTotal": mem_total_bytes,
        "MemFree": mem_available_bytes // 2,
        "MemAvailable": mem_available_bytes,
        "AnonPages": mem_total_bytes - mem_available_bytes,
        "SwapTotal": swap_total_bytes,
        "SwapFree": swap_free_bytes,
    }
    swaps = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    if swap_total_bytes:
        used = swap_total_bytes - swap_free_bytes
        swaps += f"{'/dev/vda2':<40}partition\t{swap_total_bytes >> 10}\t\t{used >> 10}\t\t-2\n"
    counters = dict.fromkeys(_VMSTAT.split(), 0) | dict(vmstat or {})
    build_tree(
        root,
        {
            "proc/meminfo": "".join(f"{key + ':':<16}{size >> 10:>8} kB\n" for key, size in meminfo.items()),
            "proc/vmstat": "".join(f"{key} {value}\n" for key, value in counters.items()),
            "proc/swaps": swaps,
            "proc/pressure": {
                "cpu": pressure_file(),
                "io": pressure_file(),
                "memory": pressure_file(some_micros, full_micros),
            },
            "proc/sys/kernel/random/boot_id": "00000000-0000-4000-8000-000000000000\n",
            "proc/sys/vm": {
                "overcommit_memory": "1\n",
                "panic_on_oom": "0\n",
                "swappiness": "60\n",
                "min_free_kbytes": "67584\n",
                "watermark_scale_factor": "10\n",
            },
            "sys/fs/cgroup": {
                "cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
                "cgroup.procs": "",
            },
        },
    )


def _limit(value: int | None) -> str:
    return "max\n" if value is None else f"{value}\n"


_CPU_STAT = (
    "usage_usec 1000000\nuser_usec 800000\nsystem_usec 200000\nnice_usec 0\ncore_sched.force_idle_usec 0\n"
    "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n"
)
_MEMINFO = """
MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon)
Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Zswap Zswapped Dirty Writeback
AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim KernelStack PageTables CommitLimit
Committed_AS
"""
_VMSTAT = """
nr_free_pages nr_anon_pages workingset_refault_anon workingset_refault_file pgpgin pgpgout pswpin
pswpout pgalloc_normal pgfree pgfault pgmajfault pgsteal_kswapd pgsteal_direct pgscan_kswapd
pgscan_direct oom_kill swap_ra swap_ra_hit zswpin zswpout
"""
_MEMORY_STAT = """
anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped
file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon
active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab
workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file
workingset_restore_anon workingset_restore_file workingset_nodereclaim pgdemote_kswapd
pgdemote_direct pgdemote_khugepaged pswpin pswpout pgscan pgsteal pgscan_kswapd pgscan_direct
pgscan_khugepaged pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgfault pgmajfault pgrefill
pgactivate pgdeactivate pglazyfree pglazyfreed swpin_zero swpout_zero zswpin zswpout zswpwb
thp_fault_alloc thp_collapse_alloc thp_swpout thp_swpout_fallback
"""
