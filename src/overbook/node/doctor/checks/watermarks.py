"""The check of watermarks: whether the kernel swaps before the kubelet evicts."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.text import shown
from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.tune.watermark import scale_factor, wanted_low_bytes


def _watermarks(facts: HostState) -> Iterator[HostFinding]:
    eviction = _eviction_bytes(facts)
    if facts.watermarks is None or not facts.swap or not eviction:
        return
    factor = scale_factor(facts.watermarks, eviction)
    if factor is not None:
        wanted = wanted_low_bytes(eviction, facts.watermarks.managed_bytes)
        yield HostFinding(
            "Risky",
            "WatermarkBelowEviction",
            f"the kernel begins to swap below {shown(facts.watermarks.low_bytes)} free; the kubelet evicts "
            f"below {shown(eviction)}, so swapping should begin at {shown(wanted)} "
            f"(vm.watermark_scale_factor {factor})",
            TUNE,
        )


def _watermarks_fine(facts: HostState) -> str:
    eviction = _eviction_bytes(facts)
    if facts.watermarks is None or not facts.swap or not eviction:
        return ""
    low = shown(facts.watermarks.low_bytes)
    return f"the kernel begins to swap below {low} free, the kubelet evicts below {shown(eviction)}"


def _eviction_bytes(facts: HostState) -> int:
    try:
        return facts.kubelet.eviction_bytes(facts.memory_bytes) if facts.kubelet else 0
    except InvalidInput:
        return 0


CHECK: Final = Check("watermarks", _watermarks, _watermarks_fine)
