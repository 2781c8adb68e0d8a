"""Reads the facts for the doctor, below the host's root. A fact that cannot be read is never guessed."""

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.writer import HOOK_FILE, AskedWriter
from overbook.kernel.capabilities import read_capabilities
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError, MissingKernelFile, read_file, under
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.meminfo import Meminfo, read_meminfo
from overbook.kernel.mountinfo import mount_of, read_mountinfo
from overbook.kernel.psi import read_pressure
from overbook.kernel.swap_medium import LiesOn, read_folder_medium, read_swap_medium
from overbook.kernel.swaps import SwapArea, read_swaps
from overbook.kernel.sysctl import (
    VM_OVERCOMMIT_MEMORY,
    VM_PANIC_ON_OOM,
    VM_SWAPPINESS,
    IntegerSysctl,
)
from overbook.kernel.zoneinfo import read_zoneinfo
from overbook.kernel.zswap import Zswap, read_zswap
from overbook.node.doctor import owners as swap_owners
from overbook.node.doctor.facts import HostState, Subject, SwapDevice
from overbook.node.hook_folders import ADMINISTRATORS, SHARED, UNTIL_BOOT, crio_hook_folders, hook_folders
from overbook.node.killers import Killer, find_killers, shows_open_files
from overbook.node.kubelet import (
    CommandLines,
    Kubelet,
    Process,
    command_lines,
    described,
    find_process,
    limits_swap,
)
from overbook.node.kubelet.version import minor_version
from overbook.node.pod_places import pod_places, sandboxes
from overbook.node.swap import FOLDER, STATE, SWAP_FILESYSTEMS, read_settings, read_state
from overbook.node.swap_own import own_areas
from overbook.node.swap_places import own_setting
from overbook.node.swap_rooms import swap_rooms
from overbook.node.system_slices import other_swap_max
from overbook.node.tune.watermark import Watermarks
from overbook.nri.connection import nri_socket

T = TypeVar("T")


