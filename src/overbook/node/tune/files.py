"""The files that keep the tuning after a boot: a sysctl.d file, a drop-in of ``system.slice``, a unit."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Final

from overbook.node.files import HostFile
from overbook.node.tune.rules import IO_LATENCY_MILLISECONDS, WantedSetting

SYSCTL_FILE: Final = "etc/sysctl.d/99-zz-overbook.conf"
"""The name sorts after the distribution's and the administrator's usual files: the last one wins."""
SLICE_FILE: Final = "etc/systemd/system/system.slice.d/50-overbook.conf"
OVERCOMMIT_UNIT: Final = "overbook-overcommit.service"
OVERCOMMIT_UNIT_FILE: Final = f"etc/systemd/system/{OVERCOMMIT_UNIT}"
OVERCOMMIT_PROGRAM: Final = "usr/local/libexec/overbook/overbook-overcommit"
OVERCOMMIT_PATHS: Final = (OVERCOMMIT_UNIT_FILE, OVERCOMMIT_PROGRAM)
PATHS: Final = (SYSCTL_FILE, SLICE_FILE, *OVERCOMMIT_PATHS)
"""All files that are written on the host, except the one with the old values."""
USUAL_KUBELET_UNIT: Final = "kubelet.service"

_HEAD: Final = "# Written by `overbook node tune apply`; `overbook node tune remove` takes it away.\n"


def sysctl_file(wishes: Iterable[WantedSetting]) -> str:
    """The content of the sysctl.d file. It has no reasons, because these contain numbers that change."""
    lines = (
        f"{wish.name} = {wish.wanted}\n"
        for wish in wishes
        if "/" not in wish.name and wish.present is not None
    )
    return _HEAD + "".join(lines)


def slice_file(latency_devices: Sequence[str]) -> str:
    """The drop-in of ``system.slice``.

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
) -> dict[str, HostFile]:
    """All files to install: content and mode by path below the host's root.

    Args:
        wishes: the wanted settings.
        latency_devices: as in `slice_file`.
        overcommit_off: whether overcommit is switched off again after each start of the kubelet.
        kubelet_unit: the kubelet's unit.
    """
    made = {
        SYSCTL_FILE: (sysctl_file(wishes).encode(), 0o644),
        SLICE_FILE: (slice_file(latency_devices).encode(), 0o644),
    }
    if overcommit_off:
        folder = files("overbook.node.programs")
        unit = (folder / OVERCOMMIT_UNIT).read_text().replace(USUAL_KUBELET_UNIT, kubelet_unit)
        made[OVERCOMMIT_PROGRAM] = ((folder / "overcommit.sh").read_bytes(), 0o755)
        made[OVERCOMMIT_UNIT_FILE] = (unit.encode(), 0o644)
    return made
