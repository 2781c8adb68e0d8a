"""Whether the API server accepts a pod's resources: requests within limits, LimitRanges.

Only CPU and memory are checked, which an override can change. Sources: ``pkg/apis/core/validation`` and
``plugin/pkg/admission/limitranger`` at v1.36.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from overbook.core.kubernetes.limit_range import LimitRange, Scope
from overbook.core.kubernetes.quantity import MAX_INT64, Quantity, from_raw
from overbook.core.kubernetes.resolved import ResolvedContainers
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts, Resources

LimitRangeRule = Literal["min", "max", "maxLimitRequestRatio"]
_RULES: Final[tuple[LimitRangeRule, ...]] = ("min", "max", "maxLimitRequestRatio")


class Constraint(msgspec.Struct, frozen=True, gc=False):
    """One bound of a LimitRange.

    Attributes:
        scope: whether it applies to containers or to pods.
        rule: which of the LimitRange's bounds it is.
        resource: ``cpu`` or ``memory``.
        thousandths: the bound in thousandths of a core, of a byte, or of the ratio.
        text: the bound as a canonical quantity.
        source: the LimitRange's name.
    """

    scope: Scope
    rule: LimitRangeRule
    resource: str
    thousandths: int
    text: str
    source: str


def constraints(ranges: Iterable[LimitRange]) -> tuple[Constraint, ...]:
    """The bounds on CPU and memory of a namespace's LimitRanges. Compute this once for a namespace.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    return tuple(_constraints(ranges))


def _constraints(ranges: Iterable[LimitRange]) -> Iterator[Constraint]:
    for one in ranges:
        for item in one.items:
            scope: Scope
            if item.type == "Container":
                scope = "Container"
            elif item.type == "Pod":
                scope = "Pod"
            else:
                continue
            for rule, listed in zip(_RULES, (item.min, item.max, item.max_limit_request_ratio), strict=True):
                for resource in (CPU, MEMORY):
                    if listed and resource in listed:
                        quantity = from_raw(listed[resource])
                        yield Constraint(
                            scope,
                            rule,
                            resource,
                            quantity.scaled(-3),
                            quantity.canonical(),
                            one.metadata.name,
                        )


def complaint(pod: ResolvedContainers, level: Resources | None, bounds: tuple[Constraint, ...]) -> str:
    """The first reason why the API server would refuse the pod's CPU and memory; empty: there is none.

    Args:
        pod: the pod's containers, LimitRange defaults merged in.
        level: the pod-level resources; ``None``: the pod has none.
        bounds: the result of :func:`constraints`.
    """
    of_containers = [bound for bound in bounds if bound.scope == "Container"]
    for container in pod.all_containers:
        found = container_complaint(container.resources, of_containers)
        if found:
            return f"{container.name}: {found}"
    return together_complaint(pod, level, bounds)


def container_complaint(resources: Resources, bounds: Iterable[Constraint], only: str = "") -> str:
    """The first reason why the API server would refuse a container, whatever the others are; empty: none.

    Args:
        resources: the container's resources.
        bounds: the constraints with the scope ``Container``, of the resource that is looked at.
        only: ``cpu`` or ``memory``: the resource that is looked at; empty: both.
    """
    return _above_limit(resources, only) or _broken(resources, bounds)


def together_complaint(
    pod: ResolvedContainers, level: Resources | None, bounds: Iterable[Constraint], only: str = ""
) -> str:
    """The first reason why the API server would refuse the pod as a whole; empty: there is none.

    Args:
        pod: the pod's containers; what is wrong with a single one is not looked for.
        level: the pod-level resources; ``None``: the pod has none.
        bounds: the result of :func:`constraints`.
        only: ``cpu`` or ``memory``: the resource that is looked at; empty: both.
    """
    if level is not None:
        found = _above_limit(level, only) or _beside_containers(pod, level, only)
        if found:
            return f"pod: {found}"
    of_pods = [bound for bound in bounds if bound.scope == "Pod" and (not only or only == bound.resource)]
    if of_pods:
        together = pod.needed
        if level is not None:
            together = Resources(level.requests.over(together.requests), level.limits.over(together.limits))
        found = _broken(together, of_pods)
        if found:
            return f"pod: {found}"
    return ""


