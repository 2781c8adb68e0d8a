"""The ClusterResourceOverride rule: a pod's requests recomputed from its limits at admission.

The rules for one container, and their sources, are in :mod:`overbook.core.override.rules`. This module
applies them to all containers of a pod and gives the changes and the changed pod.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import structs

from overbook.core.api.override import OverridePolicy, check
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import NO_BOUNDS, Bounds
from overbook.core.kubernetes.pod import Container, Pod, ResourceRequirements
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubernetes.resolved import resolve_containers
from overbook.core.kubernetes.resources import Amounts
from overbook.core.override.rules import (
    LIMITS_CPU,
    REQUESTS_CPU,
    REQUESTS_MEMORY,
    Decided,
    OverrideRule,
    Part,
    RuleOutcome,
    Slot,
    quantity_text,
)
from overbook.core.override.rules import outcomes as outcomes_of

Place = Literal["containers", "initContainers", "pod"]
ORIGINAL_REQUEST_PREFIX: Final = (
    "clusterresourceoverrides.admission.autoscaling.openshift.io/original-cpu-request-"
)
_ORIGINAL_LONG_PREFIX: Final = "overbook.dev/original-cpu-request-"
_LONGEST_NAME_PART: Final = 63
"""The most characters that the API server allows after the slash of an annotation's key."""
_DIGEST: Final = 8
ORIGINAL_POD_REQUEST: Final = "overbook.dev/original-pod-cpu-request"
"""The same for ``spec.resources``, which OpenShift's webhook does not change."""

NOTHING: Final = ResourceRequirements()


def original_request_key(container: str) -> str:
    """The key of the annotation that keeps a container's original CPU request.

    It is OpenShift's where that is valid. A container's name may have 63 characters, as many as the whole
    name part of a key, so a name of more than 42 is shortened, and a digest of the whole name is added.
    """
    key = ORIGINAL_REQUEST_PREFIX + container
    if len(key.partition("/")[2]) <= _LONGEST_NAME_PART:
        return key
    digest = hashlib.sha256(container.encode()).hexdigest()[:_DIGEST]
    room = _LONGEST_NAME_PART - len(_ORIGINAL_LONG_PREFIX.partition("/")[2]) - _DIGEST - 1
    return f"{_ORIGINAL_LONG_PREFIX}{container[:room]}-{digest}"


class Change(msgspec.Struct, frozen=True, gc=False):
    """A quantity of a pod that is set; as a sentence: :func:`overbook.core.override.texts.sentence`.

    Attributes:
        place: the list that the container is in; ``pod``: the change is in ``spec.resources``.
        index: the container's position in the list.
        name: the container's name.
        resource: ``cpu`` or ``memory``.
        part: ``requests`` or ``limits``.
        old: the quantity before, as written; ``None``: none.
        new: the quantity after, in its canonical form.
        rule: the rule that set the quantity last.
        percent: the percentage of that rule.
        decided: what decided the final value: the percentage, the rule's minimum of 1m and 1Mi, a LimitRange,
            the containers of a pod with pod-level resources, or the CPU limit, above which no request may be.
        source: the LimitRange's name.
    """

    place: Place
    index: int
    name: str
    resource: str
    part: Part
    old: str | None
    new: str
    rule: OverrideRule
    percent: int
    decided: Decided = "Percentage"
    source: str = ""


class Override(msgspec.Struct, frozen=True, gc=False):
    """The changes that an override makes to a pod.

    Attributes:
        changes: the changed quantities: of init containers, then containers, then the pod.
        annotations: annotations to add; they keep the original CPU requests for a second pass.
    """

    changes: tuple[Change, ...] = ()
    annotations: dict[str, str] = {}


UNCHANGED: Final = Override()


def override(
    pod: Pod,
    policy: OverridePolicy,
    bounds: Bounds = NO_BOUNDS,
    pod_bounds: Bounds = NO_BOUNDS,
    noted: Mapping[str, str] | None = None,
) -> Override:
    """The changes that the percentages make to a pod whose LimitRange defaults are already merged in.

    Pod-level resources follow the same rules, within the LimitRange bounds of type ``Pod``. Their request is
    never set below the sum of the containers' new requests, nor their CPU limit below the largest of a
    container: the API server would refuse the pod.

    Args:
        pod: the pod as submitted.
        policy: the percentages.
        bounds: the bounds of the namespace's LimitRanges for containers.
        pod_bounds: the bounds for pods; used for pod-level resources only.
        noted: the annotations from which original CPU requests are read; ``None``: all of the pod's.

    Raises:
        InvalidInput: a percentage is out of range, or the API server refuses a quantity.
    """
    check(policy)
    noted = pod.annotations if noted is None else noted
    changes: list[Change] = []
    annotations: dict[str, str] = {}
    places: tuple[tuple[Place, tuple[Container, ...]], ...] = (
        ("initContainers", pod.init_containers),
        ("containers", pod.containers),
    )
    for place, containers in places:
        for index, container in enumerate(containers):
            try:
                changed, to_note = of_container(place, index, container, policy, bounds, noted)
            except InvalidInput as error:
                raise error.inside(f"Pod {pod.label}: spec.{place}[{index}].resources.") from error
            if to_note is not None:
                annotations[original_request_key(container.name)] = to_note
            changes += changed
    if pod.spec.resources is not None:
        set_on_pod, to_note = of_pod_level(pod, policy, pod_bounds, changes, noted)
        changes += set_on_pod
        if to_note is not None:
            annotations[ORIGINAL_POD_REQUEST] = to_note
    return Override(tuple(changes), annotations) if changes or annotations else UNCHANGED


