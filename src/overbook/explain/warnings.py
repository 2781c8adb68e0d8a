"""Warnings about a pod: what the API server refuses, dangers, and notes."""

from collections.abc import Iterator

from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.kubevirt.vm import owning_instance
from overbook.core.overcommit.swap import SwapDecision, proportional_bytes
from overbook.core.text import cores, shown
from overbook.explain.inventory import Found
from overbook.explain.node import ExplainedNode
from overbook.explain.report import Warned


def pod_warnings(
    found: Found, pod: ResolvedPod, node: ExplainedNode, decisions: list[SwapDecision]
) -> Iterator[Warned]:
    """The warnings about one pod.

    Args:
        found: the pod and the object that it is from.
        pod: the resolved pod.
        node: the node.
        decisions: the swap decisions of its containers, init containers first.
    """
    request_bytes = pod.requests.memory_bytes or 0
    for container in pod.all_containers:
        yield from _above_limit(container)
    if found.vmi is not None or owning_instance(found.pod) is not None:
        from overbook.explain.vm_warnings import vm_warnings  # noqa: PLC0415 - most pods are no VMs'

        yield from vm_warnings(found, node)
    if found.kind == "Service":
        yield Warned(
            "QueueProxyNotShown",
            "Note",
            "Knative adds the container queue-proxy, which is not shown and not counted: by default it "
            "requests 25m of CPU and has no limit, so the pod is Burstable",
        )
    if not request_bytes:
        yield Warned(
            "NoMemoryRequest",
            "Note",
            "it has no memory request, so a node that runs it counts as overcommitted",
        )
    yield from _beyond_node(pod, node)
    yield from _initialisation(pod)
    yield from _native_swap(pod, node, decisions)


def _beyond_node(pod: ResolvedPod, node: ExplainedNode) -> Iterator[Warned]:
    """Dangers if the pod requests more than the node has, or lets pods request."""
    memory, cpu = pod.requests.memory_bytes or 0, pod.requests.cpu_milli or 0
    has = "has"
    most, most_cpu = node.ordinary_bytes, node.cpu_milli
    if node.allocatable is not None:
        has = "allows pods"
        most = node.allocatable.memory_bytes or most
        most_cpu = node.allocatable.cpu_milli or most_cpu
    if memory > most:
        text = f"it requests {shown(memory)}, the node {has} {shown(most)}: it never starts"
        yield Warned("RequestExceedsNode", "Danger", text)
    if most_cpu is not None and cpu > most_cpu:
        text = f"it requests {cores(cpu)} CPUs, the node {has} {cores(most_cpu)}: it never starts"
        yield Warned("RequestExceedsNode", "Danger", text)


def _above_limit(container: ResolvedContainer) -> Iterator[Warned]:
    resources = container.resources
    requests, limits = resources.requests, resources.limits
    if limits.cpu_milli is not None and (requests.cpu_milli or 0) > limits.cpu_milli:
        numbers = f"{cores(requests.cpu_milli)} above its limit of {cores(limits.cpu_milli)}"
        yield Warned("RequestAboveLimit", "Refused", f"{container.name} requests CPU {numbers}")
    request, limit = requests.memory_bytes, limits.memory_bytes
    if limit is not None and request is not None and request > limit:
        numbers = f"{shown(request)} above its limit of {shown(limit)}"
        yield Warned("RequestAboveLimit", "Refused", f"{container.name} requests memory {numbers}")


def _initialisation(pod: ResolvedPod) -> Iterator[Warned]:
    if not any(container.role == "Init" for container in pod.init_containers):
        return
    needed = pod.needed.requests.memory_bytes or 0
    running = sum(
        container.resources.requests.memory_bytes or 0
        for container in pod.all_containers
        if container.role != "Init"
    )
    if needed > running:
        yield Warned(
            "InitContainerDominates",
            "Note",
            f"an init container decides the request: {shown(needed)} are reserved as long as the pod exists, "
            f"but its other containers request {shown(running)}",
        )


def _native_swap(pod: ResolvedPod, node: ExplainedNode, decisions: list[SwapDecision]) -> Iterator[Warned]:
    """A note if the kubelet's LimitedSwap would give swap and the configured eligibility does not."""
    native = 0
    for container, decision in zip(pod.all_containers, decisions, strict=True):
        # These reasons are checked after the kubelet's own: without them the container could swap.
        if decision.reason in ("NotVirtualMachine", "DisabledOnPod", "DisabledOnNamespace"):
            request = container.resources.requests.memory_bytes or 0
            native += proportional_bytes(request, node.memory_bytes, node.swap_bytes)
    if native:
        yield Warned(
            "LimitedSwapDiffers",
            "Note",
            f"a kubelet with swapBehavior LimitedSwap would give it {shown(native)} of swap, because it does "
            "not look at the owner (a VM or not) or at annotations",
        )
