"""QoS class and critical pods, as the kubelet decides them.

Sources: ``pkg/apis/core/v1/helper/qos/qos.go`` and ``pkg/kubelet/types/pod_update.go`` at v1.36.
"""

from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

from overbook.core.kubernetes.pod import MIRROR_ANNOTATION, SOURCE_ANNOTATION, Pod
from overbook.core.kubernetes.resources import Resources, total

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]
"""``kernel.kubepods_names`` has the same names, as it must not import the rules. A test compares them."""

_CLASSES: Final = frozenset(get_args(QosClass))

SYSTEM_CRITICAL_PRIORITY: Final = 2_000_000_000
NODE_CRITICAL_CLASS: Final = "system-node-critical"


def qos_class(parts: Sequence[Resources]) -> QosClass:
    """A pod's QoS class. Only positive quantities of CPU and memory count.

    Args:
        parts: the resources of all containers, init containers included; for a pod with pod-level resources
            only those.
    """
    requests = total(part.requests for part in parts)
    limits = total(part.limits for part in parts)
    if requests.is_empty and limits.is_empty:
        return "BestEffort"
    limited = all(part.limits.cpu_milli and part.limits.memory_bytes for part in parts)
    return "Guaranteed" if limited and requests == limits else "Burstable"


def reported_qos_class(pod: Pod) -> QosClass | None:
    """The QoS class in the pod's status, by which the kubelet goes; ``None``: its status has none."""
    reported = None if pod.status is None else pod.status.qos_class
    return cast("QosClass", reported) if reported in _CLASSES else None


def is_static(pod: Pod) -> bool:
    """Whether the kubelet runs the pod from a file or URL, without the API server."""
    return pod.annotations.get(SOURCE_ANNOTATION, "api") != "api"


def is_mirror(pod: Pod) -> bool:
    """Whether the pod is a mirror pod: the API's object for a static pod."""
    return MIRROR_ANNOTATION in pod.annotations


def is_critical(pod: Pod) -> bool:
    """Whether the kubelet never evicts the pod and never gives it swap."""
    return is_static(pod) or is_mirror(pod) or (pod.spec.priority or 0) >= SYSTEM_CRITICAL_PRIORITY


def is_node_critical(pod: Pod) -> bool:
    """Whether the pod is critical and has the priority class ``system-node-critical``."""
    return is_critical(pod) and pod.spec.priority_class_name == NODE_CRITICAL_CLASS
