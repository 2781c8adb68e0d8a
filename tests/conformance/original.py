"""What the kubelet and wasp-agent decide, from what a question of the vectors holds."""

from collections.abc import Mapping

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.kubernetes.resources import amounts
from overbook.core.overcommit.facts import original_request_bytes
from overbook.core.overcommit.swap import SwapDecision, burstable_reason, proportional_bytes
from overbook.core.pressure.rank import MemoryUsage, RankInput


def limited_swap(
    pod: ResolvedPod, container: ResolvedContainer, node_memory_bytes: int, swap_bytes: int
) -> SwapDecision:
    """What a kubelet with ``swapBehavior: LimitedSwap`` gives a container."""
    reason = burstable_reason(pod, container, node_memory_bytes)
    if reason != "Eligible":
        return SwapDecision(0, reason)
    request = container.resources.requests.memory_bytes or 0
    return SwapDecision(proportional_bytes(request, node_memory_bytes, swap_bytes), "Eligible")


def is_over_limit(pod: Pod, usages: Mapping[str, MemoryUsage]) -> bool:
    """Whether a container, init containers included, holds more than its memory limit in RAM and swap.

    Args:
        pod: the pod.
        usages: by container name; a container without is not over its limit.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    for container in pod.all_containers():
        usage = usages.get(container.name)
        if usage is None or container.resources is None:
            continue
        limits = amounts(container.resources.limits, f"containers[{container.name}].resources.limits.")
        if limits.memory_bytes is not None and usage.total_bytes > limits.memory_bytes:
            return True
    return False


def rank_input(pod: Pod, usage: MemoryUsage | None, usages: Mapping[str, MemoryUsage]) -> RankInput:
    """What the rank looks at, from a pod and its statistics.

    Args:
        pod: the pod; its UID, else its name, becomes the key.
        usage: what the pod holds together, ``None``: no statistics.
        usages: by container name.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    return RankInput(
        key=pod.metadata.uid or pod.label,
        priority=pod.spec.priority or 0,
        request_bytes=original_request_bytes(pod),
        over_limit=usage is not None and is_over_limit(pod, usages),
        usage=usage,
    )
