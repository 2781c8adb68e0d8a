"""A pod's priority from its priority class, as the API server fills it in.

Source: ``plugin/pkg/admission/priority`` and ``pkg/apis/scheduling`` at v1.36.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, Pod

SYSTEM_PRIORITIES: Final[Mapping[str, int]] = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
"""The two classes that every cluster has."""
KUBEVIRT_PRIORITIES: Final[Mapping[str, int]] = {"kubevirt-cluster-critical": 1_000_000_000}
"""The class that KubeVirt brings along for its own components."""


class PriorityClass(KubeStruct, frozen=True):
    """A PriorityClass."""

    metadata: ObjectMeta = ObjectMeta()
    value: int = 0
    global_default: bool | None = None


class Priorities(msgspec.Struct, frozen=True, gc=False):
    """The priority of each class, and of pods without one."""

    by_class: Mapping[str, int]
    default_class: str = ""
    default: int = 0


def priorities(classes: Iterable[PriorityClass]) -> Priorities:
    """The priorities that PriorityClass objects give; among several defaults the lowest counts."""
    listed = list(classes)
    by_class = {one.metadata.name: one.value for one in listed}
    defaults = sorted((one.value, one.metadata.name) for one in listed if one.global_default)
    value, name = defaults[0] if defaults else (0, "")
    return Priorities({**KUBEVIRT_PRIORITIES, **by_class, **SYSTEM_PRIORITIES}, name, value)


def with_priority(pod: Pod, known: Priorities) -> Pod:
    """A pod with its priority; one that is given already, or whose class is not known, stays as it is."""
    if pod.spec.priority is not None:
        return pod
    name = pod.spec.priority_class_name
    priority = known.by_class.get(name) if name else known.default
    if priority is None:
        return pod
    spec = replace(pod.spec, priority=priority, priority_class_name=name or known.default_class or None)
    return replace(pod, spec=spec)
