"""Swap: which containers may use it, how much each may use, and how much a node needs.

Sources: KEP-2400 and ``pkg/kubelet/kuberuntime`` (``LimitedSwap``) at v1.36; the node's size and the rule
that only Burstable VM pods swap: *Configuring higher VM workload density* 5.5.1.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.percentage import check_percent

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
"""The annotation of a pod that keeps it from swapping: ``disabled``."""
SWAP_LABEL: Final = "overbook.dev/swap"
"""The label of a namespace: ``enabled`` or ``disabled``. As a label, an agent's watch can select by it."""

SWAP_SLACK_BYTES: Final = 1 << 20
"""The most that a node's swap may lack: a swap area has a header, and its size is rounded to pages."""

REASONS: Final[Mapping[Reason, str]] = {
    "Eligible": "Burstable, and may swap",
    "NodeHasNoSwap": "the node has no swap",
    "Critical": "critical, static and mirror pods never swap",
    "NotBurstable": "only Burstable pods swap: Guaranteed pods keep their RAM, BestEffort pods request none",
    "NoMemoryRequest": "the container has no memory request, by which its share of swap is computed",
    "RequestIsLimit": "the container's memory request equals its limit, so it keeps all its memory in RAM",
    "RequestExceedsNode": "the container requests more memory than the node has",
    "NotVirtualMachine": "eligibility is BurstableVirtualMachines, and this is not a virtual machine's pod",
    "DisabledOnPod": f"annotation {SWAP_ANNOTATION}: disabled on the pod",
    "DisabledOnNamespace": f"label {SWAP_LABEL}: disabled on the namespace",
}


class SwapDecision(msgspec.Struct, frozen=True, gc=False):
    """A container's ``memory.swap.max`` and why.

    Attributes:
        swap_max_bytes: the swap that the container may use, in bytes; 0: none.
        reason: the reason in one word, for programs; :data:`REASONS` has the sentence.
        wanted_bytes: the swap that the container would get if the node's swap were large enough, in bytes;
            ``None``: the same.
    """

    swap_max_bytes: int
    reason: Reason
    wanted_bytes: int | None = None

    @property
    def sentence(self) -> str:
        """The reason in a sentence."""
        return REASONS[self.reason]


def ordinary_bytes(node_memory_bytes: int, huge_pages_bytes: int) -> int:
    """The node's RAM that can be swapped: all but what is set aside as huge pages, in bytes.

    Every size of swap, and every reserve, is computed from this. The kubelet, too, subtracts huge pages from
    allocatable memory.
    """
    return max(0, node_memory_bytes - huge_pages_bytes)


def node_swap_bytes(node_memory_bytes: int, percent: int) -> int:
    """How much swap a node needs so that ``percent`` of its RAM can be promised, in bytes, rounded up.

    ``NODE_SWAP_SPACE = NODE_RAM × (percent / 100 - 1)``.

    Raises:
        InvalidInput: RAM or percentage out of range.
    """
    check_percent(percent, "overcommit percentage")
    if node_memory_bytes <= 0:
        raise InvalidInput("node memory", node_memory_bytes, "more than 0 bytes")
    return -(-node_memory_bytes * max(0, percent - 100) // 100)


def swap_suffices(node_memory_bytes: int, swap_bytes: int, percent: int) -> bool:
    """Whether a node's swap is as large as ``percent`` demands.

    Every part that reports too small a swap calls this function. A swap area that lacks less than
    :data:`SWAP_SLACK_BYTES` is large enough; no swap at all is enough where none is demanded.

    Args:
        node_memory_bytes: the node's RAM; 0: not known, and no swap is demanded.
        swap_bytes: all of the node's swap.
        percent: ``memoryOvercommitPercentage``.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    needed = node_swap_bytes(node_memory_bytes, percent) if node_memory_bytes else 0
    return needed == 0 or (swap_bytes > 0 and swap_bytes + SWAP_SLACK_BYTES >= needed)


def percent_for_swap(node_memory_bytes: int, swap_bytes: int) -> int:
    """The largest percentage for which swap suffices: the inverse of ``node_swap_bytes``, rounded down."""
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
    """The memory beyond its request that a VM needs when its guest has touched all memory, in bytes."""
    return max(0, guest_bytes + overhead_bytes - request_bytes)


def covered_bytes(request_bytes: int, node_memory_bytes: int, swap_bytes: int) -> int:
    """The covered memory, request plus proportional allowance, for which the node has room.

    With ``swap = RAM × (p/100 - 1)`` and ``request = guest × 100/p + overhead`` this is
    ``guest + overhead × p/100``: the formula's swap covers every guest in full. Less swap does not.
    """
    return request_bytes + proportional_bytes(request_bytes, node_memory_bytes, swap_bytes)


def whole_pages(size_bytes: int, page_bytes: int) -> int:
    """A size rounded down to whole pages, as the kernel rounds limits."""
    return size_bytes // page_bytes * page_bytes


def burstable_reason(pod: ResolvedPod, container: ResolvedContainer, node_memory_bytes: int) -> Reason:
    """Whether a container may swap by the kubelet's own conditions, checked in the kubelet's order."""
    if pod.critical:
        return "Critical"
    if pod.qos_class != "Burstable":
        return "NotBurstable"
    resources = container.resources
    request, limit = resources.requests.memory_bytes, resources.limits.memory_bytes
    if not request and not limit:
        return "NoMemoryRequest"
    if request == limit:
        return "RequestIsLimit"
    if (request or 0) > node_memory_bytes:
        return "RequestExceedsNode"
    return "Eligible"
