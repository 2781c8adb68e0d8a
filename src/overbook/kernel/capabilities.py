"""The abilities of the running kernel that overcommit needs, and what at boot took one away.

The kernel makes a file in a cgroup only if it can keep what the file is about, so an ability is there if its
file is there in a cgroup that lives. Sources: kernel Documentation/admin-guide/cgroup-v2.rst and
kernel-parameters.txt
(``cgroup_disable``, ``swapaccount``, ``psi``), kernel/cgroup/cgroup-v1.c for /proc/cgroups.
"""

import gzip
import os
import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import (
    KernelFileError,
    MissingKernelFile,
    open_directory,
    read_file,
    subdirectories,
    under,
)
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.machine import page_size_bytes

_SAMPLED_PODS: Final = 4
_SAMPLED: Final = 32
_MOST: Final = 20_000
_CONFIG_LIMIT: Final = 4 << 20
_RELEASE: Final = re.compile(r"[0-9A-Za-z._+~-]+")

MemoryController = Literal["Enabled", "Disabled", "NotBuilt", "Version1", "NotDelegated", "NotKnown"]
"""``Disabled``: by a boot argument. ``Version1``: a hierarchy of cgroup version 1 has the controller.
``NotDelegated``: the kernel has it, and the cgroup above this node's root does not give it. ``NotKnown``: it
is
missing, and the kernel does not say why."""


