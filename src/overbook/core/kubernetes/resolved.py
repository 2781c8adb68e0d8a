"""A pod with its resources, its QoS class and whether it is critical, computed once for all rules.

Sources: ``k8s.io/component-helpers/resource`` and ``pkg/apis/core/v1/defaults.go`` at v1.36; pod-level
resources: KEP-2837; sidecars: KEP-753.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, Pod
from overbook.core.kubernetes.pod_level import pod_level
from overbook.core.kubernetes.qos import QosClass, is_critical, qos_class, reported_qos_class
from overbook.core.kubernetes.resources import Amounts, Resources, amounts, container_resources
from overbook.core.kubernetes.version import PINNED, KubernetesVersion

ContainerRole = Literal["Container", "Init", "Sidecar"]


class ResolvedContainer(msgspec.Struct, frozen=True, gc=False):
    """One container.

    Attributes:
        name: its name in the pod.
        role: ``Init`` ends before the regular containers start; ``Sidecar`` is an init container that goes on
            running.
        resources: requests after defaulting, and limits.
    """

    name: str
    role: ContainerRole
    resources: Resources


class ResolvedContainers(msgspec.Struct, frozen=True, gc=False):
    """A pod's containers.

    Attributes:
        init_containers: plain init containers and sidecars, in order.
        containers: the regular containers.
        needed: the resources that the containers need together: the running ones' sum, or the most that
            initialisation needs. Overhead and pod-level resources are not included.
    """

    init_containers: tuple[ResolvedContainer, ...]
    containers: tuple[ResolvedContainer, ...]
    needed: Resources

    @property
    def all_containers(self) -> tuple[ResolvedContainer, ...]:
        """Init containers, then the regular ones."""
        return self.init_containers + self.containers if self.init_containers else self.containers


class ResolvedPod(ResolvedContainers, frozen=True, gc=False):
    """A pod with everything that follows from its spec alone.

    Attributes:
        pod: the pod itself.
        level: ``spec.resources`` after defaulting; ``None``: the pod has none.
        requests: the effective requests, overhead included, which the scheduler counts.
        limits: the effective limits; overhead is added where there is a limit.
        qos_class: the QoS class.
        critical: whether the kubelet never evicts the pod and never gives it swap.
    """

    pod: Pod
    level: Resources | None
    requests: Amounts
    limits: Amounts
    qos_class: QosClass
    critical: bool


def resolve(pod: Pod, version: KubernetesVersion = PINNED) -> ResolvedPod:
    """Resolve a pod. Its QoS class is that of its status, which the kubelet keeps, else that of its spec.

    Args:
        pod: the pod.
        version: Kubernetes' version.

    Raises:
        InvalidInput: a quantity that the API server refuses, a negative one included.
    """
    init_containers, containers = _containers(pod)
    needed = _needed(init_containers, containers)
    requests, limits = needed.requests, needed.limits
    parts: Sequence[Resources] = [one.resources for one in (*init_containers, *containers)]
    level = None if pod.spec.resources is None else pod_level(pod, needed, parts, version)
    if level is not None:
        requests, limits = level.requests.over(requests), level.limits.over(limits)
        parts = (level,)
    if pod.spec.overhead:
        overhead = amounts(pod.spec.overhead, "spec.overhead.")
        requests += overhead
        limits = Amounts(
            limits.cpu_milli and limits.cpu_milli + (overhead.cpu_milli or 0),
            limits.memory_millibytes and limits.memory_millibytes + (overhead.memory_millibytes or 0),
        )
    return ResolvedPod(
        init_containers,
        containers,
        needed,
        pod,
        level,
        requests,
        limits,
        reported_qos_class(pod) or qos_class(parts),
        is_critical(pod),
    )


def resolvable(pods: Iterable[Pod]) -> Iterator[ResolvedPod]:
    """The resolved pods; one with a quantity that the API server refuses is left out."""
    for pod in pods:
        try:
            yield resolve(pod)
        except InvalidInput:
            continue


def resolve_containers(pod: Pod) -> ResolvedContainers:
    """A pod's containers alone, for admission, which does not need the overhead.

    Raises:
        InvalidInput: a quantity that the API server refuses, a negative one included.
    """
    init_containers, containers = _containers(pod)
    return ResolvedContainers(init_containers, containers, _needed(init_containers, containers))


def resolved_level(pod: Pod, resolved: ResolvedContainers) -> Resources | None:
    """``spec.resources`` after defaulting, for a pod whose containers are resolved; ``None``: it has none.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    parts = [one.resources for one in resolved.all_containers]
    return pod_level(pod, resolved.needed, parts)


def _containers(pod: Pod) -> tuple[tuple[ResolvedContainer, ...], tuple[ResolvedContainer, ...]]:
    """A pod's init containers and its regular ones."""
    return (
        tuple([_resolved(one, "Sidecar" if one.is_sidecar else "Init") for one in pod.init_containers]),
        tuple([_resolved(one, "Container") for one in pod.containers]),
    )


def _resolved(container: Container, role: ContainerRole) -> ResolvedContainer:
    return ResolvedContainer(container.name, role, container_resources(container))


def _needed(
    init_containers: Iterable[ResolvedContainer], containers: Sequence[ResolvedContainer]
) -> Resources:
    """The resources that containers need together. A sidecar runs beside all that start after it."""
    if not init_containers and len(containers) == 1:
        return containers[0].resources
    running = Resources()
    for container in containers:
        running = _sum(running, container.resources)
    sidecars = initialising = Resources()
    for container in init_containers:
        needs = _sum(container.resources, sidecars)
        if container.role == "Sidecar":
            sidecars = needs
        initialising = Resources(
            initialising.requests.at_least(needs.requests), initialising.limits.at_least(needs.limits)
        )
    running = _sum(running, sidecars)
    return Resources(
        running.requests.at_least(initialising.requests), running.limits.at_least(initialising.limits)
    )


def _sum(one: Resources, other: Resources) -> Resources:
    return Resources(one.requests + other.requests, one.limits + other.limits)
