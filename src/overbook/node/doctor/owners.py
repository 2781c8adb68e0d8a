"""Other programs that manage swap on this node: wasp-agent, its successor, fstab and units, NRI plugins.

It can be seen that a plugin exists, but not what it writes.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Final

from overbook.kernel.swaps import SwapArea
from overbook.kernel.unix_sockets import read_connections
from overbook.node.doctor.diagnosis import WASP_AGENT_LEFTOVERS
from overbook.node.doctor.swap_makers import (
    is_target_masked,
    listed,
    makers,
    swap_units,
    switches,
    unexplained,
    zram_generators,
)
from overbook.node.kubelet import CommandLines, command_lines
from overbook.nri.connection import NRI_SOCKETS

WASP_AGENT: Final = frozenset({"wasp", "wasp-agent"})
_OWNERS: Final = (
    # Sources of the autopilot's names: its assets machine-config/01-swap-enable and
    # 09-file-based-swap-provisioning, in openshift-virtualization/virt-platform-autopilot.
    ("virt-platform-autopilot", "usr/local/bin/kubevirt-provision-file-swap.sh"),
    ("virt-platform-autopilot", "var/usrlocal/bin/kubevirt-provision-file-swap.sh"),
    (
        "virt-platform-autopilot",
        "etc/systemd/system/ocpswap-file-enable.service.d/10-wait-for-provisioning.conf",
    ),
    (
        "the MachineConfig of Red Hat's document or virt-platform-autopilot",
        "etc/systemd/system/swap-provision.service",
    ),
    ("virt-platform-autopilot", "etc/systemd/system/swap-disk-enable.service"),
    ("virt-platform-autopilot", "etc/systemd/system/ocpswap-file-enable.service"),
    ("virt-platform-autopilot", "etc/systemd/system/kubevirt-tune-watermarks.service"),
    ("virt-platform-autopilot", "etc/systemd/system/kubevirt-io-latency-setup.service"),
    ("virt-platform-autopilot", "etc/openshift/kubelet.conf.d/90-swap.conf"),
)
NRI_PLUGINS: Final = "opt/nri/plugins"
_MOST_BYTES: Final = 1 << 20


def leftovers(root: str) -> tuple[str, ...]:
    """Existing files of wasp-agent, below the root.

    Raises:
        OSError: a folder cannot be read.
    """
    present(root, "etc", "run", "opt")
    return tuple(path for path in WASP_AGENT_LEFTOVERS if exists(root, path))


def owners(root: str, lines: CommandLines | None = None) -> tuple[str, ...]:
    """Other programs that manage swap, found by their files or their processes.

    Raises:
        OSError: a folder cannot be read.
    """
    present(root, "etc")
    found = {f"{name} (/{path})": None for name, path in _OWNERS if exists(root, path)}
    found.update(
        (f"wasp-agent (process {pid})", None)
        for pid in _wasp_agents(command_lines(root) if lines is None else lines)
    )
    found.update((maker, None) for maker in makers(root))
    return tuple(found)


def boot_swap(root: str) -> tuple[str, ...]:
    """What turns swap on at boot, except Overbook's units.

    Raises:
        OSError: a folder cannot be read.
    """
    present(root, "etc", "run")
    return (*(() if is_target_masked(root) else _by_target(root)), *switches(root)[0])


def masked_swap(root: str) -> tuple[str, ...]:
    """What would turn swap on at boot if ``swap.target`` were not masked; empty: it is not.

    Raises:
        OSError: a folder cannot be read.
    """
    present(root, "etc", "run")
    return _by_target(root) if is_target_masked(root) else ()


def _by_target(root: str) -> tuple[str, ...]:
    # A generator made these units from fstab; its entries are enough.
    fstab = [f"/etc/fstab ({device})" for device in _fstab_swap(root)]
    units = [unit for unit in swap_units(root) if not (fstab and "/generator" in unit)]
    return (*fstab, *units, *(f"/{path}" for path in zram_generators(root)))


def swap_off(root: str) -> tuple[str, ...]:
    """What runs ``swapoff`` at boot or from time to time.

    Raises:
        OSError: a file cannot be read.
    """
    present(root, "etc")
    return switches(root)[1]


def unexplained_swap(root: str, areas: Iterable[SwapArea]) -> tuple[str, ...]:
    """The areas that neither fstab, nor a unit, nor zram's generator turns on.

    Raises:
        OSError: a file cannot be read.
    """
    present(root, "etc", "run")
    zram = bool(zram_generators(root))
    names = [area.filename for area in areas if not (zram and area.filename.startswith("/dev/zram"))]
    return unexplained(root, names, [*_fstab_swap(root), *swap_units(root).values()])


def nri_plugins(root: str) -> tuple[str, ...]:
    """The NRI plugins that the runtime starts itself.

    Raises:
        OSError: a folder cannot be read.
    """
    present(root, os.path.dirname(os.path.dirname(NRI_PLUGINS)))
    return tuple(name for name in listed(root, NRI_PLUGINS) if not name.startswith("."))


def nri_connections(root: str) -> int:
    """The number of programs that are connected to the runtime by NRI, with Overbook's agent.

    Raises:
        KernelFileError: the list of sockets cannot be read.
    """
    return read_connections(frozenset(f"/{path}" for path in NRI_SOCKETS), root)


def present(root: str, *folders: str) -> None:
    """Check that folders exist that every host has.

    Raises:
        FileNotFoundError: one is missing, so the root is not the whole file system of a host.
    """
    for folder in folders:
        if not os.path.isdir(os.path.join(root, folder)):
            raise FileNotFoundError(2, "no such folder, so its content is not known", f"/{folder}")


def exists(root: str, path: str) -> bool:
    """Whether there is a file of this name.

    Raises:
        OSError: that cannot be read.
    """
    try:
        os.lstat(os.path.join(root, path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _fstab_swap(root: str) -> Iterator[str]:
    try:
        with open(os.path.join(root, "etc/fstab"), encoding="utf-8", errors="replace") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        fields = line.partition("#")[0].split()
        if len(fields) >= 3 and fields[2] == "swap" and "noauto" not in "".join(fields[3:4]).split(","):
            yield fields[0]


def _wasp_agents(lines: Iterable[tuple[int, list[str]]]) -> Iterator[int]:
    return (pid for pid, words in lines if os.path.basename(words[0]) in WASP_AGENT)
