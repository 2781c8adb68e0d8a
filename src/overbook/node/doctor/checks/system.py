"""The check of the system's slices: whether kubelet and runtime may be swapped out."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.system_slices import SYSTEM_SLICE


def _system(facts: HostState) -> Iterator[HostFinding]:
    if not facts.swap:
        return
    for name, limit in _limits(facts):
        if limit != "0":
            yield HostFinding(
                "Risky",
                "SystemSwaps",
                f"{name} may be swapped out (memory.swap.max {limit}): kubelet and runtime would stall "
                "together with the pods",
                TUNE,
            )


def _system_fine(facts: HostState) -> str:
    limits = _limits(facts)
    if not limits or any(limit != "0" for _, limit in limits):
        return ""
    names = " and ".join(name for name, _ in limits)
    return f"{names} {'is' if len(limits) == 1 else 'are'} never swapped out"


def _limits(facts: HostState) -> list[tuple[str, str]]:
    own = [] if facts.system_swap_max is None else [(SYSTEM_SLICE, facts.system_swap_max)]
    return [*own, *facts.other_swap_max.items()]


CHECK: Final = Check("system", _system, _system_fine)
