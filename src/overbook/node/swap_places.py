"""What is said before swap is made: other swap that is on, the medium, and hosts without writable units."""

import os
from collections.abc import Iterator
from typing import Final

from overbook.core.overcommit.swap import node_swap_bytes, swap_suffices
from overbook.core.text import shown
from overbook.kernel.files import KernelFileError
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.swap_medium import LiesOn, read_folder_medium, read_swap_medium
from overbook.kernel.swaps import SwapArea, read_swaps
from overbook.node.swap import UNIT_FOLDER, SwapSettings, is_read_only

_OWN_SETTINGS: Final = {
    "talos": "Talos makes swap itself, from a SwapVolumeConfig in its machine configuration, and ZswapConfig "
    "sets zswap (from 1.11 on)",
    "bottlerocket": "newer Bottlerocket makes a zram area itself and has no setting for its size; "
    "settings.kernel.sysctl sets vm.swappiness",
    "flatcar": "Ignition or Butane writes units and swap files when the machine is provisioned",
}
"""What a distribution has instead, by ID in os-release."""
_SHOWN: Final = {
    "flash": "a solid-state disk",
    "virtual": "a virtual disk, whose medium only the hypervisor knows",
    "heads": "a rotating disk: a node that swaps there comes to a standstill",
    "network": "reached over the network, and sending needs memory: the node can hang",
    "loop": "a loop device, whose file system needs memory to write: the node can hang",
    "zvol": "on ZFS, which needs memory to write: the node can hang",
    "zram": "zram: pages stay in RAM, compressed",
    "unknown": "an unknown medium",
}


def unwritable(root: str) -> str:
    """Why no unit can be written on this host, and what its distribution has instead; empty: it can."""
    if not is_read_only(root, f"{UNIT_FOLDER}/x"):
        return ""
    instead = _OWN_SETTINGS.get(distribution(root), "use the distribution's own setting for swap")
    return (
        f"/{UNIT_FOLDER} is read-only, so no swap can be set up here: {instead}; "
        "`overbook node doctor --percent N` judges the swap that is there"
    )


def distribution(root: str) -> str:
    """The ID in os-release; empty: not known."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        try:
            with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
                lines = file.read(1 << 16).splitlines()
        except OSError:
            continue
        found = (line.partition("=")[2].strip("\"'") for line in lines if line.startswith("ID="))
        return next(found, "")
    return ""


def existing(root: str, percent: int) -> tuple[tuple[SwapArea, ...], int, bool]:
    """All areas that are on, the bytes that the percentage needs, and whether the areas suffice.

    Raises:
        KernelFileError: the areas or the RAM cannot be read.
    """
    areas = read_swaps(root)
    ram = read_meminfo(root).mem_total_bytes
    there = sum(area.size_bytes for area in areas)
    return areas, node_swap_bytes(ram, percent), swap_suffices(ram, there, percent)


def notes(root: str, settings: SwapSettings) -> Iterator[str]:
    """What is worth knowing before swap is made; facts that cannot be read are left out."""
    if why := unwritable(root):
        yield why
    yield from _already(root, settings)
    on = _medium_of(root, settings)
    if on is not None:
        place = settings.folder if settings.kind == "file" else settings.device
        yield f"{place} is on {on.name or 'a device'}: {_SHOWN[on.medium]}"


def _already(root: str, settings: SwapSettings) -> Iterator[str]:
    try:
        areas = [area for area in read_swaps(root) if not _own(area, settings)]
        ram = read_meminfo(root).mem_total_bytes
    except KernelFileError:
        return
    if not areas:
        return
    there = sum(area.size_bytes for area in areas)
    names = ", ".join(described(area, root) for area in areas)
    need = settings.size_bytes or node_swap_bytes(ram, settings.percent)
    if not need:
        yield f"{shown(there)} of other swap are on: {names}"
    elif swap_suffices(ram, there, settings.percent) if not settings.size_bytes else there + _HEADER >= need:
        yield f"{shown(there)} on from {names} suffice for {shown(need)}: nothing to make; apply adds to it"
    else:
        yield (
            f"{shown(there)} on from {names} do not suffice for {shown(need)}; apply would make all of it in "
            f"addition: for the difference alone, use --size {-(-(need - there) // (1 << 20))}Mi"
        )


_HEADER: Final = 1 << 16
"""An area is smaller than its partition by the page of its header, of at most 64 KiB."""


def described(area: SwapArea, root: str) -> str:
    """An area with its medium, if that is known."""
    try:
        return f"{area.filename} ({_SHOWN[read_swap_medium(area, root).medium].partition(':')[0]})"
    except KernelFileError:
        return area.filename


def _own(area: SwapArea, settings: SwapSettings) -> bool:
    own = (f"{settings.folder}/swapfile-", "/dev/mapper/overbook-swap-")
    return area.filename.startswith(own) or (bool(settings.device) and area.filename == settings.device)


def _medium_of(root: str, settings: SwapSettings) -> LiesOn | None:
    try:
        if settings.kind == "file":
            return read_folder_medium(settings.folder, root)
        if settings.kind == "device" and settings.device.startswith("/dev/"):
            return read_swap_medium(SwapArea(settings.device, "partition", 0, 0, 0), root)
    except KernelFileError:
        pass
    return None
