"""The check of the cgroups above containers: whether one of them bounds the swap of all below it."""

from collections.abc import Iterator
from typing import Final

from overbook.core.text import shown
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.drop_in import drop_in_command
from overbook.node.swap_rooms import SwapRoom


def _rooms(facts: HostState) -> Iterator[HostFinding]:
    if not facts.swap:
        return
    for room in facts.swap_rooms:
        limit = room.limit_bytes
        if limit == 0:
            yield HostFinding(
                "Broken", "SwapForbidden", f"{_forbidden(room)} (memory.swap.max 0)", _fix(room)
            )
        elif limit is not None and limit < min(facts.demanded_bytes, facts.swap_bytes):
            needed = min(facts.demanded_bytes, facts.swap_bytes)
            yield HostFinding(
                "Risky",
                "SwapBounded",
                f"all below {_name(room)} may swap {shown(limit)} together (memory.swap.max); "
                f"{facts.percent} % needs {shown(needed)} of the {shown(facts.swap_bytes)} that are on",
                _fix(room),
            )


def _forbidden(room: SwapRoom) -> str:
    if room.pods:
        pods = "1 pod" if len(room.pods) == 1 else f"{len(room.pods)} pods"
        name = _unit(room)
        return f"{pods} cannot swap whatever the containers' own limits are, such as {name}"
    return f"nothing below {_name(room)} can swap, whatever the containers' own limits are"


def _fix(room: SwapRoom) -> str:
    if not room.path:
        return "allow swap to this container on its host (LXD: lxc config set NAME limits.memory.swap true)"
    write = f"echo max > {CGROUP_MOUNT}/{room.path}/memory.swap.max"
    if len(room.pods) > 1:
        return f"echo max | tee {' '.join(f'{CGROUP_MOUNT}/{pod}/memory.swap.max' for pod in room.pods)}"
    if room.setting is None or room.setting.value == "infinity":
        return write
    unit = _unit(room)
    return f"{drop_in_command(unit, ('MemorySwapMax=infinity',), room.setting.path)} && {write}"


def _unit(room: SwapRoom) -> str:
    return room.path.rpartition("/")[2]


def _name(room: SwapRoom) -> str:
    return room.path or "this node's root cgroup"


def _rooms_fine(facts: HostState) -> str:
    names = [_name(room) for room in facts.swap_rooms if room.is_shown]
    return f"no limit of swap above containers: {', '.join(names)}" if names and facts.swap else ""


CHECK: Final = Check("rooms", _rooms, _rooms_fine)