def host_facts(
    root: str,
    policy: SwapPolicy,
    writer: AskedWriter = "auto",
    reported: KubeletConfiguration | None = None,
    *,
    reported_minor: int | None = None,
    whole: bool = True,
) -> HostState:
    """Read the facts. This never fails: errors are in `HostState.unread`.

    Args:
        root: the host's file system, or as much of it as is mounted.
        policy: the pods that may swap, how much, and the percentage.
        writer: the configured writer of the limits.
        reported: the configuration that the kubelet reports, which overrides its files.
        reported_minor: the minor version of the kubelet 1.x, as its Node says; ``None``: what is found here.
        whole: whether all of the host is below the root; a pod sees only a part. What its agent finds by
            itself, and what takes long, is left out then.
    """
    look = _Look()
    # Read once: the command line of a process that stalls takes as long as the stall.
    lines = look.at("kubelet", lambda: tuple(command_lines(root)), None)
    process = look.at("kubelet", lambda: find_process(root, lines), None)
    kubelet = look.at("kubelet", lambda: _kubelet(process, root, whole=whole), None)
    configuration = reported or (kubelet.configuration if kubelet else None)
    if reported is not None:
        look.unread.pop("kubelet", None)
    if "kubelet" in look.unread:
        look.unread["writer"] = look.unread["watermarks"] = "the kubelet's configuration is not known"
    memory = look.at("swap", lambda: read_meminfo(root), Meminfo(0))
    none: tuple[str, ...] = ()
    read = look.at("hook", lambda: _hook_folders(root), none)
    if "hook" in look.unread:
        look.unread.setdefault("writer", "the folders for hooks are not known")
    version = look.at("cgroup", lambda: _cgroup_version(root), None)
    if version is None:
        look.unread["system"] = "the cgroup version is not known"
    provisioning = look.at("provisioning", lambda: _provisioning(root), None)
    installed = look.at("provisioning", lambda: read_settings(root), None)
    nothing: frozenset[str] = frozenset()
    own = look.at("provisioning", lambda: own_areas(root, _areas(root), provisioning), nothing)
    scanner = PodScanner(root)
    kernel = look.at("kernel", lambda: read_capabilities(root, scanner), None) if version == 2 else None
    if version is None:
        look.unread["kernel"] = look.unread["rooms"] = look.unread["places"] = (
            "the cgroup version is not known"
        )
    counted = version == 2 and (kernel is None or kernel.limits_swap)
    return HostState(
        memory_bytes=memory.mem_total_bytes,
        huge_pages_bytes=memory.hugetlb_bytes or 0,
        cgroup_version=version,
        pressure=look.at("pressure", lambda: _pressure(root), None),
        swap=look.at("swap", lambda: tuple(look.area(area, root) for area in _areas(root)), ()),
        percent=policy.percent,
        provisioning=provisioning,
        kubelet=configuration,
        kubelet_minor=_minor(process, root) if reported_minor is None else reported_minor,
        kubelet_place=kubelet.place if kubelet else "",
        kubelet_missing=kubelet.missing if kubelet else "",
        kubelet_limits=limits_swap(process.pid, root) if process and counted else None,
        eligibility=policy.eligibility,
        allowance=policy.allowance,
        writer_asked=writer,
        nri_socket=look.at("writer", lambda: _nri_socket(root), ""),
        swappiness=look.at("swappiness", lambda: _sysctl(VM_SWAPPINESS, root), None),
        overcommit_memory=look.at("promises", lambda: _sysctl(VM_OVERCOMMIT_MEMORY, root), None),
        panic_on_oom=look.at("promises", lambda: _sysctl(VM_PANIC_ON_OOM, root), None),
        watermarks=look.at("watermarks", lambda: _watermarks(root), None),
        system_swap_max=look.at("system", lambda: _system_swap_max(root), None) if counted else None,
        other_swap_max=look.at("system", lambda: other_swap_max(root, lines), {}) if counted else {},
        hook_folder=look.at("hook", lambda: _hook_folder(root, read), ""),
        hook_folders_read=read,
        leftovers=look.at("original", lambda: swap_owners.leftovers(root), ()),
        owners=look.at("owners", lambda: swap_owners.owners(root, lines), ()),
        boot_swap=look.at("owners", lambda: swap_owners.boot_swap(root), ()),
        unexplained=look.at("owners", lambda: _unexplained(root, own), none),
        masked_swap=look.at("owners", lambda: swap_owners.masked_swap(root), none),
        swap_off=look.at("owners", lambda: swap_owners.swap_off(root), none),
        own_areas=own,
        own_kind=installed.kind if installed else "",
        own_setting=look.at("provisioning", lambda: own_setting(root), "") if whole else "",
        better_folder=look.at("swap", lambda: _better_folder(root), None),
        nri_plugins=look.at("owners", lambda: swap_owners.nri_plugins(root), ()),
        nri_connections=look.at("owners", lambda: swap_owners.nri_connections(root), 0),
        kernel=kernel,
        swap_rooms=look.at("rooms", lambda: swap_rooms(root, scanner), ()) if version == 2 else (),
        places=look.at("places", lambda: pod_places(root), None) if version == 2 and whole else None,
        sandboxes=sandboxes(lines or ()) if whole else 0,
        killers=look.at("killers", lambda: _killers(root, lines, memory, whole=whole), None),
        open_files_seen=whole and shows_open_files(root),
        zswap=look.at("zswap", lambda: _zswap(root), None),
        unread=look.unread,
    )


