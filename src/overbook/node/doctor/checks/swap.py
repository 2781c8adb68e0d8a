"""The check of the active swap: its size and its disks."""

from collections.abc import Iterator
from typing import Final

from overbook.core.text import shown
from overbook.node.doctor.check import APPLY, Check, HostFinding
from overbook.node.doctor.facts import HostState, SwapDevice


def _swap(facts: HostState) -> Iterator[HostFinding]:
    if not facts.swap_suffices:
        yield _too_small(facts)
    for area in facts.swap:
        yield from _area(area)


def _too_small(facts: HostState) -> HostFinding:
    need = f"{facts.percent} % needs {shown(facts.demanded_bytes)}"
    apply = f"{APPLY} --percent {facts.percent}"
    if facts.swap_bytes == 0:
        return HostFinding("Broken", "NoSwap", f"swap is off; {need}", apply)
    return HostFinding("Risky", "SwapTooSmall", f"swap has {shown(facts.swap_bytes)}; {need}", apply)


def _area(area: SwapDevice) -> Iterator[HostFinding]:
    place = _place(area)
    if area.medium == "network":
        yield HostFinding(
            "Risky",
            "SwapOverNetwork",
            f"swap on {place} is reached over the network, and sending needs memory: the node can hang",
            f"swapoff {area.path} && {APPLY}",
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
            f"swapoff {area.path} && {APPLY}",
        )
    elif area.medium == "zram":
        yield HostFinding(
            "Note",
            "CompressedSwap",
            f"swap on {place} is zram: swapped-out pages stay in RAM, compressed to a third or a half",
            "include that in the size, or run overbook node swap apply --kind file",
        )


def _place(area: SwapDevice) -> str:
    return f"{area.path} ({area.lies_on})" if area.lies_on not in {"", area.path} else area.path


def _swap_fine(facts: HostState) -> str:
    if not facts.swap:
        return f"off; {facts.percent} % needs none"
    media = {
        "flash": "a solid-state disk",
        "virtual": "a virtual disk; only the hypervisor knows the real medium",
    }
    areas = "; ".join(f"{_place(area)}, {media.get(area.medium, area.medium)}" for area in facts.swap)
    return f"{shown(facts.swap_bytes)} on; {facts.percent} % needs {shown(facts.demanded_bytes)}: {areas}"


CHECK: Final = Check("swap", _swap, _swap_fine)
