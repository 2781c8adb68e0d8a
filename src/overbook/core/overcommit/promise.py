"""Memory that a node has promised: what its guests were told they have, and what its other pods may use."""

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubevirt.memory import guest_bytes, told_guest_bytes
from overbook.core.kubevirt.vm import is_virtual_machine_pod


def promise_bytes(pod: ResolvedPod, percent: int) -> int:
    """What one pod was promised.

    A virtual machine's pod: the memory that its guest sees, told from the request under the percentage. Any
    other pod, and a VM's with a limit that does not tell: its memory limit, or where it has none its request.

    Args:
        pod: the pod.
        percent: ``memoryOvercommitPercentage``.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    machine = is_virtual_machine_pod(pod.pod)
    if machine:
        try:
            told = told_guest_bytes(pod, percent)
        except InvalidInput:  # an annotation that is no size: nothing is told by it
            told = None
        if told is not None:
            return told
    limit, request = pod.limits.memory_bytes, pod.requests.memory_bytes or 0
    if limit:
        return limit
    return guest_bytes(request, 0, percent) if machine else request
