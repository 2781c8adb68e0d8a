"""Sentences about a pod's class and fate."""

from overbook.core.pod import Pod
from overbook.core.qos import QosClass
from overbook.core.readable import shown
from overbook.core.resources import container_resources, pod_level_resources


def qos_reason(pod: Pod, quality: QosClass) -> str:
    """Why the pod is in its class: what would have to change for a better one."""
    if quality == "BestEffort":
        return "nothing in it requests or limits CPU or memory"
    if pod_level_resources(pod) is not None:
        named = [("the pod", pod_level_resources(pod))]
    else:
        named = [(container.name, container_resources(container)) for container in pod.all_containers()]
    if quality == "Guaranteed":
        return "everything in it limits CPU and memory, and requests equal limits"
    for name, resources in named:
        if resources is None:
            continue
        missing = [
            resource
            for resource, limit in (
                ("CPU", resources.limits.cpu_milli),
                ("memory", resources.limits.memory_bytes),
            )
            if not limit
        ]
        if missing:
            return f"{name} has no {' and no '.join(missing)} limit"
    return "requests are below limits"


def eviction_words(*, quality: QosClass, critical: bool, request_bytes: int, priority: int) -> str:
    """Where the kubelet places the pod when the node's memory runs low, as far as manifests tell."""
    if critical:
        return "never: it is critical"
    if quality == "Guaranteed":
        return f"among the last: it cannot use more than it requests (priority {priority})"
    if request_bytes == 0:
        return f"among the first: any use is above its request of nothing (priority {priority})"
    return f"among the first once it uses more than {shown(request_bytes)} (priority {priority})"
