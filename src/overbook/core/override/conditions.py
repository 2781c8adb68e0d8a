"""The conditions of a ``ResourceOverride``: whether it is valid, and why it is ignored.

Types and the reasons ``InvalidParameters`` and ``NamespaceNotOptedIn`` are those of OpenShift's kind; the
other reasons are Overbook's. Source: openshift/cluster-resource-override-admission-operator, 2026-08.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from overbook.core.api.override import NAMESPACED_GROUP, ResourceOverride, ResourceOverrideCondition
from overbook.core.override.admission import (
    ENABLED_LABEL,
    RUN_LEVEL_LABEL,
    SWITCH_ANNOTATION,
    is_system_namespace,
    why_left_alone,
)
from overbook.core.override.source import namespaced_sources
from overbook.core.override.switches import OptedIn
from overbook.core.timestamp import to_whole_timestamp

VALIDATION_FAILURE: Final = "ValidationFailure"
IGNORED: Final = "Ignored"


def wanted_conditions(
    override: ResourceOverride, namespace: OptedIn, *, openshift: bool
) -> tuple[ResourceOverrideCondition, ...]:
    """The conditions that an override should have; their times are empty.

    Args:
        override: an override of Overbook's kind.
        namespace: its namespace.
        openshift: whether the cluster has OpenShift's kind, which replaces Overbook's.
    """
    (source,) = namespaced_sources([override])
    if source.problem:
        text = f"{source.problem}; until it is corrected, its pods are created unchanged"
        failure = ResourceOverrideCondition(VALIDATION_FAILURE, "True", "", "InvalidParameters", text)
    else:
        failure = ResourceOverrideCondition(VALIDATION_FAILURE, "False", "", "Valid", "the spec is valid")
    reason, message = _why_ignored(override.metadata.namespace or "", namespace, openshift=openshift)
    if reason:
        ignored = ResourceOverrideCondition(IGNORED, "True", "", reason, message)
    else:
        message = "its namespace has opted in"
        ignored = ResourceOverrideCondition(IGNORED, "False", "", "NamespaceOptedIn", message)
    return failure, ignored


def _why_ignored(name: str, namespace: OptedIn, *, openshift: bool) -> tuple[str, str]:
    if openshift:
        text = (
            f"the cluster has ResourceOverride of {NAMESPACED_GROUP}, which replaces this kind: use that one"
        )
        return "OtherKindInUse", text
    left_alone = why_left_alone(
        name, enabled=namespace.enabled, switch=namespace.switch, run_level=namespace.run_level
    )
    match left_alone:
        case "SystemNamespace":
            why = (
                "belongs to the system"
                if is_system_namespace(name)
                else f"has the label {RUN_LEVEL_LABEL}={namespace.run_level}"
            )
            return "SystemNamespace", f"namespace {name} {why}; its pods are never changed"
        case "NamespaceNotEnabled":
            text = f"namespace {name} does not have the label {ENABLED_LABEL}=true: set it to opt in"
            return "NamespaceNotOptedIn", text
        case "NamespaceSwitchedOff":
            text = f"namespace {name} has the annotation {SWITCH_ANNOTATION}={namespace.switch}: remove it"
            return "NamespaceSwitchedOff", text
    return "", ""


def changed_conditions(
    present: Iterable[ResourceOverrideCondition], wanted: Iterable[ResourceOverrideCondition], now: float
) -> tuple[ResourceOverrideCondition, ...] | None:
    """The conditions to be written; ``None``: the present ones say the same.

    Args:
        present: the conditions of the object.
        wanted: the result of :func:`wanted_conditions`.
        now: seconds since the epoch.
    """
    known = {one.type: one for one in present}
    time = to_whole_timestamp(now)
    written = tuple(
        had
        if (had := known.get(one.type)) is not None and _same(had, one)
        else msgspec.structs.replace(one, last_transition_time=time)
        for one in wanted
    )
    return None if written == tuple(present) else written


def _same(one: ResourceOverrideCondition, other: ResourceOverrideCondition) -> bool:
    return msgspec.structs.replace(one, last_transition_time="") == other