def _above_limit(resources: Resources, only: str = "") -> str:
    requests, limits = resources.requests, resources.limits
    for resource, request, limit in (
        (CPU, requests.cpu_milli, limits.cpu_milli),
        (MEMORY, requests.memory_millibytes, limits.memory_millibytes),
    ):
        if request is not None and limit is not None and request > limit and (not only or only == resource):
            return f"{_amount(resource, 'request', request)} above its limit {_text(limit, resource)}"
    return ""


def _beside_containers(pod: ResolvedContainers, level: Resources, only: str = "") -> str:
    """A text if pod-level requests are below the containers', or a container's limit is above the pod's."""
    for resource, least, request in _pairs(pod.needed.requests, level.requests):
        if least > request and (not only or only == resource):
            return f"{_amount(resource, 'request', request)} below its containers' {_text(least, resource)}"
    for container in pod.containers:
        for resource, limit, most in _pairs(container.resources.limits, level.limits):
            if limit > most and (not only or only == resource):
                amount = _amount(resource, "limit", most)
                return f"{amount} below {_text(limit, resource)} of container {container.name}"
    return ""


def _pairs(one: Amounts, other: Amounts) -> Iterator[tuple[str, int, int]]:
    """Each resource for which both amounts are given, with the two amounts."""
    if one.cpu_milli is not None and other.cpu_milli is not None:
        yield CPU, one.cpu_milli, other.cpu_milli
    if one.memory_millibytes is not None and other.memory_millibytes is not None:
        yield MEMORY, one.memory_millibytes, other.memory_millibytes


def _broken(resources: Resources, bounds: Iterable[Constraint]) -> str:
    """A text about the first bound that the resources violate; empty: none."""
    requests, limits = resources.requests, resources.limits
    for bound in bounds:
        resource = bound.resource
        if resource == CPU:
            request, limit = requests.cpu_milli, limits.cpu_milli
        else:
            request, limit = requests.memory_millibytes, limits.memory_millibytes
        found = _breaks(bound, request, limit)
        if found:
            return f"{found} of LimitRange/{bound.source}"
    return ""


def _breaks(bound: Constraint, request: int | None, limit: int | None) -> str:  # noqa: C901 - three bounds, a few lines each
    edge = bound.thousandths
    if max(request or 0, limit or 0, edge) > MAX_INT64:
        request, limit, edge = _whole(request), _whole(limit), _whole(edge) or 0
    resource, text = bound.resource, bound.text
    if bound.rule == "min":
        if request is None:
            return f"{_shown_name(resource)} request missing, minimum {text}"
        for name, amount in (("request", request), ("limit", limit)):
            if amount is not None and amount < edge:
                return f"{_amount(resource, name, amount)} below minimum {text}"
        return ""
    if bound.rule == "max":
        if limit is None:
            return f"{_shown_name(resource)} limit missing, maximum {text}"
        for name, amount in (("limit", limit), ("request", request)):
            if amount is not None and amount > edge:
                return f"{_amount(resource, name, amount)} above maximum {text}"
        return ""
    if not request or not limit:
        return f"{_shown_name(resource)} limit to request ratio unbounded, maximum {text}"
    ratio = float(limit) / float(request)  # the API server computes it in floats, too
    return (
        f"{_shown_name(resource)} limit to request ratio {ratio:.3g} above {text}"
        if ratio * 1000 > edge
        else ""
    )


def _whole(thousandths: int | None) -> int | None:
    """Thousandths rounded up to whole units, as the API server does where 64 bits cannot hold thousandths."""
    return None if thousandths is None else -(-thousandths // 1000) * 1000


def _shown_name(resource: str) -> str:
    return "CPU" if resource == CPU else resource


def _amount(resource: str, name: str, thousandths: int) -> str:
    return f"{_shown_name(resource)} {name} {_text(thousandths, resource)}"


def _text(thousandths: int, resource: str) -> str:
    return Quantity(thousandths, -3, "DecimalSI" if resource == CPU else "BinarySI").canonical()
