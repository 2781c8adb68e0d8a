"""What the doctor asks about kernel, kubelet and system: whether swap can be limited, and whom it spares."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.text import shown
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.tune.rules import (
    KUBELET_DEMANDS,
    OVERCOMMIT_MEMORY,
    PANIC_ON_OOM,
    SWAPPINESS_RANGE,
    swappiness_is_sound,
)
from overbook.node.tune.watermark import scale_factor, wanted_low_bytes

TUNE: Final = "overbook node tune apply"


def _cgroup(facts: HostState) -> Iterator[HostFinding]:
    if facts.cgroup_version == 1:
        yield HostFinding(
            "Broken",
            "CgroupV1",
            "the node runs cgroup version 1, which cannot limit swap for each container",
            "boot it with systemd.unified_cgroup_hierarchy=1",
        )


def _pressure(facts: HostState) -> Iterator[HostFinding]:
    if facts.pressure is False:
        yield HostFinding(
            "Risky",
            "NoPressure",
            "the kernel reports no pressure (PSI): the rule for stalls stays silent",
            "boot it with psi=1",
        )


def _kubelet(facts: HostState) -> Iterator[HostFinding]:
    if facts.kubelet is None:
        if "kubelet" not in facts.unread:
            yield HostFinding(
                "Note",
                "NoKubelet",
                "no kubelet runs here",
                "start it, or ignore this on a machine that is no node",
            )
        return
    if facts.kubelet.fail_swap_on and (facts.swap or facts.demanded_bytes):
        yield HostFinding(
            "Broken",
            "KubeletRefusesSwap",
            "the kubelet has failSwapOn: true: with swap on it does not start again",
            "set failSwapOn: false in its configuration, or in a drop-in file on OpenShift 4.21 and later",
        )
    if facts.kubelet.swap == "LimitedSwap" and facts.kubelet_limits is False:
        yield HostFinding(
            "Broken",
            "KubeletLimitsNothing",
            "the kubelet runs with LimitedSwap but finds no memory.swap.max in its own cgroup: it writes "
            "no limit, and every container may use all swap",
            "start it in a cgroup of its own, such as system.slice/kubelet.service",
        )
    try:
        facts.kubelet.eviction_bytes(facts.memory_bytes)
    except InvalidInput as error:
        yield HostFinding(
            "Risky",
            "EvictionUnreadable",
            f"the kubelet's evictionHard cannot be read: {error}",
            "write memory.available as a quantity or a percentage",
        )


def _kubelet_fine(facts: HostState) -> str:
    behaviours = {
        "Refused": "refuses swap, and there is none",
        "NoSwap": "tolerates swap and gives pods none",
        "LimitedSwap": "tolerates swap and gives each Burstable pod its share",
    }
    return behaviours[facts.kubelet.swap] if facts.kubelet else ""


def _system(facts: HostState) -> Iterator[HostFinding]:
    if facts.system_swap_max not in {None, "0"} and facts.swap:
        yield HostFinding(
            "Risky",
            "SystemSwaps",
            f"system.slice may be swapped out (memory.swap.max {facts.system_swap_max}): kubelet and runtime "
            "would stand still with the guests",
            TUNE,
        )


def _system_fine(facts: HostState) -> str:
    return "system.slice is never swapped out" if facts.system_swap_max == "0" else ""


def _swappiness(facts: HostState) -> Iterator[HostFinding]:
    least, most = SWAPPINESS_RANGE
    if facts.swappiness is not None and facts.swap and not swappiness_is_sound(facts.swappiness):
        yield HostFinding(
            "Risky",
            "Swappiness",
            f"vm.swappiness is {facts.swappiness}; from {least} to {most} it weighs swap against files",
            TUNE,
        )


def _swappiness_fine(facts: HostState) -> str:
    return f"vm.swappiness is {facts.swappiness}" if facts.swappiness is not None and facts.swap else ""


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
            f"below {shown(eviction)}, so it should be {shown(wanted)} (vm.watermark_scale_factor {factor})",
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


def _promises(facts: HostState) -> Iterator[HostFinding]:
    settings = {OVERCOMMIT_MEMORY: facts.overcommit_memory, PANIC_ON_OOM: facts.panic_on_oom}
    refused = [
        f"{name} is {value}"
        for name, value in settings.items()
        if value is not None and str(value) != KUBELET_DEMANDS[name]
    ]
    if refused and facts.kubelet is not None and facts.kubelet.protect_kernel_defaults:
        yield HostFinding(
            "Broken",
            "KubeletRefusesKernel",
            f"{' and '.join(refused)}: the kubelet has protectKernelDefaults: true and does not start again",
            f"{TUNE} --overcommit on",
        )
    if facts.overcommit_memory == 2:
        yield HostFinding(
            "Risky",
            "StrictOvercommit",
            "vm.overcommit_memory is 2: guests cannot promise themselves more than RAM and swap",
            TUNE,
        )
    if facts.panic_on_oom:
        yield HostFinding(
            "Risky",
            "PanicOnOom",
            f"vm.panic_on_oom is {facts.panic_on_oom}: running out of memory restarts the whole node",
            TUNE,
        )


def _promises_fine(facts: HostState) -> str:
    if facts.overcommit_memory is None or facts.panic_on_oom is None:
        return ""
    return f"vm.overcommit_memory is {facts.overcommit_memory}, vm.panic_on_oom is {facts.panic_on_oom}"


SYSTEM_CHECKS: Final = (
    Check("cgroup", _cgroup, lambda _facts: "version 2"),
    Check("pressure", _pressure, lambda _facts: "the kernel reports stalls (PSI)"),
    Check("kubelet", _kubelet, _kubelet_fine),
    Check("system", _system, _system_fine),
    Check("swappiness", _swappiness, _swappiness_fine),
    Check("watermarks", _watermarks, _watermarks_fine),
    Check("promises", _promises, _promises_fine),
)
