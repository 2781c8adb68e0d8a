"""Memory that a node has promised: what its guests were told they have, and what its other pods may use."""

from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.pod import Pod
from overbook.core.resources import container_resources, pod_limits, pod_requests
from overbook.core.vm import COMPUTE_CONTAINER, is_virtual_machine_pod
from overbook.core.vm_memory import guest_bytes
from overbook.core.vm_overhead import reported_overhead_bytes

ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod that holds nothing any more."""


def promise_bytes(pod: Pod, percent: int) -> int:
    """What one pod was promised.

    A virtual machine's pod: the memory that its guest sees, told from the request under the percentage. Any
    other pod: its memory limit, or where it has none its request.

    Args:
        pod: the pod.
        percent: ``memoryOvercommitPercentage``.

    Raises:
        InvalidInput: a quantity that the API server refuses, or a percentage out of range.
    """
    if is_virtual_machine_pod(pod):
        guest = _guest_bytes(pod, percent)
        if guest is not None:
            return guest
    return pod_limits(pod).memory_bytes or pod_requests(pod).memory_bytes or 0


def _guest_bytes(pod: Pod, percent: int) -> int | None:
    for container in pod.containers:
        if container.name != COMPUTE_CONTAINER:
            continue
        request = container_resources(container).requests.memory_bytes
        if request is None:
            return None
        overhead = reported_overhead_bytes(pod) or 0
        # A request below the reported overhead was set by hand: then all of it counts as the guest's.
        try:
            return guest_bytes(request, overhead if overhead <= request else 0, percent)
        except InvalidInput as error:
            raise error.inside(f"Pod {pod.label}: ") from error
    return None
