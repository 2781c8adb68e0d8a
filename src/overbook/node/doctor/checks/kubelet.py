"""The check of the kubelet's configuration: whether it starts with swap on, and limits pods' swap."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _kubelet(facts: HostState) -> Iterator[HostFinding]:
    if facts.kubelet is None:
        if "kubelet" not in facts.unread:
            yield HostFinding(
                "Note",
                "NoKubelet",
                "no kubelet runs here",
                "start the kubelet; ignore this on a machine that is not a node",
            )
        return
    if facts.kubelet.fail_swap_on and (facts.swap or facts.demanded_bytes):
        yield HostFinding(
            "Broken",
            "KubeletRefusesSwap",
            "the kubelet has failSwapOn: true: with swap on it will fail to start at its next restart",
            "set failSwapOn: false in its configuration, or in a drop-in file on OpenShift 4.21 and later",
        )
    if facts.kubelet.swap == "LimitedSwap" and facts.kubelet_limits is False:
        yield HostFinding(
            "Broken",
            "KubeletLimitsNothing",
            "the kubelet runs with LimitedSwap but finds no memory.swap.max in its own cgroup: it writes "
            "no limits, and every container may use all swap",
            "start the kubelet in a cgroup of its own, such as system.slice/kubelet.service",
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
        "Refused": "refuses to start with swap on, and there is none",
        "NoSwap": "accepts swap, and gives pods none (NoSwap)",
        "LimitedSwap": "accepts swap, and gives each Burstable pod its share (LimitedSwap)",
    }
    return behaviours[facts.kubelet.swap] if facts.kubelet else ""


CHECK: Final = Check("kubelet", _kubelet, _kubelet_fine)
