"""Reasons why memory overcommit does not apply to a VM, or must not.

Sources: *Configuring higher VM workload density* 5.5.1 (a memory request set by hand switches the
percentage off); KubeVirt ``pkg/virt-controller/services`` (the rest of the cases), its issues 10379 and
12433 (locked memory), and ``pkg/hypervisor/kvm`` (what is locked).
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.kubevirt.overhead import MAIN, Release
from overbook.core.kubevirt.vm import VirtualMachineInstance

Word = Literal[
    "RequestByHand",
    "LimitByHand",
    "NoGuestMemory",
    "Hugepages",
    "DividedHugepages",
    "DedicatedCpu",
    "DeviceAccess",
    "LaunchSecurity",
    "Realtime",
    "LockedMemory",
]
ObstacleEffect = Literal["DoesNotApply", "MustNotApply"]

FINDINGS: Final[Mapping[Word, tuple[ObstacleEffect, str]]] = {
    "RequestByHand": (
        "DoesNotApply",
        (
            "resources.requests.memory is set by hand (or by an instancetype's overcommitPercent) and "
            "switches the percentage off; set memory.guest alone"
        ),
    ),
    "LimitByHand": (
        "DoesNotApply",
        "resources.limits.memory is set by hand and becomes the request; set memory.guest alone",
    ),
    "NoGuestMemory": ("DoesNotApply", "the manifest does not give the guest's memory; set memory.guest"),
    "Hugepages": (
        "DoesNotApply",
        "its memory is preallocated in large pages, which are requested in full and never swapped",
    ),
    "DividedHugepages": (
        "MustNotApply",
        (
            "this KubeVirt divides large pages by the percentage, and the pod may request a part of a page; "
            "set resources.requests.memory to the guest's size"
        ),
    ),
    "DedicatedCpu": (
        "MustNotApply",
        (
            "with dedicated CPUs the pod's memory limit equals its request, which is less than the guest; it "
            "is killed when it touches all of its memory; set resources.requests.memory to the guest's size"
        ),
    ),
    "DeviceAccess": (
        "MustNotApply",
        (
            "a device (host device, GPU or SR-IOV) accesses its memory, which is locked in full at start "
            "and cannot be swapped; set resources.requests.memory to the guest's size"
        ),
    ),
    "LaunchSecurity": (
        "MustNotApply",
        (
            "its memory is encrypted (SEV, SNP or TDX) and pinned, and cannot be swapped; set "
            "resources.requests.memory to the guest's size"
        ),
    ),
    "Realtime": (
        "MustNotApply",
        (
            "a realtime guest's memory is locked and cannot be swapped; set resources.requests.memory to the "
            "guest's size"
        ),
    ),
    "LockedMemory": (
        "MustNotApply",
        (
            "memory.reservedOverhead.memLock keeps its memory locked, so it cannot be swapped; set "
            "resources.requests.memory to the guest's size"
        ),
    ),
}


class Obstacle(msgspec.Struct, frozen=True, gc=False):
    """A reason why overcommit does not apply to a VM, or must not.

    Attributes:
        word: the reason in one word, for programs.
        severity: ``DoesNotApply``: the VM is not overcommitted. ``MustNotApply``: the VM would be
            overcommitted, which endangers it or its node.
        sentence: the reason in a sentence, with the fix.
    """

    word: Word
    severity: ObstacleEffect
    sentence: str


def overcommit_findings(vmi: VirtualMachineInstance, *, running: Release = MAIN) -> list[Obstacle]:
    """All reasons why the percentage does not apply to this VM, or must not; without any it applies safely.

    ``MustNotApply`` is found only where the percentage would apply: a VM with a GPU is right if its memory
    request is set by hand to the guest's size.

    Raises:
        InvalidInput: a quantity of the VM is not valid.
    """
    requests, limits = vmi.requests_and_limits()
    guest = vmi.guest_bytes or 0
    words: list[Word] = []
    request = requests.memory_bytes or limits.memory_bytes
    if requests.memory_bytes:
        words.append("RequestByHand")
    elif limits.memory_bytes:
        words.append("LimitByHand")
    elif not guest:
        words.append("NoGuestMemory")
    if vmi.has_hugepages and not running.divides_hugepages:
        words.append("Hugepages")
    elif not words or (request or 0) < guest:
        words += _endangered(vmi, by_hand=bool(words))
    return [Obstacle(word, *FINDINGS[word]) for word in words]


def _endangered(vmi: VirtualMachineInstance, *, by_hand: bool) -> list[Word]:
    domain = vmi.spec.domain
    words: list[Word] = []
    if vmi.has_hugepages and not by_hand:
        words.append("DividedHugepages")
    if vmi.has_dedicated_cpu:
        words.append("DedicatedCpu")
    if vmi.has_vfio:
        words.append("DeviceAccess")
    security = domain.launch_security
    if security is not None and any(part is not None for part in (security.sev, security.snp, security.tdx)):
        words.append("LaunchSecurity")
    if domain.cpu is not None and domain.cpu.realtime is not None:
        words.append("Realtime")
    reserved = domain.memory.reserved_overhead if domain.memory else None
    if reserved is not None and reserved.mem_lock == "Required":
        words.append("LockedMemory")
    return words
