"""What is wrong on a node: each check looks at the facts and says what, and how to mend it."""

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from overbook.core.allowance import Eligibility
from overbook.core.kubelet_configuration import KubeletConfiguration
from overbook.core.watermark import Watermarks, scale_factor, wanted_low_bytes

Severity = Literal["Broken", "Risky", "Note"]
"""``Broken``: overcommit does not work here. ``Risky``: it works until the node is short of memory."""

MIB: Final = 1 << 20
SWAPPINESS_RANGE: Final = (1, 100)
ORIGINAL_LEFTOVERS: Final = (
    "run/containers/oci/hooks.d/swap-for-burstable.json",
    "etc/containers/oci/hooks.d/swap-for-burstable.json",
    "opt/oci-hook-swap.sh",
)
"""Files of the original agent, below the host's root."""


class SwapDevice(msgspec.Struct, frozen=True, gc=False):
    """One swap area, and what it lies on.

    Attributes:
        path: the device or file.
        size_bytes: its size.
        rotational: a disk with heads; ``None``: not known.
        network: its data goes over the network.
        compressed: zram, which takes RAM for what it holds.
    """

    path: str
    size_bytes: int
    rotational: bool | None = None
    network: bool = False
    compressed: bool = False


class HostFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node as it was found; ``None``: it could not be told.

    Attributes:
        memory_bytes: MemTotal.
        cgroup_version: 1 or 2.
        pressure: whether the kernel reports pressure stall information.
        swap: the areas that are on.
        demanded_bytes: swap that the percentage demands.
        provisioning: word and sentence of what provisioning left in its state file.
        kubelet: its configuration; ``None``: no kubelet was found.
        kubelet_limits: whether the kubelet finds ``memory.swap.max`` in its own cgroup.
        eligibility: who may swap.
        swappiness: ``vm.swappiness``.
        overcommit_memory: ``vm.overcommit_memory``.
        panic_on_oom: ``vm.panic_on_oom``.
        watermarks: of all zones.
        system_swap_max: ``memory.swap.max`` of ``system.slice``, as the kernel writes it.
        hook_folder: where our hook lies; empty: it is not installed.
        hook_folders_read: where the runtime looks for hooks.
        leftovers: files of the original agent that are still there.
        owners: others that manage swap here, such as another operator's unit or NRI plugin.
    """

    memory_bytes: int
    cgroup_version: int = 2
    pressure: bool = True
    swap: tuple[SwapDevice, ...] = ()
    demanded_bytes: int = 0
    provisioning: tuple[str, str] | None = None
    kubelet: KubeletConfiguration | None = None
    kubelet_limits: bool | None = None
    eligibility: Eligibility = "BurstableVirtualMachines"
    swappiness: int | None = None
    overcommit_memory: int | None = None
    panic_on_oom: int | None = None
    watermarks: Watermarks | None = None
    system_swap_max: str | None = None
    hook_folder: str = ""
    hook_folders_read: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One thing that is wrong.

    Attributes:
        severity: how bad.
        word: for programs.
        sentence: for people, with the numbers.
        mend: the command or the setting that mends it.
    """

    severity: Severity
    word: str
    sentence: str
    mend: str


def findings(facts: HostFacts) -> tuple[Finding, ...]:
    """Everything that is wrong, worst first."""
    order = ("Broken", "Risky", "Note")
    found = [finding for check in CHECKS for finding in check(facts)]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _kernel(facts: HostFacts) -> Iterator[Finding]:
    if facts.cgroup_version != 2:
        yield Finding(
            "Broken",
            "CgroupV1",
            "the node runs cgroup v1, which cannot limit swap",
            "boot it with systemd.unified_cgroup_hierarchy=1",
        )
    if not facts.pressure:
        yield Finding(
            "Risky",
            "NoPressure",
            "the kernel reports no pressure: the rule for stalls stays silent",
            "boot it with psi=1",
        )


def _swap(facts: HostFacts) -> Iterator[Finding]:
    total = sum(device.size_bytes for device in facts.swap)
    if facts.provisioning is not None and facts.provisioning[0] != "Ready":
        yield Finding(
            "Broken",
            facts.provisioning[0],
            f"swap was not provisioned: {facts.provisioning[1]}",
            "overbook node swap plan",
        )
    if total == 0:
        if facts.demanded_bytes:
            yield Finding("Broken", "NoSwap", "swap is off", "overbook node swap apply")
    elif total < facts.demanded_bytes:
        missing = facts.demanded_bytes - total
        yield Finding(
            "Risky",
            "SwapTooSmall",
            f"swap is {missing // MIB} MiB smaller than the {facts.demanded_bytes // MIB} MiB that the "
            "percentage demands",
            "overbook node swap apply",
        )
    for device in facts.swap:
        if device.network:
            yield Finding(
                "Risky",
                "SwapOverNetwork",
                f"{device.path} swaps over the network: it stops when the network does",
                "use a local disk, best an NVMe device",
            )
        elif device.rotational:
            yield Finding(
                "Risky",
                "SlowSwap",
                f"{device.path} is a disk with heads: a node that swaps on it stands still",
                "use an NVMe or solid-state disk",
            )
        elif device.compressed:
            yield Finding(
                "Note",
                "CompressedSwap",
                f"{device.path} is zram: what it holds takes RAM, too",
                "count on a third to a half of its size as RAM",
            )


