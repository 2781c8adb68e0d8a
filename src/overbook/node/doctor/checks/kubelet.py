"""The check of the kubelet's configuration: whether it starts with swap on, and limits pods' swap."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.kubernetes.kubelet_refusals import no_swap_fix, refusals, refused_later
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.kubelet import LOOKED_FOR

_IN_CONFIGURATION: Final = "in its configuration, or in a drop-in file on OpenShift 4.21 and later"


def _kubelet(facts: HostState) -> Iterator[HostFinding]:
    if facts.kubelet is None:
        if "kubelet" not in facts.unread:
            yield HostFinding(
                "Note",
                "NoKubelet",
                f"no kubelet runs here: there is no process of {LOOKED_FOR} outside pods",
                "start the kubelet; ignore this on a machine that is not a node",
            )
        return
    yield from _file(facts)
    yield from _swap(facts, facts.kubelet)
    for refusal in refusals(facts.kubelet, facts.kubelet_minor):
        fix = f"{refusal.fix} {facts.kubelet_place}".rstrip()
        sentence = f"the kubelet will fail to start at its next restart: {refusal.sentence}"
        yield HostFinding("Broken", "KubeletRefusesSetting", sentence, fix)
    for refusal in refused_later(facts.kubelet, facts.kubelet_minor):
        yield HostFinding("Note", "KubeletRefusesLater", refusal.sentence, refusal.fix)
    if facts.kubelet.protects_requests(facts.kubelet_minor):
        yield HostFinding(
            "Note",
            "RequestsProtected",
            "the kubelet protects what pods request by memory.min and memory.low (memoryReservationPolicy "
            "TieredReservation): that memory is swapped out late, or never",
            "set memoryReservationPolicy: None where pods' cold memory should swap",
        )
    yield from _eviction(facts, facts.kubelet)


def _file(facts: HostState) -> Iterator[HostFinding]:
    if facts.kubelet_missing:
        yield HostFinding(
            "Risky",
            "KubeletFileMissing",
            f"the kubelet's configuration file {facts.kubelet_missing} does not exist (any more): only flags "
            "and defaults are judged here, and without it the kubelet will fail to start at its next restart",
            f"restore {facts.kubelet_missing}",
        )


def _swap(facts: HostState, kubelet: KubeletConfiguration) -> Iterator[HostFinding]:
    if kubelet.fail_swap_on and (facts.swap or facts.demanded_bytes):
        yield HostFinding(
            "Broken",
            "KubeletRefusesSwap",
            "the kubelet has failSwapOn: true: with swap on it will fail to start at its next restart",
            f"set failSwapOn: false {facts.kubelet_place or _IN_CONFIGURATION}",
        )
    if kubelet.swap == "LimitedSwap" and facts.kubelet_limits is False:
        yield HostFinding(
            "Broken",
            "KubeletLimitsNothing",
            "the kubelet runs with LimitedSwap but finds no memory.swap.max in its own cgroup: it writes "
            "no limits, and every container may use all swap",
            "start the kubelet in a cgroup of its own, such as system.slice/kubelet.service",
        )
    yield from _behavior(facts, kubelet)


def _behavior(facts: HostState, kubelet: KubeletConfiguration) -> Iterator[HostFinding]:
    """A word that is no refused setting, and still says nothing about the limits that pods get."""
    behavior = kubelet.memory_swap.swap_behavior
    if kubelet.swap != "Unknown":
        return
    if any(behavior in refusal.sentence for refusal in refusals(kubelet, facts.kubelet_minor)):
        return
    fix = no_swap_fix(kubelet, facts.kubelet_minor)
    if behavior == "UnlimitedSwap":
        yield HostFinding(
            "Broken",
            "UnlimitedSwap",
            "the kubelet has memorySwap.swapBehavior UnlimitedSwap: every container may use all swap",
            fix,
        )
        return
    yield HostFinding(
        "Risky",
        "SwapBehaviorUnknown",
        f"the kubelet has memorySwap.swapBehavior {behavior}: what it limits is not known here, and Overbook "
        "writes no limits there",
        fix,
    )


def _eviction(facts: HostState, kubelet: KubeletConfiguration) -> Iterator[HostFinding]:
    field = "evictionHard"
    try:
        kubelet.eviction_bytes(facts.memory_bytes)
        field = "evictionSoft"
        kubelet.eviction_start(facts.memory_bytes)
    except InvalidInput as error:
        yield HostFinding(
            "Risky",
            "EvictionUnreadable",
            f"the kubelet's {field} cannot be read: {error}",
            "write memory.available as a quantity or a percentage",
        )


def _kubelet_fine(facts: HostState) -> str:
    behaviours = {
        "Refused": "refuses to start with swap on, and there is none",
        "NoSwap": "accepts swap, and gives pods none (NoSwap)",
        "LimitedSwap": "accepts swap, and gives each Burstable pod its share (LimitedSwap)",
        "Unknown": "",
    }
    return behaviours[facts.kubelet.swap] if facts.kubelet else ""


CHECK: Final = Check("kubelet", _kubelet, _kubelet_fine)