def of_container(
    place: Place,
    index: int,
    container: Container,
    policy: OverridePolicy,
    bounds: Bounds,
    noted: Mapping[str, str],
) -> tuple[list[Change], str | None]:
    """The changes of one container, and the CPU request to be kept as the original one.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    written = container.resources or NOTHING
    original = None
    if noted and policy.cpu_request_to_request_percent:
        original = noted.get(original_request_key(container.name))
    outcomes, to_note = outcomes_of(written, policy, bounds, original)
    if not outcomes:
        return [], to_note
    return changes_of(place, index, container.name, written, outcomes), to_note


def changes_of(
    place: Place, index: int, name: str, written: ResourceRequirements, outcomes: Mapping[Slot, RuleOutcome]
) -> list[Change]:
    """The outcomes that differ from what is written."""
    changes = []
    for (part, resource), outcome in outcomes.items():
        listed = written.requests if part == "requests" else written.limits
        raw = listed.get(resource) if listed else None
        old = raw if raw is None or isinstance(raw, str) else str(raw)
        if old != outcome.new:
            changes.append(
                Change(
                    place,
                    index,
                    name,
                    resource,
                    part,
                    old,
                    outcome.new,
                    outcome.rule,
                    outcome.percent,
                    outcome.decided,
                    outcome.source,
                )
            )
    return changes


def of_pod_level(
    pod: Pod, policy: OverridePolicy, bounds: Bounds, changes: Iterable[Change], noted: Mapping[str, str]
) -> tuple[list[Change], str | None]:
    """The rules for ``spec.resources``, kept within what the API server requires beside the containers'.

    Returns the changes, and the CPU request to be kept as the original one.
    """
    written = pod.spec.resources or NOTHING
    try:
        decided, to_note = outcomes_of(written, policy, bounds, noted.get(ORIGINAL_POD_REQUEST))
    except InvalidInput as error:
        raise error.inside(f"Pod {pod.label}: spec.resources.") from error
    outcomes = dict(decided)
    overridden = resolve_containers(apply(pod, changes))
    needed = overridden.needed.requests
    largest = Amounts()
    for container in overridden.all_containers:
        largest = largest.at_least(container.resources.limits)
    for slot, least in (
        (REQUESTS_MEMORY, needed.memory_bytes),
        (LIMITS_CPU, largest.cpu_milli),
        (REQUESTS_CPU, needed.cpu_milli),
    ):
        outcome = outcomes.get(slot)
        if outcome is None or not least:
            continue
        set_to = parse(outcome.new)
        scale = 0 if slot is REQUESTS_MEMORY else -3
        if set_to.scaled(scale) < least:
            new = quantity_text(least, scale, set_to.format)
            outcomes[slot] = structs.replace(outcome, new=new, decided="Containers", source="")
    return changes_of("pod", 0, "", written, outcomes), to_note


def apply(pod: Pod, changes: Iterable[Change]) -> Pod:
    """The pod after its changes; they must be of this pod."""
    spec = pod.spec
    containers, init_containers = list(pod.containers), list(pod.init_containers)
    resources = spec.resources
    for change in changes:
        if change.place == "pod":
            resources = _with(resources, change)
            continue
        among = containers if change.place == "containers" else init_containers
        container = among[change.index]
        among[change.index] = structs.replace(container, resources=_with(container.resources, change))
    if init_containers:
        spec = structs.replace(spec, init_containers=tuple(init_containers))
    if resources is not spec.resources:
        spec = structs.replace(spec, resources=resources)
    if containers:
        spec = structs.replace(spec, containers=tuple(containers))
    return structs.replace(pod, spec=spec)


def _with(written: ResourceRequirements | None, change: Change) -> ResourceRequirements:
    written = written or NOTHING
    listed = (written.requests if change.part == "requests" else written.limits) or {}
    return structs.replace(written, **{change.part: {**listed, change.resource: change.new}})
