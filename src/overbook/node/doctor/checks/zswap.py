"""The check of zswap: whether what it takes from RAM, and what lies beneath it, fits the overcommit."""

from collections.abc import Iterator
from typing import Final

from overbook.core.text import shown
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.zswap import ZSWAP_PARAMETERS, Zswap
from overbook.node.doctor.check import APPLY, Check, HostFinding
from overbook.node.doctor.facts import HostState

_OFF: Final = f"echo N > {ZSWAP_PARAMETERS}/enabled"


def _zswap(facts: HostState) -> Iterator[HostFinding]:
    zswap = facts.zswap
    is_on = zswap is not None and zswap.enabled
    if facts.swap:
        yield from _without_writeback(facts, is_on=is_on)
    if zswap is None or not is_on:
        return
    in_ram = [area for area in facts.swap if area.medium == "zram"]
    if facts.swap and len(in_ram) == len(facts.swap):
        yield HostFinding(
            "Risky",
            "ZswapOverZram",
            "zswap compresses pages before they go to zram, which compresses them again and keeps them "
            "in RAM, too: no disk takes what zswap gives back; boot with zswap.enabled=0 to keep it off",
            _OFF,
        )
    elif in_ram:
        yield HostFinding(
            "Note",
            "ZswapBeforeZram",
            f"zswap compresses pages before they go to {in_ram[0].path}, which compresses them again; "
            "boot with zswap.enabled=0 to keep it off",
            _OFF,
        )
    elif facts.swap:
        yield from _pool(facts, zswap)


def _without_writeback(facts: HostState, *, is_on: bool) -> Iterator[HostFinding]:
    """Without writeback nothing reaches a swap area, whether zswap is on or not."""
    for room in facts.swap_rooms:
        if room.writeback is False:
            name = room.path or "this node's root cgroup"
            left = "only what zswap takes" if is_on else "zswap is off, so nothing"
            yield HostFinding(
                "Risky",
                "ZswapKeepsAll",
                f"no page below {name} may go to a swap disk (memory.zswap.writeback 0): {left} is swapped",
                f"echo 1 > {CGROUP_MOUNT}/{room.path}/memory.zswap.writeback",
            )


def _pool(facts: HostState, zswap: Zswap) -> Iterator[HostFinding]:
    """The store of zswap takes RAM while its pages hold their places in the swap area as well."""
    percent = zswap.max_pool_percent
    if not percent or zswap.shrinker:
        return
    pool = facts.ordinary_bytes * percent // 100
    needed = facts.demanded_bytes + pool
    if facts.demanded_bytes and facts.swap_bytes < needed:
        shrinks = zswap.shrinker is not None
        yield HostFinding(
            "Risky",
            "ZswapTakesRoom",
            f"zswap may keep {percent} % of RAM ({shown(pool)}), which the kernel does not write to the "
            "swap area "
            f"when memory is short; {facts.percent} % then needs {shown(needed)} of swap, and "
            f"{shown(facts.swap_bytes)} are on"
            + ("; boot with zswap.shrinker_enabled=1 to keep that" if shrinks else ""),
            f"echo Y > {ZSWAP_PARAMETERS}/shrinker_enabled"
            if shrinks
            else f"{APPLY} --size {-(-needed >> 20)}Mi",
        )


def _zswap_fine(facts: HostState) -> str:
    zswap = facts.zswap
    if zswap is None or not zswap.enabled:
        return "off" if zswap is not None else ""
    parts = ["on", *([zswap.compressor] if zswap.compressor else [])]
    if zswap.max_pool_percent is not None:
        parts.append(f"at most {zswap.max_pool_percent} % of RAM")
    if zswap.shrinker is not None:
        parts.append("shrinks when memory is short" if zswap.shrinker else "does not shrink by itself")
    return ", ".join(parts)


CHECK: Final = Check("zswap", _zswap, _zswap_fine)
