"""What is said before swap is made: other swap that is on, the medium, and hosts without writable units."""

import os
from collections.abc import Iterator
from typing import Final

from overbook.core.overcommit.swap import node_swap_bytes, ordinary_bytes, swap_suffices
from overbook.core.text import shown
from overbook.kernel.files import KernelFileError
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.swap_medium import LiesOn, read_folder_medium, read_swap_medium
from overbook.kernel.swaps import SwapArea, read_swaps
from overbook.node.swap import UNIT_FOLDER, SwapSettings, is_read_only, read_state
from overbook.node.swap_own import own_areas

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
    return (
        f"/{UNIT_FOLDER} is read-only, so no swap can be set up here: {own_setting(root)}; "
        "`overbook node swap apply --kind existing --percent N` judges the swap that is there"
    )


def own_setting(root: str) -> str:
    """What a distribution without writable units has for swap; empty: units can be written."""
    if not is_read_only(root, f"{UNIT_FOLDER}/x"):
        return ""
    return _OWN_SETTINGS.get(distribution(root), "the distribution's own setting for swap")


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


def existing(root: str, settings: SwapSettings) -> tuple[tuple[SwapArea, ...], int, bool]:
    """All areas that are on, the bytes that the settings need, and whether the areas suffice.

    Raises:
        KernelFileError: the areas or the RAM cannot be read.
    """
    areas = read_swaps(root)
    there = sum(area.size_bytes for area in areas)
    ram = _ram(root)
    if settings.size_bytes:
        return areas, settings.size_bytes, there + _HEADER >= settings.size_bytes
    return areas, node_swap_bytes(ram, settings.percent), swap_suffices(ram, there, settings.percent)


def other_bytes(root: str, installed: SwapSettings | None) -> int:
    """The swap of other programs that counts towards the percentage.

    Swap that came on after Overbook's own was made does not count: Overbook's swap never becomes smaller by
    itself.

    Raises:
        KernelFileError: the areas cannot be read.
        InvalidInput: a settings file is not one of Overbook's.
        OSError: a settings file cannot be read.
    """
    there = sum(area.size_bytes for area in _others(root))
    made = installed is not None and installed.kind != "existing"
    return min(installed.other_bytes, there) if installed and made else there


def sufficing(root: str, settings: SwapSettings) -> str:
    """Why nothing is to be made: other swap suffices for the percentage; empty: it does not."""
    try:
        ram = _ram(root)
        need = node_swap_bytes(ram, settings.percent)
        if settings.size_bytes or not need or not settings.other_bytes:
            return ""
        if not swap_suffices(ram, settings.other_bytes, settings.percent):
            return ""
        names = ", ".join(described(area, root) for area in _others(root))
    except KernelFileError:
        return ""
    return f"{shown(settings.other_bytes)} on from {names} suffice for {shown(need)}: nothing to make"


def _others(root: str) -> list[SwapArea]:
    areas = read_swaps(root)
    own = own_areas(root, areas, read_state(root))
    return [area for area in areas if area.filename not in own]


def _ram(root: str) -> int:
    memory = read_meminfo(root)
    return ordinary_bytes(memory.mem_total_bytes, memory.hugetlb_bytes or 0)


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
    if why := sufficing(root, settings):
        yield f"{why}; --size makes swap in addition"
        return
    try:
        areas = _others(root)
        ram = _ram(root)
    except KernelFileError:
        return
    if not areas:
        return
    there = shown(sum(area.size_bytes for area in areas))
    names = ", ".join(described(area, root) for area in areas)
    need = 0 if settings.size_bytes else node_swap_bytes(ram, settings.percent)
    if not need:
        yield f"{there} of other swap are on: {names}"
    elif settings.other_bytes:
        missing = shown(max(0, need - settings.other_bytes))
        yield f"{there} on from {names} do not suffice for {shown(need)}: only the missing {missing} are made"
    else:
        yield f"{there} on from {names} came later than Overbook's swap, and do not count for {shown(need)}"


_HEADER: Final = 1 << 16
"""An area is smaller than its partition by the page of its header, of at most 64 KiB."""


def described(area: SwapArea, root: str) -> str:
    """An area with its medium, if that is known."""
    try:
        return f"{area.filename} ({_SHOWN[read_swap_medium(area, root).medium].partition(':')[0]})"
    except KernelFileError:
        return area.filename


def _medium_of(root: str, settings: SwapSettings) -> LiesOn | None:
    try:
        if settings.kind == "file":
            return read_folder_medium(settings.folder, root)
        if settings.kind == "device" and settings.device.startswith("/dev/"):
            return read_swap_medium(SwapArea(settings.device, "partition", 0, 0, 0), root)
    except KernelFileError:
        pass
    return None
