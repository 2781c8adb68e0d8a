"""The swap that is on: how much it is, and what it lies on."""

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
    demands = f"{facts.percent} % demands {shown(facts.demanded_bytes)}"
    apply = f"{APPLY} --percent {facts.percent}"
    if facts.swap_bytes == 0:
        return HostFinding("Broken", "NoSwap", f"swap is off; {demands}", apply)
    return HostFinding("Risky", "SwapTooSmall", f"swap has {shown(facts.swap_bytes)}; {demands}", apply)


def _area(area: SwapDevice) -> Iterator[HostFinding]:
    place = _place(area)
    if area.medium == "network":
        yield HostFinding(
            "Risky",
            "SwapOverNetwork",
            f"swap on {place} goes over the network, which needs memory to send: the node can hang",
            f"swapoff {area.path} && {APPLY}",
        )
    elif area.medium == "heads":
        yield HostFinding(
            "Risky",
            "SlowSwap",
            f"swap on {place} is on a disk with heads: a node that swaps there stands still",
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
            f"swap on {place} is zram, which keeps what it holds in RAM, compressed to a third or a half",
            "count that as used, or overbook node swap apply --kind file",
        )


def _place(area: SwapDevice) -> str:
    return f"{area.path} ({area.lies_on})" if area.lies_on not in {"", area.path} else area.path


def _swap_fine(facts: HostState) -> str:
    if not facts.swap:
        return f"off; {facts.percent} % demands none"
    media = {"flash": "no moving parts", "virtual": "a virtual disk: what that lies on, its host knows"}
    areas = "; ".join(f"{_place(area)}, {media.get(area.medium, area.medium)}" for area in facts.swap)
    return f"{shown(facts.swap_bytes)} on; {facts.percent} % demands {shown(facts.demanded_bytes)}: {areas}"


CHECK: Final = Check("swap", _swap, _swap_fine)
