"""The override rules for one container: its new requests and its new CPU limit.

The order is that of OpenShift's webhook: memory request, CPU limit, CPU request from the limit, CPU request
from the request. Percentages are exact integers (29 % is 29 %; OpenShift's floats make it 28 %). Sources:
openshift/cluster-resource-override-admission as of 2026-06; *Configuring the cluster to place pods on
overcommitted nodes* 6.5.1.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import Bound, Bounds
from overbook.core.kubernetes.pod import ResourceList, ResourceRequirements
from overbook.core.kubernetes.quantity import MAX_INT64, Format, Quantity, RawQuantity, from_raw, parse
from overbook.core.kubernetes.resources import CPU, MEMORY

Part = Literal["requests", "limits"]
Slot = tuple[Part, str]
OverrideRule = Literal[
    "MemoryRequestToLimit",
    "LimitCpuToMemory",
    "CpuRequestToLimit",
    "CpuRequestToRequest",
]
Decided = Literal["Percentage", "Floor", "Minimum", "Maximum", "Containers", "Limit"]

REQUESTS_MEMORY: Final[Slot] = ("requests", MEMORY)
REQUESTS_CPU: Final[Slot] = ("requests", CPU)
LIMITS_CPU: Final[Slot] = ("limits", CPU)

_MIB: Final = 1 << 20
_MEGA: Final = 10**6
_GIB: Final = 1 << 30
NO_QUANTITIES: Final[ResourceList] = {}


class RuleOutcome(msgspec.Struct, frozen=True, gc=False):
    """The result of a rule for one quantity; the fields are those of ``Change``."""

    new: str
    rule: OverrideRule
    percent: int
    decided: Decided
    source: str


def outcomes(
    written: ResourceRequirements,
    policy: OverridePolicy,
    bounds: Bounds,
    noted: str | None,
) -> tuple[Mapping[Slot, RuleOutcome], str | None]:
    """The outcomes of the rules, in order, for one container or for pod-level resources.

    Returns the outcomes, and the original CPU request to be kept in an annotation for a second pass;
    ``None``: no annotation has to be added.

    Args:
        written: requests and limits, LimitRange defaults merged in.
        policy: the percentages.
        bounds: the bounds of the namespace's LimitRanges.
        noted: the original CPU request from an annotation of the pod; ``None``: there is none.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    limits = written.limits or NO_QUANTITIES
    original, to_note = None, None
    if policy.cpu_request_to_request_percent:
        original, to_note = _original_request(written, noted)
    return _decided(limits.get(MEMORY, UNSET), limits.get(CPU, UNSET), original, policy, bounds), to_note


@lru_cache(maxsize=4096, typed=True)
def _decided(
    memory: RawQuantity | UnsetType,
    cpu: RawQuantity | UnsetType,
    original: Quantity | None,
    policy: OverridePolicy,
    bounds: Bounds,
) -> Mapping[Slot, RuleOutcome]:
    """The outcomes for two limits and a request, cached: a cluster repeats the same few hundred."""
    found: dict[Slot, RuleOutcome] = {}
    memory_limit = _quantity(memory, MEMORY, "limits.")
    cpu_limit = _quantity(cpu, CPU, "limits.")
    percent = policy.memory_request_to_limit_percent
    if memory_limit is not None and percent:
        amount = memory_limit.value() * percent // 100
        amount -= amount % (_MIB if memory_limit.format == "BinarySI" else _MEGA)
        found[REQUESTS_MEMORY] = _bounded(
            amount,
            0,
            memory_limit,
            bounds.memory_floor,
            bounds.memory_ceiling,
            "MemoryRequestToLimit",
            percent,
        )
    percent = policy.limit_cpu_to_memory_percent
    if memory_limit is not None and percent:
        amount = memory_limit.value() * percent * 1000 // (100 * _GIB)
        outcome = _bounded(
            amount, -3, memory_limit, bounds.cpu_floor, bounds.cpu_ceiling, "LimitCpuToMemory", percent
        )
        found[LIMITS_CPU] = outcome
        cpu_limit = parse(outcome.new)
    percent = policy.cpu_request_to_limit_percent
    if cpu_limit is not None and percent:
        amount = cpu_limit.milli() * percent // 100
        found[REQUESTS_CPU] = _bounded(
            amount, -3, cpu_limit, bounds.cpu_floor, bounds.cpu_ceiling, "CpuRequestToLimit", percent
        )
    percent = policy.cpu_request_to_request_percent
    if original is not None:
        amount = original.milli() * percent // 100
        found[REQUESTS_CPU] = _bounded(
            amount, -3, original, bounds.cpu_floor, bounds.cpu_ceiling, "CpuRequestToRequest", percent
        )
    return found


def _original_request(written: ResourceRequirements, noted: str | None) -> tuple[Quantity | None, str | None]:
    """The CPU request before the webhook changed it: from the annotation, else the present one.

    A request of 0 counts as none, and so does an annotation that is not a quantity. Returns the request, and
    the text for the annotation.
    """
    if noted is not None:
        try:
            kept = parse(noted)
        except InvalidInput:
            return None, None
        return (kept if kept.digits > 0 else None), None
    request = _quantity((written.requests or NO_QUANTITIES).get(CPU, UNSET), CPU, "requests.")
    if request is None or not request.digits:
        return None, None
    return request, request.canonical()


def _bounded(
    amount: int,
    scale: int,
    basis: Quantity,
    floor: Bound,
    ceiling: Bound | None,
    rule: OverrideRule,
    percent: int,
) -> RuleOutcome:
    decided: Decided = "Percentage"
    source = ""
    if amount < floor.amount:
        new, amount, source = floor.text, floor.amount, floor.source
        decided = "Minimum" if source else "Floor"
    else:
        form = "DecimalSI" if rule == "LimitCpuToMemory" else basis.format
        new = quantity_text(amount, scale, form)
    if ceiling is not None and amount > ceiling.amount:
        new, decided, source = ceiling.text, "Maximum", ceiling.source
    return RuleOutcome(new, rule, percent, decided, source)


def _quantity(raw: RawQuantity | UnsetType, resource: str, where: str) -> Quantity | None:
    if raw is UNSET:
        return None
    try:
        return _read(raw, resource)
    except InvalidInput as error:
        raise error.inside(f"{where}{resource}") from error


@lru_cache(maxsize=4096, typed=True)
def _read(raw: RawQuantity, resource: str) -> Quantity:
    quantity = from_raw(raw)
    if quantity.digits < 0 or quantity.scaled(-3 if resource == CPU else 0) >= MAX_INT64:
        raise InvalidInput("", raw, "a quantity from 0 to less than 8Ei")
    return quantity


@lru_cache(maxsize=4096)
def quantity_text(amount: int, scale: int, form: Format) -> str:
    """The canonical text of the quantity ``amount`` × 10 ** ``scale``."""
    return Quantity(amount, scale, form).canonical()
