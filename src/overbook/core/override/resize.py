"""The override of a resize (``pods/resize``): what the author changes follows the rules, and nothing else.

Requests are part of limits as at the pod's creation. Without this, a resize would put back the requests that
the override lowered. A resource of a container that the resize does not change is not changed either: it was
decided when the pod was created, maybe by another override.

A resize may not change the pod's QoS class, and it keeps no annotations: the API server drops them. In the
same request a second pass still sees what the first one noted.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import structs

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, Pod, ResourceList, ResourceRequirements
from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.quantity import from_raw
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.override.fitting import Fitted, FittingRules, LeftOut, Ranges, fit
from overbook.core.override.noted import believed_notes
from overbook.core.override.override import NOTHING, UNCHANGED, Change, Override, Place, apply

_OFF: Final = OverridePolicy()


def fit_resize(old: Pod, pod: Pod, policy: OverridePolicy, ranges: Ranges) -> Fitted:
    """The changes of an override to a pod that is being resized.

    Args:
        old: the pod before the resize.
        pod: the pod as it is to be.
        policy: the percentages.
        ranges: the namespace's LimitRanges.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    before = _resources(old)
    after = _resources(pod)
    policies = {
        place: _policy(policy, before.get(place, NOTHING), written) for place, written in after.items()
    }
    earlier = old.annotations
    noted = {
        key: text
        for key, text in believed_notes(pod, policy, ranges.bounds, ranges.pod_bounds).items()
        if earlier.get(key) != text
    }
    rules = FittingRules(lambda place, index: policies.get((place, index), _OFF), ranges, noted)
    fitted = fit(pod, rules)
    if fitted is None or fitted.override is UNCHANGED:
        return fitted or Fitted(UNCHANGED)
    return _with_its_class(old, pod, fitted)


def _resources(pod: Pod) -> dict[tuple[Place, int], ResourceRequirements]:
    lists: dict[Place, tuple[Container, ...]] = {
        "initContainers": pod.init_containers,
        "containers": pod.containers,
    }
    found = {
        (place, index): container.resources or NOTHING
        for place, containers in lists.items()
        for index, container in enumerate(containers)
    }
    return found if pod.spec.resources is None else {**found, ("pod", 0): pod.spec.resources}


def _policy(policy: OverridePolicy, old: ResourceRequirements, new: ResourceRequirements) -> OverridePolicy:
    """The percentages for what a resize changes; those for the rest are off."""
    memory_limit = _differs(old.limits, new.limits, MEMORY)
    memory_request = _differs(old.requests, new.requests, MEMORY)
    cpu_limit = _differs(old.limits, new.limits, CPU)
    cpu_request = _differs(old.requests, new.requests, CPU)
    percent = policy.limit_cpu_to_memory_percent if memory_limit or cpu_limit else 0
    of_request = policy.cpu_request_to_request_percent
    # A request that is a part of what the author requests changes only with that.
    follows_limit = cpu_request or ((cpu_limit or percent) and not of_request)
    return OverridePolicy(
        memory_request_to_limit_percent=(
            policy.memory_request_to_limit_percent if memory_limit or memory_request else 0
        ),
        limit_cpu_to_memory_percent=percent,
        cpu_request_to_limit_percent=policy.cpu_request_to_limit_percent if follows_limit else 0,
        cpu_request_to_request_percent=of_request if cpu_request else 0,
    )


def _differs(old: ResourceList | None, new: ResourceList | None, resource: str) -> bool:
    one, other = (old or {}).get(resource), (new or {}).get(resource)
    if one is None or other is None:
        return one is not other
    try:
        return from_raw(one).scaled(-3) != from_raw(other).scaled(-3)
    except InvalidInput:
        return True


def _with_its_class(old: Pod, pod: Pod, fitted: Fitted) -> Fitted:
    """The changes with which the pod keeps its QoS class, which a resize may not change."""
    had = resolve(old).qos_class
    changes = fitted.override.changes
    would = _class_of(pod, changes)
    if would == had:
        return fitted
    why = f"a resize may not change the QoS class, which was {had} and would be {would}"
    parts: Mapping[tuple[Place, int, str], None] = {
        (one.place, one.index, one.resource): None for one in changes
    }
    for part in parts:
        rest = tuple(one for one in changes if (one.place, one.index, one.resource) != part)
        if rest and _class_of(pod, rest) == had:
            break
    else:
        rest = ()
    left_out = tuple(
        LeftOut(one.place, one.name, "CPU" if one.resource == CPU else "memory", why)
        for one in {(one.place, one.index, one.resource): one for one in changes if one not in rest}.values()
    )
    notes = fitted.override.annotations
    return Fitted(Override(rest, notes) if rest else UNCHANGED, (*fitted.left_out, *left_out))


def _class_of(pod: Pod, changes: tuple[Change, ...]) -> QosClass:
    changed = apply(pod, changes)
    return resolve(structs.replace(changed, status=None)).qos_class
