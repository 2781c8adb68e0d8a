"""Swap: which containers may use it and how much, and how much a node needs.

Sources: KEP-2400 and ``pkg/kubelet/kuberuntime`` (``LimitedSwap``) at v1.36; the node's size and the rule
that only Burstable VM pods swap: *Configuring higher VM workload density* 5.5.1.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, Pod
from overbook.core.kubernetes.qos import is_critical, qos_class
from overbook.core.kubernetes.resources import container_resources

Reason = Literal[
    "Eligible",
    "NodeHasNoSwap",
    "Critical",
    "NotBurstable",
    "NoMemoryRequest",
    "RequestIsLimit",
    "RequestExceedsNode",
    "NotVirtualMachine",
    "DisabledOnPod",
    "DisabledOnNamespace",
]

SWAP_ANNOTATION: Final = "overbook.dev/swap"

REASONS: Final[Mapping[Reason, str]] = {
    "Eligible": "Burstable, and may swap",
    "NodeHasNoSwap": "the node has no swap",
    "Critical": "critical, static and mirror pods never swap",
    "NotBurstable": "only Burstable pods swap: Guaranteed ones were promised RAM, BestEffort ones nothing",
    "NoMemoryRequest": "the container asks for no memory, so nothing says how much swap is its share",
    "RequestIsLimit": "the container's memory request equals its limit: all of it was promised as RAM",
    "RequestExceedsNode": "the container requests more memory than the node has",
    "NotVirtualMachine": "eligibility is BurstableVirtualMachines and this is no virtual machine's pod",
    "DisabledOnPod": f"annotation {SWAP_ANNOTATION}: disabled on the pod",
    "DisabledOnNamespace": f"annotation {SWAP_ANNOTATION}: disabled on the namespace",
}


class SwapDecision(msgspec.Struct, frozen=True, gc=False):
    """A container's ``memory.swap.max`` and why.

    Attributes:
        swap_max_bytes: what it may use; 0: none.
        reason: a word for programs; :data:`REASONS` has the sentence.
        wanted_bytes: what it would get if the node's swap were large enough; ``None``: the same.
    """

    swap_max_bytes: int
    reason: Reason
    wanted_bytes: int | None = None

    @property
    def sentence(self) -> str:
        """Why, for people."""
        return REASONS[self.reason]


def node_swap_bytes(node_memory_bytes: int, percent: int) -> int:
    """How much swap a node needs so that ``percent`` of its RAM can be promised, in bytes, rounded up.

    ``NODE_SWAP_SPACE = NODE_RAM × (percent / 100 - 1)``.

    Raises:
        InvalidInput: RAM or percentage out of range.
    """
    _check_percent(percent)
    if node_memory_bytes <= 0:
        raise InvalidInput("node memory", node_memory_bytes, "more than 0 bytes")
    return -(-node_memory_bytes * max(0, percent - 100) // 100)


def percent_for_swap(node_memory_bytes: int, swap_bytes: int) -> int:
    """The largest percentage that ``swap_bytes`` of swap carry: the inverse, rounded down."""
    if node_memory_bytes <= 0:
        raise InvalidInput("node memory", node_memory_bytes, "more than 0 bytes")
    if swap_bytes < 0:
        raise InvalidInput("swap", swap_bytes, "0 bytes or more")
    return 100 + swap_bytes * 100 // node_memory_bytes


def proportional_bytes(request_bytes: int, node_memory_bytes: int, swap_bytes: int) -> int:
    """The container's share of the node's swap: its request's share of the node's memory.

    The kubelet divides and multiplies in 64-bit floats and truncates; so does this, to the byte.
    """
    return int(request_bytes / node_memory_bytes * swap_bytes)


def whole_bytes(guest_bytes: int, overhead_bytes: int, request_bytes: int) -> int:
    """What a guest can need beyond its request when it has touched all of its memory."""
    return max(0, guest_bytes + overhead_bytes - request_bytes)


def covered_bytes(request_bytes: int, node_memory_bytes: int, swap_bytes: int) -> int:
    """Request plus proportional allowance: what the node can hold of a guest.

    With ``swap = RAM × (p/100 - 1)`` and ``request = guest × 100/p + overhead`` this is
    ``guest + overhead × p/100``: the formula's swap covers every guest whole. With less it does not.
    """
    return request_bytes + proportional_bytes(request_bytes, node_memory_bytes, swap_bytes)


def whole_pages(size_bytes: int, page_bytes: int) -> int:
    """As much of a size as is whole pages: the kernel keeps a limit in pages and drops the rest."""
    return size_bytes // page_bytes * page_bytes


def limited_swap(pod: Pod, container: Container, node_memory_bytes: int, swap_bytes: int) -> SwapDecision:
    """What a kubelet with ``swapBehavior: LimitedSwap`` gives a container."""
    reason = burstable_reason(pod, container, node_memory_bytes)
    if reason != "Eligible":
        return SwapDecision(0, reason)
    request = container_resources(container).requests.memory_bytes or 0
    return SwapDecision(proportional_bytes(request, node_memory_bytes, swap_bytes), "Eligible")


def burstable_reason(pod: Pod, container: Container, node_memory_bytes: int) -> Reason:
    """The kubelet's own conditions, in its order."""
    if is_critical(pod):
        return "Critical"
    if qos_class(pod) != "Burstable":
        return "NotBurstable"
    resources = container_resources(container)
    request, limit = resources.requests.memory_bytes, resources.limits.memory_bytes
    if not request and not limit:
        return "NoMemoryRequest"
    if request == limit:
        return "RequestIsLimit"
    if (request or 0) > node_memory_bytes:
        return "RequestExceedsNode"
    return "Eligible"


def _check_percent(percent: int) -> None:
    if not 10 <= percent <= 10_000:
        raise InvalidInput("overcommit percentage", percent, "a number from 10 to 10000, such as 150")


SWAP_SLACK_BYTES: Final = 1 << 20
"""A swap area has a header, and sizes are rounded to pages: so little less than the formula is as much."""