class KernelCapabilities(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The abilities of the kernel; ``None``: there is no cgroup in which that can be seen.

    Attributes:
        memory_controller: whether memory can be counted and limited for each cgroup, and why not.
        memory_ends_at: the cgroup above pods that does not enable the controller for those below; ``""`` is
            the root, ``None``: all of them enable it, or that is not shown.
        swap_counted: whether swap is counted and limited for each cgroup.
        stalls_missing_in: the cgroup above pods that has no ``memory.pressure``; ``None``: all have it.
        stalls_switched_off: whether ``cgroup.pressure`` of that cgroup is 0.
        reclaims: whether cgroups have ``memory.reclaim``.
        page_bytes: bytes in a page.
        boot_arguments: the words of the kernel's command line.
        not_built: of the options that were looked for, those without which the kernel is known to be built.
    """

    memory_controller: MemoryController = "Enabled"
    memory_ends_at: str | None = None
    swap_counted: bool | None = None
    stalls_missing_in: str | None = None
    stalls_switched_off: bool = False
    reclaims: bool | None = None
    page_bytes: int = 4096
    boot_arguments: tuple[str, ...] = ()
    not_built: frozenset[str] = frozenset()

    @property
    def limits_swap(self) -> bool:
        """Whether the swap of a cgroup can be limited, as far as that is known."""
        is_there = self.memory_controller == "Enabled" and self.memory_ends_at is None
        return is_there and self.swap_counted is not False


def read_capabilities(
    root: str | os.PathLike[str] = "/", scanner: PodScanner | None = None
) -> KernelCapabilities:
    """The abilities of the kernel whose files are below `root`.

    Args:
        root: The file-system root that has /sys/fs/cgroup and /proc below it.
        scanner: One that scanned the same tree before, which makes this cheaper.

    Raises:
        KernelFileError: There is no cgroup tree of version 2 below the root.
    """
    controllers = check_cgroup2(root).controllers
    arguments = boot_arguments(root)
    not_built = options_not_built(root, ("CONFIG_MEMCG", "CONFIG_PSI", "CONFIG_SWAP", "CONFIG_ZSWAP"))
    fixed = KernelCapabilities(
        page_bytes=page_size_bytes(),
        boot_arguments=arguments,
        not_built=not_built,
        memory_controller="Enabled",
    )
    replace = msgspec.structs.replace
    if "memory" not in controllers:
        return replace(fixed, memory_controller=_why_missing(root, not_built))
    scanner = scanner or PodScanner(root)
    pods = scanner.scan()[:_SAMPLED_PODS]
    above = [path for path, _ in scanner.class_paths]
    containers = [container.path for pod in pods for container in pod.containers]
    ends_at = _memory_ends_at(root, (*above, *(pod.path for pod in pods), *containers))
    if ends_at == "":
        return replace(fixed, memory_ends_at="")
    counted = [*_top(root), *above, *(pod.path for pod in pods), *containers]
    if ends_at is not None:
        counted = [path for path in counted if path == ends_at or not path.startswith(f"{ends_at}/")]
    in_use = [path for path in counted if _has(root, path, "memory.current")]
    stalls = next((path for path in (*above, *containers) if _lacks_stalls(root, path)), None)
    return replace(
        fixed,
        memory_ends_at=ends_at,
        swap_counted=_counts_swap(root, counted) if counted else None,
        stalls_missing_in=stalls,
        stalls_switched_off=stalls is not None and _word(root, stalls, "cgroup.pressure") == "0",
        reclaims=any(_has(root, path, "memory.reclaim") for path in in_use) if in_use else None,
    )


def boot_arguments(root: str | os.PathLike[str] = "/") -> tuple[str, ...]:
    """The words of the kernel's command line; none if it cannot be read."""
    try:
        return tuple(read_file(under(root, "/proc/cmdline")).decode("utf-8", "replace").split())
    except KernelFileError:
        return ()


def options_not_built(root: str | os.PathLike[str], names: tuple[str, ...]) -> frozenset[str]:
    """Those of the build options that are off in this kernel's configuration, where that is there."""
    text = _configuration(root)
    return frozenset(
        name for name in names if text and f"# {name} is not set" in text and f"\n{name}=" not in text
    )


def parse_memory_line(data: bytes) -> tuple[int, bool] | None:
    """The memory controller's hierarchy in /proc/cgroups, and whether it is enabled; ``None``: no line."""
    for line in data.decode("ascii", "replace").splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[0] == "memory" and fields[1].isdigit():
            return int(fields[1]), fields[3] != "0"
    return None


def _why_missing(root: str | os.PathLike[str], not_built: frozenset[str]) -> MemoryController:
    if "CONFIG_MEMCG" in not_built:
        return "NotBuilt"
    try:
        data = read_file(under(root, "/proc/cgroups"))
    except KernelFileError:
        return "NotKnown"
    line = parse_memory_line(data)
    if line is None:
        # Since Linux 6.14 the file shows controllers of version 1 only.
        return "NotKnown"
    hierarchy, enabled = line
    if not enabled:
        return "Disabled"
    return "Version1" if hierarchy else "NotDelegated"


def _memory_ends_at(root: str | os.PathLike[str], paths: tuple[str, ...]) -> str | None:
    """The highest cgroup above one of these paths that does not enable the memory controller."""
    looked: set[str] = set()
    for path in ("x", *paths):
        parts = path.split("/")
        for depth in range(len(parts)):
            parent = "/".join(parts[:depth])
            if parent in looked:
                continue
            looked.add(parent)
            enabled = _word(root, parent, "cgroup.subtree_control")
            if enabled is not None and "memory" not in enabled.split():
                return parent
    return None


def _counts_swap(root: str | os.PathLike[str], likely: list[str]) -> bool | None:
    """Whether a cgroup has ``memory.swap.max``; before that is denied, all of them are looked at.

    Returns:
        None: there are too many.
    """
    if any(_has(root, path, "memory.swap.max") for path in likely):
        return True
    met = 0
    for _, directories, files in os.walk(under(root, CGROUP_MOUNT)):
        met += len(directories)
        if "memory.swap.max" in files:
            return True
        if met > _MOST:
            return None
    return False


def _lacks_stalls(root: str | os.PathLike[str], path: str) -> bool:
    return _has(root, path, "memory.current") and not _has(root, path, "memory.pressure")


def _top(root: str | os.PathLike[str]) -> Iterator[str]:
    """The two highest levels of cgroups; those of units may lack files where their slice has them."""
    for name in _below(root, ""):
        yield name
        for child in _below(root, name):
            yield f"{name}/{child}"


def _below(root: str | os.PathLike[str], path: str) -> list[str]:
    try:
        fd = open_directory(under(root, f"{CGROUP_MOUNT}/{path}"))
    except MissingKernelFile:
        return []
    try:
        return [name for name, _ in subdirectories(fd, path)][:_SAMPLED]
    except MissingKernelFile:
        return []
    finally:
        os.close(fd)


def _has(root: str | os.PathLike[str], path: str, name: str) -> bool:
    return os.path.exists(under(root, f"{CGROUP_MOUNT}/{path}/{name}"))


def _word(root: str | os.PathLike[str], path: str, name: str) -> str | None:
    try:
        return read_file(under(root, f"{CGROUP_MOUNT}/{path}/{name}")).decode("ascii", "replace").strip()
    except KernelFileError:
        return None


def _configuration(root: str | os.PathLike[str]) -> str:
    """The options with which this kernel was built, as text; empty if they are not there."""
    try:
        with gzip.open(under(root, "/proc/config.gz")) as packed:
            return packed.read(_CONFIG_LIMIT).decode("ascii", "replace")
    except (OSError, EOFError):
        pass
    try:
        release = read_file(under(root, "/proc/sys/kernel/osrelease")).decode("ascii", "replace").strip()
    except KernelFileError:
        return ""
    if not _RELEASE.fullmatch(release):
        return ""
    for path in (
        f"/boot/config-{release}",
        f"/lib/modules/{release}/config",
        f"/usr/lib/modules/{release}/config",
    ):
        try:
            with open(under(root, path), encoding="ascii", errors="replace") as file:
                return file.read(_CONFIG_LIMIT)
        except OSError:
            continue
    return ""
