"""The facts of a pod that the rules use, computed once when the pod is first seen."""

import msgspec

from overbook.core.kubernetes.pod import Container, Pod
from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.resources import amounts
from overbook.core.overcommit.swap import Reason


class ContainerFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts of a container.

    Attributes:
        name: the container's name in the pod.
        memory_request_bytes: the memory request after defaulting; ``None``: no request.
        memory_limit_bytes: the memory limit; ``None``: no limit.
        swap: whether the container may swap, and if not, why.
        whole_bytes: the most memory that the container can need beyond its request (guest + overhead -
            request, or limit - request); ``None``: not known.
    """

    name: str
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None
    swap: Reason = "NotBurstable"
    whole_bytes: int | None = None


class PodFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts of a pod.

    Attributes:
        uid: the pod's UID.
        label: the pod as ``namespace/name``.
        qos_class: the QoS class.
        priority: the priority, 0 where the pod has none.
        critical: whether the pod is never evicted and never swapped (static, mirror, or of a system
            priority).
        virtual_machine: whether KubeVirt created the pod for a virtual machine.
        memory_request_bytes: the effective request, overhead included.
        original_request_bytes: the request as wasp-agent sums it, for the rank ``original``.
        containers: init containers, then the regular ones.
        grace_seconds: the pod's ``terminationGracePeriodSeconds``.
        swap_allowed_bytes: the sum of its containers' allowances; ``None``: the limits in the kernel count.
    """

    uid: str
    label: str
    qos_class: QosClass
    priority: int = 0
    critical: bool = False
    virtual_machine: bool = False
    memory_request_bytes: int = 0
    original_request_bytes: int = 0
    containers: tuple[ContainerFacts, ...] = ()
    grace_seconds: int = 30
    swap_allowed_bytes: int | None = None


def original_request_bytes(pod: Pod) -> int:
    """The memory request as wasp-agent sums it.

    It is the sum of the containers', or the largest init container's where that is more, plus the overhead
    unless the sum is zero. wasp-agent does not know sidecars and pod-level resources, and defaults nothing.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    running = 0
    for container in pod.containers:
        running += _request_bytes(container)
    for container in pod.init_containers:
        running = max(running, _request_bytes(container))
    return running + (amounts(pod.spec.overhead, "spec.overhead.").memory_bytes or 0) if running else 0


def _request_bytes(container: Container) -> int:
    listed = container.resources.requests if container.resources else None
    return amounts(listed, f"containers[{container.name}].resources.requests.").memory_bytes or 0
