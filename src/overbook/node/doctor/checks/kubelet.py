"""The kubelet's configuration: whether it starts with swap on, and limits what it gives."""

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


CHECK: Final = Check("kubelet", _kubelet, _kubelet_fine)
