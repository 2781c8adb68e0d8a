"""Who else manages swap on this node: the original agent, its successor, fstab and units, NRI plugins.

What a plugin writes does not show from outside; that there is one does.
"""

import os
from collections.abc import Iterator
from typing import Final

from overbook.kernel.unix_sockets import read_connections
from overbook.node.doctor.diagnosis import ORIGINAL_LEFTOVERS
from overbook.node.kubelet import command_lines
from overbook.nri.connection import NRI_SOCKETS

ORIGINAL_AGENT: Final = frozenset({"wasp", "wasp-agent"})
_OWNERS: Final = (
    ("the documented MachineConfig", "etc/systemd/system/swap-provision.service"),
    ("virt-platform-autopilot", "etc/systemd/system/swap-disk-enable.service"),
    ("virt-platform-autopilot", "etc/systemd/system/ocpswap-file-enable.service"),
    ("virt-platform-autopilot", "etc/openshift/kubelet.conf.d/90-swap.conf"),
)
_UNIT_FOLDERS: Final = ("etc/systemd/system", "run/systemd/generator", "run/systemd/generator.late")
_ZRAM_GENERATOR: Final = ("etc/systemd/zram-generator.conf", "usr/lib/systemd/zram-generator.conf")
NRI_PLUGINS: Final = "opt/nri/plugins"
_MOST_BYTES: Final = 1 << 20


def leftovers(root: str) -> tuple[str, ...]:
    """Files of the original agent, below the root.

    Raises:
        OSError: it cannot be told.
    """
    present(root, "etc", "run", "opt")
    return tuple(path for path in ORIGINAL_LEFTOVERS if exists(root, path))


def owners(root: str) -> tuple[str, ...]:
    """Others that manage swap by what they put on the host or run there.

    Raises:
        OSError: it cannot be told.
    """
    present(root, "etc")
    found = {f"{name} (/{path})": None for name, path in _OWNERS if exists(root, path)}
    found.update((f"the original agent (process {pid})", None) for pid in _original_agents(root))
    return tuple(found)


def boot_swap(root: str) -> tuple[str, ...]:
    """What turns swap on at boot, beside our units.

    Raises:
        OSError: it cannot be told.
    """
    present(root, "etc", "run")
    units = (f"/{folder}/{name}" for folder in _UNIT_FOLDERS for name in _listed(root, folder))
    # A unit that a generator made of fstab is told by its entry there.
    fstab = [f"/etc/fstab ({device})" for device in _fstab_swap(root)]
    swap_units = [unit for unit in units if unit.endswith(".swap") and not (fstab and "generator" in unit)]
    zram = [f"/{path}" for path in _ZRAM_GENERATOR if exists(root, path)]
    return (*fstab, *swap_units, *zram)


def nri_plugins(root: str) -> tuple[str, ...]:
    """Plugins that the runtime starts by itself.

    Raises:
        OSError: it cannot be told.
    """
    present(root, os.path.dirname(os.path.dirname(NRI_PLUGINS)))
    return tuple(name for name in _listed(root, NRI_PLUGINS) if not name.startswith("."))


def nri_connections(root: str) -> int:
    """Programs that speak NRI with the runtime, our agent among them.

    Raises:
        KernelFileError: it cannot be told.
    """
    return read_connections(frozenset(f"/{path}" for path in NRI_SOCKETS), root)


def present(root: str, *folders: str) -> None:
    """Make sure that a folder that every host has is there to be looked into.

    Raises:
        FileNotFoundError: it is not: the root is no whole file system of a host.
    """
    for folder in folders:
        if not os.path.isdir(os.path.join(root, folder)):
            raise FileNotFoundError(2, "no such folder, so it does not show what lies there", f"/{folder}")


def exists(root: str, path: str) -> bool:
    """Whether there is a file of this name.

    Raises:
        OSError: it cannot be told.
    """
    try:
        os.lstat(os.path.join(root, path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _listed(root: str, folder: str) -> list[str]:
    try:
        return sorted(os.listdir(os.path.join(root, folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []


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


def _original_agents(root: str) -> Iterator[int]:
    return (pid for pid, words in command_lines(root) if os.path.basename(words[0]) in ORIGINAL_AGENT)
