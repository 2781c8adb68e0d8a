"""The files that keep the tuning after a boot: a sysctl.d file, a drop-in of ``system.slice``, a unit."""

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Final

from overbook.node.files import HostFile
from overbook.node.tune.rules import IO_LATENCY_MILLISECONDS, SYSTEM_SLICE, WantedSetting

SYSCTL_FILE: Final = "etc/sysctl.d/99-zz-overbook.conf"
"""The name sorts after the distribution's and the administrator's usual files: the last one wins."""
UNIT_FOLDER: Final = "etc/systemd/system"
SLICE_FILE: Final = f"{UNIT_FOLDER}/{SYSTEM_SLICE}.d/50-overbook.conf"
OVERCOMMIT_UNIT: Final = "overbook-overcommit.service"
OVERCOMMIT_UNIT_FILE: Final = f"etc/systemd/system/{OVERCOMMIT_UNIT}"
OVERCOMMIT_PROGRAM: Final = "usr/local/libexec/overbook/overbook-overcommit"
OVERCOMMIT_PATHS: Final = (OVERCOMMIT_UNIT_FILE, OVERCOMMIT_PROGRAM)
PATHS: Final = (SYSCTL_FILE, SLICE_FILE, *OVERCOMMIT_PATHS)
"""All files that are written on the host, except the one with the old values and other slices' drop-ins."""
USUAL_KUBELET_UNIT: Final = "kubelet.service"

_HEAD: Final = "# Written by `overbook node tune apply`; `overbook node tune remove` takes it away.\n"


def slice_drop_ins(root: str) -> Iterator[str]:
    """The paths of the slices' drop-ins that are there, ``system.slice`` excepted.

    Raises:
        OSError: the folder of units cannot be read.
    """
    folder, name = os.path.join(root, UNIT_FOLDER), os.path.basename(SLICE_FILE)
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = f"{UNIT_FOLDER}/{entry}/{name}"
        if entry.endswith(".slice.d") and path != SLICE_FILE and os.path.exists(os.path.join(root, path)):
            yield path


def sysctl_file(wishes: Iterable[WantedSetting]) -> str:
    """The content of the sysctl.d file. It has no reasons, because these contain numbers that change."""
    lines = (
        f"{wish.name} = {wish.wanted}\n"
        for wish in wishes
        if "/" not in wish.name and wish.present is not None
    )
    return _HEAD + "".join(lines)


def slice_path(slice_: str) -> str:
    """The path of a slice's drop-in."""
    return SLICE_FILE.replace(SYSTEM_SLICE, slice_)


def slice_file(latency_devices: Sequence[str]) -> str:
    """The drop-in of a slice.

    Args:
        latency_devices: devices, or paths of file systems, with a latency target. systemd finds the disk.
    """
    targets = "".join(
        f"IODeviceLatencyTargetSec={device} {IO_LATENCY_MILLISECONDS}ms\n" for device in latency_devices
    )
    return f"{_HEAD}[Slice]\nMemorySwapMax=0\n{targets}"


def host_files(
    wishes: Iterable[WantedSetting],
    *,
    latency_devices: Sequence[str] = (),
    overcommit_off: bool = False,
    kubelet_unit: str = USUAL_KUBELET_UNIT,
    slices: Iterable[str] = (SYSTEM_SLICE,),
) -> dict[str, HostFile]:
    """All files to install: content and mode by path below the host's root.

    Args:
        wishes: the wanted settings.
        latency_devices: as in `slice_file`.
        overcommit_off: whether overcommit is switched off again after each start of the kubelet.
        kubelet_unit: the kubelet's unit.
        slices: the top cgroups that are kept out of swap; only systemd's slices get a file.
    """
    made = {
        SYSCTL_FILE: (sysctl_file(wishes).encode(), 0o644),
    }
    for slice_ in slices:
        if slice_.endswith(".slice"):
            made[slice_path(slice_)] = (slice_file(latency_devices).encode(), 0o644)
    if overcommit_off:
        folder = files("overbook.node.programs")
        unit = (folder / OVERCOMMIT_UNIT).read_text().replace(USUAL_KUBELET_UNIT, kubelet_unit)
        made[OVERCOMMIT_PROGRAM] = ((folder / "overcommit.sh").read_bytes(), 0o755)
        made[OVERCOMMIT_UNIT_FILE] = (unit.encode(), 0o644)
    return made
