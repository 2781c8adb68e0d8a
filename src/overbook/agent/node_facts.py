"""Collects what the doctor judges, below the host's root. What cannot be read is told and never guessed."""

import errno
import os
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import msgspec

from overbook.agent import swap_owners
from overbook.agent.configuration_file import document_fields
from overbook.core.allowance import SwapPolicy
from overbook.core.errors import InvalidInput
from overbook.core.host_facts import HostFacts, Subject, SwapDevice
from overbook.core.swap import node_swap_bytes
from overbook.core.swap_writer import Writer
from overbook.core.watermark import Watermarks
from overbook.host.swap_service import STATE
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError, MissingKernelFile, read_file, under
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.psi import read_pressure
from overbook.kernel.swap_medium import LiesOn, read_swap_medium
from overbook.kernel.swaps import SwapArea, read_swaps
from overbook.kernel.sysctl import VM_OVERCOMMIT_MEMORY, VM_PANIC_ON_OOM, VM_SWAPPINESS, IntegerSysctl
from overbook.kernel.zoneinfo import read_zoneinfo
from overbook.runtime.hook_folders import hook_folders
from overbook.runtime.kubelet import find_kubelet

T = TypeVar("T")

HOOK: Final = "overbook-swap.json"
HOOK_FOLDERS: Final = (
    "usr/share/containers/oci/hooks.d",
    "etc/containers/oci/hooks.d",
    "run/containers/oci/hooks.d",
)
"""Where one would look for our hook, beside the folders that the runtime reads."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the node's owner wants, as far as it decides what is wrong.

    Attributes:
        policy: who may swap, how much, and the percentage.
        writer: who shall write the limits.
    """

    policy: SwapPolicy = SwapPolicy()
    writer: Writer | Literal["auto"] = "auto"


def host_facts(root: str, asked: Asked) -> HostFacts:
    """The facts as they are now; it never fails.

    Args:
        root: the host's file system.
        asked: what is wanted.
    """
    look = _Look()
    kubelet = look.at("kubelet", lambda: find_kubelet(_kubelet_fields, root), None)
    if "kubelet" in look.unread:
        look.unread["writer"] = look.unread["watermarks"] = "the kubelet's configuration is not known"
    memory_bytes = look.at("swap", lambda: read_meminfo(root).mem_total_bytes, 0)
    nowhere: tuple[str, ...] = ()
    read = look.at("hook", lambda: _hook_folders(root), nowhere)
    version = look.at("cgroup", lambda: _cgroup_version(root), None)
    if version is None:
        look.unread["system"] = "the cgroup version is not known"
    return HostFacts(
        memory_bytes=memory_bytes,
        cgroup_version=version,
        pressure=look.at("pressure", lambda: _pressure(root), None),
        swap=look.at("swap", lambda: tuple(look.area(area, root) for area in _areas(root)), ()),
        demanded_bytes=node_swap_bytes(memory_bytes, asked.policy.percent) if memory_bytes else 0,
        provisioning=look.at("provisioning", lambda: _provisioning(root), None),
        kubelet=kubelet.configuration if kubelet else None,
        kubelet_limits=kubelet.limits_swap if kubelet else None,
        eligibility=asked.policy.eligibility,
        allowance=asked.policy.allowance,
        writer_asked=asked.writer,
        nri_socket=look.at("writer", lambda: swap_owners.nri_socket(root), ""),
        swappiness=look.at("swappiness", lambda: _sysctl(VM_SWAPPINESS, root), None),
        overcommit_memory=look.at("promises", lambda: _sysctl(VM_OVERCOMMIT_MEMORY, root), None),
        panic_on_oom=look.at("promises", lambda: _sysctl(VM_PANIC_ON_OOM, root), None),
        watermarks=look.at("watermarks", lambda: _watermarks(root), None),
        system_swap_max=look.at("system", lambda: _system_swap_max(root), None) if version == 2 else None,
        hook_folder=look.at("hook", lambda: _hook_folder(root, read), ""),
        hook_folders_read=read,
        leftovers=look.at("original", lambda: swap_owners.leftovers(root), ()),
        owners=look.at("owners", lambda: swap_owners.owners(root), ()),
        boot_swap=look.at("owners", lambda: swap_owners.boot_swap(root), ()),
        nri_plugins=look.at("owners", lambda: swap_owners.nri_plugins(root), ()),
        nri_connections=look.at("owners", lambda: swap_owners.nri_connections(root), 0),
        unread=look.unread,
    )


class _Look:
    """Looks, and remembers why it could not; the first reason of a subject stays."""

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
        return SwapDevice(area.filename, area.size_bytes, on.medium, on.name)


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
    """Without the file nothing limits the slice; without the slice there is nothing to limit."""
    slice_path = under(root, f"{CGROUP_MOUNT}/system.slice")
    if not os.path.isdir(slice_path):
        return None
    try:
        return read_file(f"{slice_path}/memory.swap.max").decode("ascii", "replace").strip()
    except MissingKernelFile:
        return "max"


def _provisioning(root: str) -> tuple[str, str] | None:
    """Word and sentence of the state file; ``None``: nothing was provisioned since the boot."""
    swap_owners.present(root, os.path.dirname(os.path.dirname(STATE)))
    try:
        text = read_file(os.path.join(root, STATE)).decode("utf-8", "replace")
    except MissingKernelFile:
        return None
    written = dict(line.partition("=")[::2] for line in text.splitlines())
    return written.get("state", "Unreadable"), written.get("sentence", "its state file says nothing")


def _kubelet_fields(data: bytes, path: str) -> dict[str, Any]:
    return document_fields(data, path, "KubeletConfiguration")


def _hook_folders(root: str) -> tuple[str, ...]:
    swap_owners.present(root, "etc", "usr")
    return hook_folders(root)


def _hook_folder(root: str, read: tuple[str, ...]) -> str:
    """Where our hook lies; of several places one that is read."""
    places = (*read, *(f"/{folder}" for folder in HOOK_FOLDERS))
    return next((place for place in places if swap_owners.exists(root, f"{place.lstrip('/')}/{HOOK}")), "")
