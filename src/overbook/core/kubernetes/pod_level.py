"""Pod-level resources (``spec.resources``), defaulted as by the API server.

Sources: ``defaultHugePagePodLimits``, ``defaultPodRequests`` and ``defaultPodLimits`` in
``pkg/apis/core/v1/defaults.go`` at v1.36 and v1.37; KEP-2837.
"""

from collections.abc import Iterable
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, Pod, ResourceList, ResourceRequirements
from overbook.core.kubernetes.resources import CPU, MEMORY, NONE, Amounts, Resources, amounts
from overbook.core.kubernetes.version import PINNED, POD_LEVEL, POD_LEVEL_FIXED, KubernetesVersion

HUGEPAGES_PREFIX: Final = "hugepages-"
_NOTHING: Final[ResourceList] = {}


def is_pod_level_resource(name: str) -> bool:
    """Whether ``spec.resources`` may have the resource: CPU, memory and huge pages."""
    return name in (CPU, MEMORY) or name.startswith(HUGEPAGES_PREFIX)


def has_pod_level(pod: Pod, version: KubernetesVersion = PINNED) -> bool:
    """Whether the pod's QoS class and limits are decided by ``spec.resources``.

    From 1.34 to 1.36 ``spec.resources: {}`` counts, too, as the kubelet only asks whether the field is there.
    """
    written = pod.spec.resources
    if written is None or version < POD_LEVEL:
        return False
    return version < POD_LEVEL_FIXED or any(
        is_pod_level_resource(name) for name in (*(written.requests or ()), *(written.limits or ()))
    )


def pod_level(
    pod: Pod, needed: Resources, parts: Iterable[Resources], version: KubernetesVersion = PINNED
) -> Resources | None:
    """``spec.resources`` after defaulting; ``None``: the pod has none.

    A pod with any pod-level limit, huge pages included, gets pod-level requests: what its containers need
    together, else the limit. From 1.37 on a pod with pod-level requests and no pod-level limit gets the sum
    of its containers' limits, for each resource that all of them limit.

    Args:
        pod: the pod.
        needed: what its containers need together.
        parts: the resources of all containers, init containers included.
        version: Kubernetes' version.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    written = pod.spec.resources
    if written is None or not has_pod_level(pod, version):
        return None
    try:
        requests, limits = amounts(written.requests, "requests."), amounts(written.limits, "limits.")
    except InvalidInput as error:
        raise error.inside("spec.resources.") from error
    if written.limits or _huge_page_limits(written, pod.all_containers()):
        requests = requests.over(needed.requests).over(limits)
    if version >= POD_LEVEL_FIXED and not written.limits and written.requests:
        limits = limits.over(_limits_of_all(needed.limits, parts))
    return Resources(requests, limits)


def _huge_page_limits(written: ResourceRequirements, containers: Iterable[Container]) -> bool:
    """Whether the pod gets a pod-level limit of huge pages from its containers."""
    if not written.requests and not written.limits:
        return False
    taken = written.requests or _NOTHING
    return any(
        name.startswith(HUGEPAGES_PREFIX) and name not in taken
        for container in containers
        for name in (container.resources or ResourceRequirements()).limits or ()
    )


def _limits_of_all(together: Amounts, parts: Iterable[Resources]) -> Amounts:
    listed = [part.limits for part in parts] or [NONE.limits]
    return Amounts(
        together.cpu_milli if all(one.cpu_milli is not None for one in listed) else None,
        together.memory_millibytes if all(one.memory_millibytes is not None for one in listed) else None,
    )
