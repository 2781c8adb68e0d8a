"""The changes from which an override can choose for one resource of a container or pod, most first."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import structs

from overbook.core.api.override import OverridePolicy
from overbook.core.kubernetes.limit_range import Bounds
from overbook.core.kubernetes.pod import Container, Pod, ResourceRequirements
from overbook.core.kubernetes.quantity import from_raw, parse
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.override.override import NOTHING, Change, Place, of_container, of_pod_level
from overbook.core.override.rules import Part

RESOURCES: Final = (MEMORY, CPU)


class ChangeOption(msgspec.Struct, frozen=True, gc=False):
    """Changes that are made together or not at all.

    Attributes:
        changes: the changes of one resource of a container or pod.
        note: the CPU request to be kept as the original one; ``None``: none has to be.
        parts: the quantities that are as the override wants them, those that need no change for it included.
    """

    changes: tuple[Change, ...] = ()
    note: str | None = None
    parts: frozenset[Part] = frozenset()


_Compute = Callable[[OverridePolicy], tuple[Iterable[Change], str | None]]


def options_of_container(
    place: Place,
    index: int,
    container: Container,
    policy: OverridePolicy,
    bounds: Bounds,
    noted: Mapping[str, str],
) -> dict[str, list[ChangeOption]]:
    """A container's options for each resource; the last one of each changes nothing.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """

    def compute(policy: OverridePolicy) -> tuple[Iterable[Change], str | None]:
        return of_container(place, index, container, policy, bounds, noted)

    return _options(compute, policy, container.resources or NOTHING)


def options_of_pod_level(
    pod: Pod,
    policy: OverridePolicy,
    bounds: Bounds,
    changes: Iterable[Change],
    noted: Mapping[str, str],
) -> dict[str, list[ChangeOption]]:
    """The options of a pod's ``spec.resources`` beside these changes of its containers.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    changes = tuple(changes)

    def compute(policy: OverridePolicy) -> tuple[Iterable[Change], str | None]:
        return of_pod_level(pod, policy, bounds, changes, noted)

    return _options(compute, policy, pod.spec.resources or NOTHING)


def _options(
    compute: _Compute, policy: OverridePolicy, written: ResourceRequirements
) -> dict[str, list[ChangeOption]]:
    found: dict[str, list[ChangeOption]] = {CPU: [], MEMORY: []}
    for fewer in _with_fewer_cpu_rules(policy):
        changes, note = compute(fewer)
        cpu = tuple(change for change in changes if change.resource == CPU)
        parts = frozenset(change.part for change in cpu)
        lowered = _lowered(cpu, written)
        options = [ChangeOption(cpu, note, parts)]
        if lowered != cpu:
            options.append(ChangeOption(lowered, note, parts | {"requests"}))
        found[CPU] += [option for option in options if option not in found[CPU]]
        if fewer is policy:
            memory = tuple(change for change in changes if change.resource == MEMORY)
            found[MEMORY].append(ChangeOption(memory, None, frozenset(change.part for change in memory)))
    return {
        resource: [first, *(option for option in rest if option.parts), ChangeOption()]
        for resource, (first, *rest) in found.items()
    }


def _with_fewer_cpu_rules(policy: OverridePolicy) -> Iterable[OverridePolicy]:
    """The policy; without the rule for the CPU limit; without the rules for the CPU request."""
    yield policy
    if not policy.limit_cpu_to_memory_percent:
        return
    yield structs.replace(policy, limit_cpu_to_memory_percent=0)
    yield structs.replace(policy, cpu_request_to_limit_percent=0, cpu_request_to_request_percent=0)


def _lowered(changes: tuple[Change, ...], written: ResourceRequirements) -> tuple[Change, ...]:
    """The changes with a CPU request that is not above the CPU limit: it is lowered with the limit."""
    by_part = {change.part: change for change in changes}
    limit, request = by_part.get("limits"), by_part.get("requests")
    listed_limit, listed_request = (written.limits or {}).get(CPU), (written.requests or {}).get(CPU)
    new_limit = limit.new if limit else listed_limit
    new_request = request.new if request else listed_request
    if new_limit is None or new_request is None:
        return changes
    most = from_raw(new_limit)
    if from_raw(new_request).milli() <= most.milli():
        return changes
    if request is not None:
        lower = structs.replace(request, new=most.canonical(), decided="Limit", source="")
    elif limit is not None:
        lower = structs.replace(
            limit, part="requests", old=str(listed_request), new=most.canonical(), decided="Limit", source=""
        )
    else:
        return changes
    others = tuple(change for change in changes if change.part != "requests")
    same = listed_request is not None and parse(lower.new) == from_raw(listed_request)
    return others if same else (*others, lower)
