"""Resources that the API server fills in before admission webhooks are called.

Requests from limits, then what the namespace's LimitRanges give to containers that say nothing. Source:
``pkg/apis/core/v1/defaults.go`` and ``plugin/pkg/admission/limitranger`` at v1.36.
"""

from collections.abc import Iterable

from msgspec import structs

from overbook.core.limit_range import LimitRange, LimitRangeItem
from overbook.core.pod import Container, Pod, ResourceList, ResourceRequirements
from overbook.core.quantity import Quantity
from overbook.core.resources import CPU, MEMORY, pod_level_resources


def with_defaults(pod: Pod, ranges: Iterable[LimitRange]) -> Pod:
    """The pod as webhooks see it.

    Pod-level requests are filled in before the LimitRanges: what these give to containers is not in them.

    Raises:
        InvalidInput: a pod-level quantity that the API server refuses, or one of its containers.
    """
    limits: ResourceList = {}
    requests: ResourceList = {}
    merged = []
    for one in ranges:
        # Within one LimitRange the last item wins, among several the first that says something.
        own_limits: ResourceList = {}
        own_requests: ResourceList = {}
        for item in one.items:
            if item.type == "Container":
                item_limits, item_requests = _item_defaults(item)
                own_limits |= item_limits
                own_requests |= item_requests
        merged.append((own_limits, own_requests))
    for own_limits, own_requests in reversed(merged):
        limits |= own_limits
        requests |= own_requests
    spec = structs.replace(
        pod.spec,
        containers=tuple(_filled(container, limits, requests) for container in pod.containers),
        init_containers=tuple(_filled(container, limits, requests) for container in pod.init_containers),
        resources=_pod_level(pod),
    )
    return structs.replace(pod, spec=spec)


def _pod_level(pod: Pod) -> ResourceRequirements | None:
    level = pod_level_resources(pod)
    written = pod.spec.resources
    if level is None or written is None:
        return None
    defaults: ResourceList = {}
    if level.requests.cpu_milli is not None:
        defaults[CPU] = Quantity(level.requests.cpu_milli, -3).canonical()
    if level.requests.memory_millibytes is not None:
        defaults[MEMORY] = Quantity(level.requests.memory_millibytes, -3, "BinarySI").canonical()
    return structs.replace(written, requests=defaults | (written.requests or {}))


def _item_defaults(item: LimitRangeItem) -> tuple[ResourceList, ResourceList]:
    """An item's default limits and requests; what it leaves out comes from its maximum and minimum."""
    limits = (item.max or {}) | (item.default or {})
    return limits, (item.min or {}) | limits | (item.default_request or {})


def _filled(container: Container, limits: ResourceList, requests: ResourceList) -> Container:
    written = container.resources or ResourceRequirements()
    own_limits = written.limits or {}
    filled = structs.replace(
        written,
        limits=limits | own_limits,
        requests=requests | own_limits | (written.requests or {}),
    )
    return structs.replace(container, resources=filled)
