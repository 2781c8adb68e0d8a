"""QoS class, critical pods and ``oom_score_adj``, as the kubelet decides them.

Sources: ``pkg/apis/core/v1/helper/qos/qos.go``, ``pkg/kubelet/qos/policy.go`` and
``pkg/kubelet/types/pod_update.go`` at v1.36.
"""

from typing import Final, Literal

from overbook.core.kubernetes.memo import remembered
from overbook.core.kubernetes.pod import MIRROR_ANNOTATION, SOURCE_ANNOTATION, Container, Pod
from overbook.core.kubernetes.resources import (
    Resources,
    aggregate,
    container_resources,
    pod_level_resources,
    total,
)

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]
"""``kernel.kubepods_names`` has the same: kernel readers know nothing of the rules. A test compares them."""

SYSTEM_CRITICAL_PRIORITY: Final = 2_000_000_000
NODE_CRITICAL_CLASS: Final = "system-node-critical"
GUARANTEED_OOM_SCORE_ADJ: Final = -997
BEST_EFFORT_OOM_SCORE_ADJ: Final = 1000


@remembered
def qos_class(pod: Pod) -> QosClass:
    """The pod's QoS class.

    Only CPU and memory count and only positive quantities. With pod-level resources the containers are
    not looked at. All init containers count like regular ones.
    """
    level = pod_level_resources(pod)
    parts = [level] if level is not None else [container_resources(c) for c in pod.all_containers()]
    requests = total(part.requests for part in parts)
    limits = total(part.limits for part in parts)
    if requests.is_empty and limits.is_empty:
        return "BestEffort"
    limited = all(part.limits.cpu_milli and part.limits.memory_bytes for part in parts)
    return "Guaranteed" if limited and requests == limits else "Burstable"


def is_static(pod: Pod) -> bool:
    """Whether the kubelet runs the pod from a file or URL of its own."""
    return pod.annotations.get(SOURCE_ANNOTATION, "api") != "api"


def is_mirror(pod: Pod) -> bool:
    """Whether this is the API's image of a static pod."""
    return MIRROR_ANNOTATION in pod.annotations


def is_critical(pod: Pod) -> bool:
    """Whether the kubelet never evicts the pod and never gives it swap."""
    return is_static(pod) or is_mirror(pod) or (pod.spec.priority or 0) >= SYSTEM_CRITICAL_PRIORITY


def is_node_critical(pod: Pod) -> bool:
    """Critical and of the class ``system-node-critical``."""
    return is_critical(pod) and pod.spec.priority_class_name == NODE_CRITICAL_CLASS


def oom_score_adj(pod: Pod, container: Container, node_memory_bytes: int, *, sidecar: bool = False) -> int:
    """What the kernel's OOM killer is told about a container: higher goes first.

    Args:
        pod: its pod.
        container: the container.
        node_memory_bytes: MemTotal of the node, not its allocatable.
        sidecar: whether it is an init container that keeps running.
    """
    quality = qos_class(pod)
    if is_node_critical(pod) or quality == "Guaranteed":
        return GUARANTEED_OOM_SCORE_ADJ
    if quality == "BestEffort" or node_memory_bytes <= 0:
        return BEST_EFFORT_OOM_SCORE_ADJ
    share = _unassigned_share(pod)

    def adjusted(resources: Resources) -> int:
        return 1000 - _quotient(1000 * ((resources.requests.memory_bytes or 0) + share), node_memory_bytes)

    score = adjusted(container_resources(container))
    if sidecar and pod.containers:
        smallest = min(
            (container_resources(c) for c in pod.containers), key=lambda r: r.requests.memory_bytes or 0
        )
        score = min(score, adjusted(smallest))
    # A Burstable container stays apart from both other classes. (Above 1000 there are only pods whose
    # containers ask for more than the pod does, which the API server refuses.)
    if score == BEST_EFFORT_OOM_SCORE_ADJ:
        return BEST_EFFORT_OOM_SCORE_ADJ - 1
    return max(1000 + GUARANTEED_OOM_SCORE_ADJ, score)


def _unassigned_share(pod: Pod) -> int:
    """Each container's part of a pod-level request that no container asked for, in bytes."""
    level = pod_level_resources(pod)
    if level is None or not level.requests.memory_bytes:
        return 0
    asked = aggregate(pod, lambda resources: resources.requests).memory_bytes or 0
    return _quotient(level.requests.memory_bytes - asked, len(pod.containers) + len(pod.init_containers))


def _quotient(dividend: int, divisor: int) -> int:
    """Integer division that truncates, as the kubelet's does."""
    return -(-dividend // divisor) if dividend < 0 else dividend // divisor
