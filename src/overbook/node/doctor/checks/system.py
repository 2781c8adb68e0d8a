"""The check of ``system.slice``: whether kubelet and runtime may be swapped out."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState


def _system(facts: HostState) -> Iterator[HostFinding]:
    if facts.system_swap_max not in {None, "0"} and facts.swap:
        yield HostFinding(
            "Risky",
            "SystemSwaps",
            f"system.slice may be swapped out (memory.swap.max {facts.system_swap_max}): kubelet and runtime "
            "would stall together with the pods",
            TUNE,
        )


def _system_fine(facts: HostState) -> str:
    return "system.slice is never swapped out" if facts.system_swap_max == "0" else ""


CHECK: Final = Check("system", _system, _system_fine)