def _kubelet(facts: HostFacts) -> Iterator[Finding]:
    if facts.kubelet is None:
        yield Finding(
            "Note", "NoKubelet", "no kubelet runs here", "start it, or ignore this on a test machine"
        )
        return
    if facts.kubelet.swap == "Refused":
        yield Finding(
            "Broken",
            "KubeletRefusesSwap",
            "the kubelet has failSwapOn: true: with swap on it does not start again",
            "set failSwapOn: false in its configuration, or in a drop-in file on OpenShift 4.21 and later",
        )
    if facts.kubelet.swap == "LimitedSwap":
        if facts.kubelet_limits is False:
            yield Finding(
                "Broken",
                "KubeletLimitsNothing",
                "the kubelet runs with LimitedSwap but finds no memory.swap.max in its own cgroup: it writes "
                "no limit, and every container may use all swap",
                "start it in a cgroup of its own, such as system.slice/kubelet.service",
            )
        elif facts.eligibility != "Burstable":
            yield Finding(
                "Broken",
                "KubeletGivesSwapToAll",
                "the kubelet runs with LimitedSwap, which gives swap to every Burstable pod, and eligibility "
                f"is {facts.eligibility}",
                "set memorySwap.swapBehavior: NoSwap in its configuration, or eligibility: Burstable",
            )


def _system(facts: HostFacts) -> Iterator[Finding]:
    if facts.system_swap_max not in {None, "0"} and facts.swap:
        yield Finding(
            "Risky",
            "SystemSwaps",
            "system.slice may be swapped out: kubelet and runtime would stand still with the guests",
            "overbook node tune apply",
        )
    if facts.swappiness is not None and facts.swap:
        least, most = SWAPPINESS_RANGE
        if not least <= facts.swappiness <= most:
            yield Finding(
                "Risky",
                "Swappiness",
                f"vm.swappiness is {facts.swappiness}; from {least} to {most} it weighs swap against files",
                "sysctl vm.swappiness=60",
            )
    eviction = facts.kubelet.eviction_bytes(facts.memory_bytes) if facts.kubelet else 0
    if facts.watermarks is not None and facts.swap and eviction:
        factor = scale_factor(facts.watermarks, eviction)
        if factor is not None:
            wanted = wanted_low_bytes(eviction, facts.watermarks.managed_bytes)
            yield Finding(
                "Risky",
                "WatermarkBelowEviction",
                f"the kernel swaps below {facts.watermarks.low_bytes // MIB} MiB free, the kubelet evicts "
                f"below {eviction // MIB} MiB: it should be {wanted // MIB} MiB",
                f"overbook node tune apply (sysctl vm.watermark_scale_factor={factor})",
            )
    if facts.overcommit_memory == 2:
        yield Finding(
            "Risky",
            "StrictOvercommit",
            "vm.overcommit_memory is 2: guests cannot promise themselves more than RAM and swap",
            "sysctl vm.overcommit_memory=1",
        )
    if facts.panic_on_oom:
        yield Finding(
            "Risky",
            "PanicOnOom",
            f"vm.panic_on_oom is {facts.panic_on_oom}: running out of memory restarts the whole node",
            "sysctl vm.panic_on_oom=0",
        )


def _others(facts: HostFacts) -> Iterator[Finding]:
    if facts.hook_folder and facts.hook_folder not in facts.hook_folders_read:
        read = ", ".join(facts.hook_folders_read) or "none"
        yield Finding(
            "Broken",
            "HookNotRead",
            f"the hook lies in {facts.hook_folder}, which the runtime does not read (it reads {read})",
            "overbook node swap apply, or hooks_dir in the runtime's configuration",
        )
    if facts.leftovers:
        yield Finding(
            "Risky",
            "OriginalAgentLeftovers",
            f"the original agent left {', '.join(facts.leftovers)}: its hook gives every Burstable container "
            "all swap",
            f"rm {' '.join(f'/{path}' for path in facts.leftovers)}",
        )
    yield from (
        Finding("Risky", "OtherOwner", f"{owner} manages swap here, too", "leave swap to one of the two")
        for owner in facts.owners
    )


Check = Callable[[HostFacts], Iterator[Finding]]
CHECKS: Final[tuple[Check, ...]] = (_kernel, _swap, _kubelet, _system, _others)
