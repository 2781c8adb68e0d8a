"""LimitRanges: the bounds that a namespace sets on the resources of its containers and pods.

Source: ``k8s.io/api/core/v1``. How several LimitRanges are combined for the override rule follows the
ClusterResourceOverride webhook: the widest bounds of all.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec import structs

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import (
    Container,
    KubeStruct,
    ObjectMeta,
    Pod,
    ResourceList,
    ResourceRequirements,
)
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts
from overbook.core.kubernetes.version import PINNED, KubernetesVersion

Scope = Literal["Container", "Pod"]
_UNIT: Final = {CPU: -3, MEMORY: 0}


class LimitRangeItem(KubeStruct, frozen=True):
    """Bounds for one kind of object."""

    type: str = ""
    min: ResourceList | None = None
    max: ResourceList | None = None
    default: ResourceList | None = None
    default_request: ResourceList | None = None
    max_limit_request_ratio: ResourceList | None = None


class LimitRangeSpec(KubeStruct, frozen=True):
    """All bounds of one LimitRange."""

    limits: tuple[LimitRangeItem, ...] | None = None


class LimitRange(KubeStruct, frozen=True):
    """A namespace's LimitRange."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: LimitRangeSpec = LimitRangeSpec()

    @property
    def items(self) -> tuple[LimitRangeItem, ...]:
        """The LimitRange's items; empty where the list is absent."""
        return self.spec.limits or ()


class Bound(msgspec.Struct, frozen=True, gc=False):
    """One bound.

    Attributes:
        amount: the bound in milli-CPU or bytes.
        text: the bound as a canonical quantity.
        source: the LimitRange's name; empty: the override rule's own minimum.
    """

    amount: int
    text: str
    source: str = ""


class Bounds(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The range that requests and limits are kept in; a maximum may be missing, a minimum never is."""

    cpu_floor: Bound = Bound(1, "1m")
    cpu_ceiling: Bound | None = None
    memory_floor: Bound = Bound(1 << 20, "1Mi")
    memory_ceiling: Bound | None = None


NO_BOUNDS: Final = Bounds()
"""The bounds without a LimitRange: at least 1m and 1Mi, and no maximum."""


def bounds(ranges: Iterable[LimitRange], scope: Scope = "Container") -> Bounds:
    """The widest bounds of a namespace's LimitRanges: their smallest minimum and largest maximum.

    A minimum replaces the override rule's own minimum, even with a smaller one. Compute this once for a
    namespace and keep it.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    floors: dict[str, Bound] = {}
    ceilings: dict[str, Bound] = {}
    for limit_range in ranges:
        for item in limit_range.items:
            if item.type != scope:
                continue
            for resource in (CPU, MEMORY):
                _keep(floors, resource, limit_range, item.min, "min")
                _keep(ceilings, resource, limit_range, item.max, "max")
    return Bounds(
        cpu_floor=floors.get(CPU, NO_BOUNDS.cpu_floor),
        cpu_ceiling=ceilings.get(CPU),
        memory_floor=floors.get(MEMORY, NO_BOUNDS.memory_floor),
        memory_ceiling=ceilings.get(MEMORY),
    )


def _keep(
    kept: dict[str, Bound],
    resource: str,
    limit_range: LimitRange,
    listed: ResourceList | None,
    field: Literal["min", "max"],
) -> None:
    if not listed or resource not in listed:
        return
    raw = listed[resource]
    try:
        quantity = from_raw(raw)
    except InvalidInput as error:
        raise error.inside(f"LimitRange {limit_range.metadata.name}: {field}.{resource}") from error
    amount = _whole(quantity, resource, upwards=field == "min")
    known = kept.get(resource)
    if known is None or (amount < known.amount if field == "min" else amount > known.amount):
        kept[resource] = Bound(amount, quantity.canonical(), limit_range.metadata.name)


def _whole(quantity: Quantity, resource: str, *, upwards: bool) -> int:
    """A bound in whole units. With a minimum rounded up and a maximum down, comparing them is exact."""
    up = quantity.scaled(_UNIT[resource])
    if upwards:
        return up
    exact = quantity.scale >= _UNIT[resource] or (
        up * 10 ** (_UNIT[resource] - quantity.scale) == quantity.digits
    )
    return up if exact else up - 1


def with_defaults(pod: Pod, ranges: Iterable[LimitRange], version: KubernetesVersion = PINNED) -> Pod:
    """A pod with LimitRange defaults filled in, as webhooks get it.

    Pod-level resources are filled in before the LimitRanges, so the containers' LimitRange defaults are not
    in them.

    Args:
        pod: the pod as submitted.
        ranges: the LimitRanges of its namespace.
        version: Kubernetes' version.

    Raises:
        InvalidInput: the API server refuses a quantity of the pod or of a container.
    """
    limits: ResourceList = {}
    requests: ResourceList = {}
    merged = []
    for one in ranges:
        # Within one LimitRange the last item wins; among several, the first that has a default.
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
        resources=_pod_level(pod, version),
    )
    return structs.replace(pod, spec=spec)


def _pod_level(pod: Pod, version: KubernetesVersion) -> ResourceRequirements | None:
    written = pod.spec.resources
    level = None if written is None else resolve(pod, version).level
    if level is None or written is None:
        return written
    return structs.replace(
        written,
        requests=_listed(level.requests) | (written.requests or {}) or written.requests,
        limits=_listed(level.limits) | (written.limits or {}) or written.limits,
    )


def _listed(amounts: Amounts) -> ResourceList:
    listed: ResourceList = {}
    if amounts.cpu_milli is not None:
        listed[CPU] = Quantity(amounts.cpu_milli, -3).canonical()
    if amounts.memory_millibytes is not None:
        listed[MEMORY] = Quantity(amounts.memory_millibytes, -3, "BinarySI").canonical()
    return listed


def _item_defaults(item: LimitRangeItem) -> tuple[ResourceList, ResourceList]:
    """An item's default limits and requests; missing ones come from its maximum and minimum."""
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
