"""The check of watermarks: whether the kernel swaps before the kubelet evicts.

The limit of all pods together has no watermarks: the kernel reclaims for it only when it is reached. The
kubelet evicts earlier, by its hard threshold, which it applies to what is left of that limit, too.
"""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import EvictionStart, KubeletConfiguration
from overbook.core.text import shown
from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.tune.watermark import Watermarks, highest_low_bytes, scale_factor, wanted_low_bytes


def _watermarks(facts: HostState) -> Iterator[HostFinding]:
    yield from _of_node(facts)
    yield from _of_all_pods(facts)


def _of_node(facts: HostState) -> Iterator[HostFinding]:
    eviction = _eviction(facts)
    marks = facts.watermarks
    if marks is None or not facts.swap or not eviction.size_bytes:
        return
    factor = scale_factor(marks, eviction.size_bytes)
    if factor is None:
        return
    begin = f"the kernel begins to swap below {shown(marks.low_bytes)} free; the kubelet {evicts(eviction)}"
    highest = highest_low_bytes(marks)
    if highest <= eviction.size_bytes:
        fix = f"set memory.available in the kubelet's {eviction.field} below {shown(_affordable(marks))}"
        sentence = f"{begin}, and the kernel can begin no earlier than at {shown(highest)}: pods are evicted "
        yield HostFinding(
            "Risky", "WatermarkBelowEviction", f"{sentence}before anything is swapped", _at(facts, fix)
        )
    elif marks.low_bytes < highest:
        wanted = min(wanted_low_bytes(eviction.size_bytes, marks.managed_bytes), highest)
        yield HostFinding(
            "Risky",
            "WatermarkBelowEviction",
            f"{begin}, so swapping should begin at {shown(wanted)} (vm.watermark_scale_factor {factor})",
            TUNE,
        )


def _of_all_pods(facts: HostState) -> Iterator[HostFinding]:
    kubelet, marks = facts.kubelet, facts.watermarks
    if kubelet is None or marks is None or not facts.swap:
        return
    try:
        limit = kubelet.enforced_bytes(facts.memory_bytes)
        threshold = kubelet.pods_eviction_bytes(facts.memory_bytes)
    except InvalidInput:
        return  # the check of the kubelet says so of a threshold
    beside = facts.ordinary_bytes - limit
    # With so much in use beside pods the node fills no later than the limit, and its watermarks decide.
    most = beside + threshold - marks.low_bytes
    if not (threshold and limit) or beside <= 0 or most <= 0:
        return
    yield HostFinding(
        "Risky",
        "EvictionAtPodsLimit",
        f"the kubelet limits all pods together to {shown(limit)} and evicts when less than "
        f"{shown(threshold)} of that is left, and the kernel swaps for that limit only when it is reached: "
        "pods are evicted before anything is swapped, unless what runs beside them uses more than "
        f"{shown(most)}",
        _at(facts, f"set enforceNodeAllocatable: [{_others(kubelet)}]"),
    )


def _others(kubelet: KubeletConfiguration) -> str:
    """The other limits that the kubelet enforces; ``none`` may not stand beside one."""
    return ", ".join(each for each in kubelet.enforce_node_allocatable or () if each != "pods") or "none"


def _watermarks_fine(facts: HostState) -> str:
    eviction = _eviction(facts)
    if facts.watermarks is None or not facts.swap or not eviction.size_bytes:
        return ""
    low = shown(facts.watermarks.low_bytes)
    return f"the kernel begins to swap below {low} free, the kubelet {evicts(eviction)}"


def evicts(eviction: EvictionStart) -> str:
    """A part of a sentence: from when on the kubelet evicts."""
    soft = f" for {eviction.grace}" if eviction.grace else ""
    return f"evicts below {shown(eviction.size_bytes)}" + (
        f" ({eviction.field}{soft})" if eviction.field == "evictionSoft" else ""
    )


def _affordable(marks: Watermarks) -> int:
    """The largest threshold that leaves swapping its distance, with the highest watermark."""
    distance = wanted_low_bytes(0, marks.managed_bytes)
    return max(0, highest_low_bytes(marks) - distance)


def _at(facts: HostState, fix: str) -> str:
    return f"{fix}, {facts.kubelet_place}" if facts.kubelet_place else fix


def _eviction(facts: HostState) -> EvictionStart:
    try:
        return facts.kubelet.eviction_start(facts.memory_bytes) if facts.kubelet else EvictionStart(0)
    except InvalidInput:
        return EvictionStart(0)


CHECK: Final = Check("watermarks", _watermarks, _watermarks_fine)
