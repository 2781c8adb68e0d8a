"""What the rules need to know of a pod, computed once when the pod is first seen."""

import msgspec

from overbook.core.kubernetes.pod import Container, Pod
from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.resources import amounts
from overbook.core.overcommit.swap import Reason


class ContainerFacts(msgspec.Struct, frozen=True, gc=False):
    """One container.

    Attributes:
        name: its name in the pod.
        memory_request_bytes: after defaulting; ``None``: asks for none.
        memory_limit_bytes: ``None``: no limit.
        swap: whether it may swap, and why not.
        whole_bytes: what it can need beyond its request (guest + overhead - request, or limit - request);
            ``None``: nothing says.
    """

    name: str
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None
    swap: Reason = "NotBurstable"
    whole_bytes: int | None = None


class PodFacts(msgspec.Struct, frozen=True, gc=False):
    """One pod.

    Attributes:
        uid: its UID.
        label: ``namespace/name``.
        qos_class: its QoS class.
        priority: its priority, 0 where it has none.
        critical: never evicted, never swapped (static, mirror, or of a system priority).
        virtual_machine: made by KubeVirt for a virtual machine.
        memory_request_bytes: the effective request, overhead included.
        original_request_bytes: the request as the original agent sums it, for its rank.
        containers: init containers, then the regular ones.
        grace_seconds: its ``terminationGracePeriodSeconds``.
        swap_allowed_bytes: its containers' allowances together; ``None``: what the kernel's limits say.
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
    """The memory request as the original agent sums it.

    Containers together, or the largest init container where that is more, and overhead where that is not
    zero. Sidecars and pod-level resources are unknown to it, and nothing is defaulted.

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
