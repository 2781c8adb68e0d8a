"""The check of the active swap: its size, its disks, and the order in which they are used."""

from collections.abc import Iterator
from typing import Final

from overbook.core.text import shown
from overbook.node.doctor.check import APPLY, Check, HostFinding
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.node.swap import CLEANED_UP, FOLDER

LEAST_PERCENT: Final = 100
"""Up to this percentage no swap is demanded."""


def _swap(facts: HostState) -> Iterator[HostFinding]:
    # Swap that somebody switched off is a finding of its own, with the same fix.
    if not facts.swap_suffices and not facts.switched_off:
        yield _too_small(facts)
    for area in facts.swap:
        yield from _area(area, facts)
        yield from _lasting(area, facts)
    yield from _order(facts.swap)


def _too_small(facts: HostState) -> HostFinding:
    need = f"{facts.percent} % needs {shown(facts.demanded_bytes)}"
    apply = _more(facts)
    if facts.swap_bytes == 0:
        return HostFinding("Broken", "NoSwap", f"swap is off; {need}", apply)
    return HostFinding("Risky", "SwapTooSmall", f"swap has {shown(facts.swap_bytes)}; {need}", apply)


def _more(facts: HostState) -> str:
    """The fix for too little swap: the command, or what the distribution has where it cannot work."""
    if facts.own_setting:
        return f"use {facts.own_setting}"
    kind = " --kind file" if facts.is_left_to_others else ""
    return f"{APPLY}{kind} --percent {facts.percent}"


def _area(area: SwapDevice, facts: HostState) -> Iterator[HostFinding]:
    place = _place(area)
    if area.medium == "network":
        yield HostFinding(
            "Risky",
            "SwapOverNetwork",
            f"swap on {place} is reached over the network, and sending needs memory: the node can hang",
            _elsewhere(area, facts),
        )
    elif area.medium == "heads":
        yield HostFinding(
            "Risky",
            "SlowSwap",
            f"swap on {place} is on a rotating disk: a node that swaps there comes to a standstill",
            "use an NVMe or solid-state disk",
        )
    elif area.medium == "loop":
        yield HostFinding(
            "Risky",
            "LoopSwap",
            f"swap on {place} is a loop device, whose file system needs memory to write: the node can hang",
            _elsewhere(area, facts),
        )
    elif area.medium == "zvol":
        yield HostFinding(
            "Risky",
            "LoopSwap",
            f"swap on {place} is on ZFS or a device of user space, which needs memory to write: the node "
            "can hang",
            _elsewhere(area, facts),
        )
    elif area.medium == "zram":
        yield HostFinding(
            "Note",
            "CompressedSwap",
            f"swap on {place} is zram: swapped-out pages stay in RAM, compressed to a third or a half",
            f"include that in the size, or {_off(area, facts)}overbook node swap apply --kind file",
        )


def _elsewhere(area: SwapDevice, facts: HostState) -> str:
    """The command that makes swap on another medium; a sentence if no better place was found."""
    if facts.own_setting:
        return f"use {facts.own_setting}"
    if facts.better_folder is None or area.deleted:
        return (
            "attach a local disk; then overbook node swap apply with --folder, or --kind device --device, on "
            "that disk: Overbook's swap moves there; switch another program's area off where it is made"
        )
    if not facts.is_own(area):
        return f"swapoff {area.path} && {_apply(facts)}"
    # The swap moves, and the other settings stay. A device is as large as it is, a file needs a size.
    size = f" --percent {facts.percent}" if facts.percent > LEAST_PERCENT else ""
    kind = f" --kind file{size}" if facts.own_kind == "device" else ""
    return f"{APPLY}{kind} --folder {facts.better_folder or FOLDER}"


def _off(area: SwapDevice, facts: HostState) -> str:
    return "" if facts.is_own(area) else f"swapoff {area.path} && "


def _apply(facts: HostState) -> str:
    """The command that makes swap, with a size if no settings are installed."""
    sized = facts.percent > LEAST_PERCENT and facts.provisioning is None
    size = f" --percent {facts.percent}" if sized else ""
    folder = f" --folder {facts.better_folder}" if facts.better_folder else ""
    return f"{APPLY}{size}{folder}"


def _lasting(area: SwapDevice, facts: HostState) -> Iterator[HostFinding]:
    if area.deleted:
        yield HostFinding(
            "Risky",
            "SwapFileDeleted",
            f"the swap file {area.path} was deleted while in use: it is gone at the next boot, and swapoff "
            "cannot name it until then",
            f"make other swap with {_apply(facts)}; the deleted file's space is free after a reboot",
        )
    elif area.path.startswith(CLEANED_UP):
        yield HostFinding(
            "Risky",
            "SwapCleanedUp",
            f"swap on {area.path} is in a folder that is cleaned up: the file can be deleted while in use, "
            "and swap is then missing at the next boot",
            f"swapoff {area.path} && {_apply(facts)}",
        )


def _order(areas: tuple[SwapDevice, ...]) -> Iterator[HostFinding]:
    """Judge the areas' priorities: the kernel fills the highest first, and alternates between equal ones."""
    zrams = [area for area in areas if area.medium == "zram"]
    disks = [area for area in areas if area.medium != "zram"]
    for zram in zrams:
        if before := [disk for disk in disks if disk.priority > zram.priority]:
            yield HostFinding(
                "Risky",
                "SwapOrder",
                f"{before[0].path} (priority {before[0].priority}) is filled before {zram.path} (priority "
                f"{zram.priority}): the fast zram is used only when the disk is full",
                f"give {zram.path} a higher priority than the disk's, in what turns it on",
            )
    later = [disk for disk in disks if any(zram.priority > disk.priority for zram in zrams)]
    if later:
        yield HostFinding(
            "Note",
            "SwapTiers",
            f"zram is filled before {later[0].path}: pages that went out early, which are seldom needed, "
            "stay in zram, and when it is full, pages that are needed more often go to the slower disk",
            "know it: with the disk alone, or zswap before it, the coldest pages are on the disk",
        )
    for place, area in enumerate(areas):
        for other in areas[place + 1 :]:
            if area.priority == other.priority and area.medium != other.medium:
                yield HostFinding(
                    "Note",
                    "SwapStriped",
                    f"{area.path} ({area.medium}) and {other.path} ({other.medium}) have the same priority "
                    f"{area.priority}: the kernel alternates between them, at the slower one's speed",
                    "give the faster one a higher priority",
                )


def _place(area: SwapDevice) -> str:
    return f"{area.path} ({area.lies_on})" if area.lies_on not in {"", area.path} else area.path


def _swap_fine(facts: HostState) -> str:
    if not facts.swap:
        return f"off; {facts.percent} % needs none"
    media = {
        "flash": "a solid-state disk",
        "heads": "a rotating disk",
        "network": "reached over the network",
        "loop": "a loop device",
        "zvol": "a ZFS volume",
        "unknown": "an unknown medium",
        "virtual": "a virtual disk; only the hypervisor knows the real medium",
    }
    areas = "; ".join(f"{_place(area)}, {media.get(area.medium, area.medium)}" for area in facts.swap)
    return f"{shown(facts.swap_bytes)} on; {facts.percent} % needs {shown(facts.demanded_bytes)}: {areas}"


CHECK: Final = Check("swap", _swap, _swap_fine)
