"""The memory that pods may count on: VMs' guest sizes, and the limits or requests of other pods."""

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubevirt.memory import guest_bytes, inferred_guest_bytes
from overbook.core.kubevirt.vm import is_virtual_machine_pod


def promise_bytes(pod: ResolvedPod, percent: int) -> int:
    """The memory that a pod may count on, in bytes.

    For a virtual machine's pod it is the guest size, inferred from the request and the percentage. For any
    other pod, and for a VM's with a limit from which it cannot be inferred: the memory limit, else the
    request.

    Args:
        pod: the pod.
        percent: ``memoryOvercommitPercentage``.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    machine = is_virtual_machine_pod(pod.pod)
    if machine:
        try:
            inferred = inferred_guest_bytes(pod, percent)
        except InvalidInput:  # the annotation is not a size
            inferred = None
        if inferred is not None:
            return inferred
    limit, request = pod.limits.memory_bytes, pod.requests.memory_bytes or 0
    if limit:
        return limit
    return guest_bytes(request, 0, percent) if machine else request
