"""A pod whose resources are being changed in place: what the kubelet works with, and what is reserved for it.

Until the kubelet has allocated a resize it goes on with the resources that it allocated before; the
scheduler counts the most of what is wanted, allocated and in force. Sources at v1.36:
``k8s.io/component-helpers/resource`` (``UseStatusResources``), ``pkg/kubelet/allocation``; KEP-1287.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import structs

from overbook.core.kubernetes.pod import (
    Container,
    ContainerStatus,
    Pod,
    PodCondition,
    PodStatus,
    ResourceList,
    ResourceRequirements,
)
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts, amounts, container_resources
from overbook.core.kubernetes.version import PINNED, KubernetesVersion

PENDING: Final = "PodResizePending"
IN_PROGRESS: Final = "PodResizeInProgress"
_NONE: Final = ResourceRequirements()


class Resize(msgspec.Struct, frozen=True, gc=False):
    """A resize that has not taken effect yet.

    Attributes:
        state: ``Deferred``, ``Infeasible``, ``InProgress``, or ``Proposed``: not looked at by the kubelet.
        message: the kubelet's own words.
        pod: the pod with the resources that the kubelet works with.
        reserved: the requests that the scheduler counts, overhead included.
    """

    state: str
    message: str
    pod: Pod
    reserved: Amounts


def resize_of(pod: Pod, version: KubernetesVersion = PINNED) -> Resize | None:
    """The resize that a pod waits for; ``None``: its resources are those of its spec.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    status = pod.status
    if status is None or not may_wait(pod):
        return None
    statuses = {one.name: one for one in status.containers}
    condition = _condition(status)
    state = "Proposed" if condition is None else condition.reason or "Deferred"
    if condition is not None and condition.type == IN_PROGRESS:
        state = "InProgress"
    elif condition is None and not _differs(pod, statuses):
        return None
    allocated = _with(pod, statuses, status, in_force=False)
    actual = _with(pod, statuses, status, in_force=True)
    reserved = resolve(allocated, version).requests.at_least(resolve(actual, version).requests)
    if state != "Infeasible":
        reserved = reserved.at_least(resolve(pod, version).requests)
    return Resize(state, (condition and condition.message) or "", allocated, reserved)


def may_wait(pod: Pod) -> bool:
    """Whether a pod may wait for a resize: a quick look, as nearly none does."""
    status = pod.status
    if status is None:
        return False
    if any(one.type in (PENDING, IN_PROGRESS) for one in status.conditions or ()):
        return True
    allocated = {one.name: one.allocated_resources for one in status.containers if one.allocated_resources}
    if not allocated:
        return False
    return any(
        one.name in allocated and allocated[one.name] != (one.resources or _NONE).requests
        for one in pod.all_containers()
    )


def _condition(status: PodStatus) -> PodCondition | None:
    found = {one.type: one for one in status.conditions or () if one.status == "True"}
    return found.get(PENDING) or found.get(IN_PROGRESS)


def _differs(pod: Pod, statuses: Mapping[str, ContainerStatus]) -> bool:
    """Whether the CPU or memory allocated to a container differs from what its spec requests."""
    for container in pod.all_containers():
        status = statuses.get(container.name)
        if status is None or not status.allocated_resources:
            continue
        allocated = amounts(status.allocated_resources, f"status of {container.name}: allocatedResources.")
        wanted = container_resources(container).requests
        if (allocated.cpu_milli or 0, allocated.memory_bytes or 0) != (
            wanted.cpu_milli or 0,
            wanted.memory_bytes or 0,
        ):
            return True
    return False


def _with(pod: Pod, statuses: Mapping[str, ContainerStatus], status: PodStatus, *, in_force: bool) -> Pod:
    """The pod with its allocated requests and the limits in force; ``in_force``: the requests likewise."""

    def changed(container: Container) -> Container:
        found = statuses.get(container.name)
        if found is None or (found.allocated_resources is None and found.resources is None):
            return container
        resources = _merged(
            container.resources, found.allocated_resources, found.resources, in_force=in_force
        )
        return structs.replace(container, resources=resources)

    level = pod.spec.resources
    if level is not None and (status.allocated_resources is not None or status.resources is not None):
        level = _merged(level, status.allocated_resources, status.resources, in_force=in_force)
    return structs.replace(
        pod,
        spec=structs.replace(
            pod.spec,
            containers=tuple(map(changed, pod.containers)),
            init_containers=tuple(map(changed, pod.init_containers)),
            resources=level,
        ),
    )


def _merged(
    written: ResourceRequirements | None,
    allocated: ResourceList | None,
    actual: ResourceRequirements | None,
    *,
    in_force: bool,
) -> ResourceRequirements:
    spec, actual = written or _NONE, actual or _NONE
    requests = actual.requests if in_force and actual.requests is not None else allocated
    return structs.replace(
        spec,
        requests=requests if requests is not None else actual.requests or spec.requests,
        limits=actual.limits if actual is not _NONE else spec.limits,
    )
