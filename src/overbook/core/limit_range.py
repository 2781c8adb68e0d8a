"""LimitRanges: the bounds that a namespace sets on the resources of its containers and pods.

Source: ``k8s.io/api/core/v1``. How several LimitRanges are combined for the override rule follows the
ClusterResourceOverride webhook: the widest bounds of all.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pod import KubeStruct, ObjectMeta, ResourceList
from overbook.core.quantity import Quantity, from_raw
from overbook.core.resources import CPU, MEMORY

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
        """Never ``None``."""
        return self.spec.limits or ()


class Bound(msgspec.Struct, frozen=True, gc=False):
    """One bound.

    Attributes:
        amount: milli-CPU or bytes.
        text: the quantity as it is written back.
        source: the LimitRange's name; empty: the rule's own floor.
    """

    amount: int
    text: str
    source: str = ""


class Bounds(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What requests and limits are kept within; a ceiling may be missing, a floor never is."""

    cpu_floor: Bound = Bound(1, "1m")
    cpu_ceiling: Bound | None = None
    memory_floor: Bound = Bound(1 << 20, "1Mi")
    memory_ceiling: Bound | None = None


NO_BOUNDS: Final = Bounds()
"""At least 1m and 1Mi, and nothing else."""


def bounds(ranges: Iterable[LimitRange], scope: Scope = "Container") -> Bounds:
    """The widest bounds that the LimitRanges of a namespace leave: smallest minimum, largest maximum.

    A minimum takes the place of the rule's own floor, even where it is smaller. Compute this once for a
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
    """Whole units, rounded so that comparing with whole units is exact."""
    up = quantity.scaled(_UNIT[resource])
    if upwards:
        return up
    exact = quantity.scale >= _UNIT[resource] or (
        up * 10 ** (_UNIT[resource] - quantity.scale) == quantity.digits
    )
    return up if exact else up - 1
