"""The guards that are none: what the kernel does by itself, without swap and with the kubelet's limits."""

from overbook.core.kubernetes.resolved import resolve
from overbook.core.overcommit.swap import burstable_reason, proportional_bytes, whole_pages
from overbook_sandbox.density.guards.guard import Guard, GuardNode, StartedPod


class Alone(Guard):
    """No shortage: much memory, and only the innocent pods. Their pace here is 100 %."""

    name = "alone"
    title = "the innocent pods alone, with much memory"
    swap = False


class NoSwap(Guard):
    """A node without swap."""

    name = "no-swap"
    title = "no swap"
    swap = False


class Limited(Guard):
    """The kubelet's ``LimitedSwap`` values, and nothing else."""

    name = "limited"
    title = "LimitedSwap alone"

    def prepare(self, node: GuardNode) -> None:
        """Keep the node's sizes."""
        self._node = node

    def pod_started(self, pod: StartedPod) -> None:
        """Write what the kubelet writes, which gives swap to every Burstable pod."""
        resolved = resolve(pod.pod)
        (container,) = resolved.containers
        swap_bytes = 0
        if burstable_reason(resolved, container, self._node.memory_bytes) == "Eligible":
            request_bytes = container.resources.requests.memory_bytes or 0
            swap_bytes = proportional_bytes(request_bytes, self._node.memory_bytes, self._node.swap_bytes)
        pod.cgroup.write_memory_swap_max(whole_pages(swap_bytes, 4096))