class _Look:
    """Reads facts, and remembers the first error of each subject."""

    def __init__(self) -> None:
        self.unread: dict[Subject, str] = {}

    def at(self, subject: Subject, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except (KernelFileError, InvalidInput) as error:
            why = str(error)
        self.unread.setdefault(subject, why)
        return otherwise

    def area(self, area: SwapArea, root: str) -> SwapDevice:
        on = self.at("swap", lambda: read_swap_medium(area, root), LiesOn("unknown"))
        return SwapDevice(
            area.filename, area.size_bytes, on.medium, on.name, priority=area.priority, deleted=area.deleted
        )


def _killers(root: str, lines: CommandLines | None, memory: Meminfo, *, whole: bool) -> tuple[Killer, ...]:
    lines = tuple(command_lines(root)) if lines is None else lines
    return find_killers(root, lines, memory.mem_total_bytes, memory.swap_total_bytes or 0, whole=whole)


def _zswap(root: str) -> Zswap | None:
    found = read_zswap(root)
    if found is None:
        swap_owners.present(root, "sys/fs")
    return found


def _cgroup_version(root: str) -> int:
    try:
        return check_cgroup2(root).version
    except MissingKernelFile:
        raise
    except KernelFileError as error:
        if error.errno is not None:
            raise
        return 1


def _pressure(root: str) -> bool:
    try:
        read_pressure("memory", root)
    except MissingKernelFile:
        swap_owners.present(root, "proc/sys")
        return False
    except KernelFileError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True


def _areas(root: str) -> tuple[SwapArea, ...]:
    try:
        return read_swaps(root)
    except MissingKernelFile:
        swap_owners.present(root, "proc/sys")
        return ()  # a kernel without swap


def _sysctl(parameter: IntegerSysctl, root: str) -> int | None:
    try:
        return parameter.read(root)
    except MissingKernelFile:
        swap_owners.present(root, "proc/sys")
        return None  # an older kernel


def _watermarks(root: str) -> Watermarks:
    sums = read_zoneinfo(root)
    return Watermarks(sums.min_bytes, sums.low_bytes, sums.managed_bytes)


def _system_swap_max(root: str) -> str | None:
    """``memory.swap.max`` of the slice; ``max`` without the file, ``None`` without the slice."""
    slice_path = under(root, f"{CGROUP_MOUNT}/system.slice")
    if not os.path.isdir(slice_path):
        return None
    try:
        return read_file(f"{slice_path}/memory.swap.max").decode("ascii", "replace").strip()
    except MissingKernelFile:
        return "max"


def _provisioning(root: str) -> tuple[str, str] | None:
    swap_owners.present(root, os.path.dirname(os.path.dirname(STATE)))
    return read_state(root)


def _minor(process: Process | None, root: str) -> int | None:
    return minor_version(process, root) if process else None


def _kubelet(process: Process | None, root: str, *, whole: bool) -> Kubelet | None:
    return described(process, root, whole=whole) if process else None


def _unexplained(root: str, own: frozenset[str]) -> tuple[str, ...]:
    others = [area for area in _areas(root) if area.filename not in own]
    return swap_owners.unexplained_swap(root, others)


def _better_folder(root: str) -> str | None:
    """A folder for a swap file on a local disk: empty for the default one, ``None`` if there is none."""
    good = {"flash", "virtual"}
    try:
        mounts = read_mountinfo(root)
    except KernelFileError:
        return None  # only a fix depends on it
    beside = sorted(
        {mount.mount_point for mount in mounts if mount.filesystem in SWAP_FILESYSTEMS},
        key=lambda point: (point.count("/"), point),
    )
    hidden = ("/boot", "/var/lib/kubelet", "/run", "/tmp", "/var/tmp", "/var/lib/containers")  # noqa: S108
    usable = [point for point in beside if point != "/" and not point.startswith(hidden) and " " not in point]
    for folder in (FOLDER, "/var/lib/overbook-swap", *(f"{point}/overbook-swap" for point in usable)):
        try:
            mount = mount_of(folder, mounts)
            if (
                mount
                and mount.filesystem in SWAP_FILESYSTEMS
                and read_folder_medium(folder, root).medium in good
            ):
                return "" if folder == FOLDER else folder
        except KernelFileError:
            continue
    return None


def _nri_socket(root: str) -> str:
    swap_owners.present(root, "run")
    return nri_socket(root)


def _hook_folders(root: str) -> tuple[str, ...]:
    swap_owners.present(root, "etc", "usr")
    return crio_hook_folders(root) or hook_folders(root)


def _hook_folder(root: str, read: tuple[str, ...]) -> str:
    """The folder with Overbook's hook: of several folders, preferably one that the runtime reads."""
    folders = (*read, ADMINISTRATORS, UNTIL_BOOT, SHARED)
    return next((folder for folder in folders if swap_owners.exists(root, f"{folder[1:]}/{HOOK_FILE}")), "")
