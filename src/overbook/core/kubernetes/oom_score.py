"""``oom_score_adj``: the value that the kubelet sets for the kernel's OOM killer.

Source: ``pkg/kubelet/qos/policy.go`` at v1.36.
"""

from typing import Final

from overbook.core.kubernetes.qos import is_node_critical
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.kubernetes.resources import Resources

GUARANTEED_OOM_SCORE_ADJ: Final = -997
BEST_EFFORT_OOM_SCORE_ADJ: Final = 1000


def oom_score_adj(pod: ResolvedPod, container: ResolvedContainer, node_memory_bytes: int) -> int:
    """The ``oom_score_adj`` of a container; the kernel kills containers with a higher one first.

    Args:
        pod: the container's pod.
        container: the container.
        node_memory_bytes: MemTotal of the node, not its allocatable.
    """
    if is_node_critical(pod.pod) or pod.qos_class == "Guaranteed":
        return GUARANTEED_OOM_SCORE_ADJ
    if pod.qos_class == "BestEffort" or node_memory_bytes <= 0:
        return BEST_EFFORT_OOM_SCORE_ADJ
    share = _unassigned_share(pod)

    def adjusted(resources: Resources) -> int:
        return 1000 - _quotient(1000 * ((resources.requests.memory_bytes or 0) + share), node_memory_bytes)

    score = adjusted(container.resources)
    if container.role == "Sidecar" and pod.containers:
        smallest = min(
            (one.resources for one in pod.containers), key=lambda each: each.requests.memory_bytes or 0
        )
        score = min(score, adjusted(smallest))
    # A Burstable container stays between both other classes. (Values above 1000 occur only for pods whose
    # containers request more than the pod does, which the API server refuses.)
    if score == BEST_EFFORT_OOM_SCORE_ADJ:
        return BEST_EFFORT_OOM_SCORE_ADJ - 1
    return max(1000 + GUARANTEED_OOM_SCORE_ADJ, score)


def _unassigned_share(pod: ResolvedPod) -> int:
    """Each container's part of the pod-level request that exceeds the containers' requests, in bytes."""
    level = pod.level
    if level is None or not level.requests.memory_bytes:
        return 0
    asked = pod.needed.requests.memory_bytes or 0
    return _quotient(level.requests.memory_bytes - asked, len(pod.containers) + len(pod.init_containers))


def _quotient(dividend: int, divisor: int) -> int:
    """Integer division that truncates, as the kubelet's does."""
    return -(-dividend // divisor) if dividend < 0 else dividend // divisor
