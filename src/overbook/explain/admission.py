"""A pod that is not in a cluster yet, as the API server would store it, and what it would say about it.

Admission goes in this order: defaults of the pod, LimitRange defaults, priority, the RuntimeClass' overhead,
overrides of requests, LimitRange bounds, quotas. Pods that a cluster has stored have been through it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.priority import Priorities, priorities, with_priority
from overbook.core.kubernetes.qos import is_mirror, is_static
from overbook.core.kubernetes.resolved import ResolvedPod, resolve
from overbook.core.kubernetes.resource_names import resource_complaints, resource_warnings
from overbook.core.kubernetes.version import PINNED, KubernetesVersion
from overbook.explain.cluster_objects import NAMESPACE_UNSET, ClusterObjects
from overbook.explain.report import Warned

if TYPE_CHECKING:
    from overbook.explain.overrides import PlainOverrides


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A pod after admission.

    Attributes:
        pod: the pod as it is stored.
        notes: what the API server says about it, and what decided.
    """

    pod: Pod
    notes: tuple[Warned, ...] = ()


NO_OBJECTS: Final = ClusterObjects()


def is_stored(pod: Pod) -> bool:
    """Whether a cluster has stored the pod: only there it gets a UID, a version, a time or a phase."""
    metadata, status = pod.metadata, pod.status
    return bool(
        metadata.uid
        or metadata.resource_version
        or metadata.creation_timestamp
        or (status is not None and status.phase)
    )


def _overrides(objects: ClusterObjects) -> "PlainOverrides":
    from overbook.explain.overrides import PlainOverrides  # noqa: PLC0415 - few inputs have one

    return PlainOverrides(objects)


class ApiServer:
    """The admission of a cluster with some objects.

    Args:
        objects: the objects of the input that decide about pods.
        version: Kubernetes' version.
    """

    def __init__(self, objects: ClusterObjects = NO_OBJECTS, version: KubernetesVersion = PINNED) -> None:
        self._objects = objects
        self._version = version
        self._priorities: Priorities = priorities(objects.priority_classes)
        self._overrides = _overrides(objects) if objects.overrides else None

    def admitted(self, pod: Pod) -> Admitted:
        """The pod as the API server stores it; a pod that is stored already stays as it is.

        Raises:
            InvalidInput: the pod has a quantity that the API server refuses.
        """
        if is_stored(pod) or is_static(pod) or is_mirror(pod):
            return Admitted(pod)
        notes = list(self._classes(pod))
        ranges = self._objects.limit_ranges.get(pod.metadata.namespace or NAMESPACE_UNSET)
        if ranges:
            from overbook.core.kubernetes.limit_range import with_defaults  # noqa: PLC0415 - few inputs have one

            pod = with_defaults(pod, ranges, self._version)
        pod = with_priority(pod, self._priorities)
        if self._objects.runtime_classes or pod.spec.overhead:
            pod, refused = self._with_overhead(pod)
            notes += refused
        if self._overrides is not None:
            pod, found = self._overrides.applied(pod)
            notes += found
        notes += self._said(pod)
        return Admitted(pod, tuple(notes))

    def _with_overhead(self, pod: Pod) -> tuple[Pod, list[Warned]]:
        from overbook.core.kubernetes.runtime_class import (  # noqa: PLC0415 - few inputs have one
            overhead_complaint,
            with_overhead,
        )

        refused = overhead_complaint(pod, self._objects.runtime_classes)
        notes = [Warned("PodRefused", "Refused", refused)] if refused else []
        return with_overhead(pod, self._objects.runtime_classes), notes

    def _classes(self, pod: Pod) -> Iterator[Warned]:
        """Notes on classes that the pod names and the input does not have."""
        spec = pod.spec
        name = spec.priority_class_name
        if name and spec.priority is None and name not in self._priorities.by_class:
            yield Warned(
                "PriorityClassNotRead",
                "Note",
                f"its priority is that of PriorityClass {name}, which is not in the input: 0 is shown",
            )
        known = self._priorities.by_class.get(name) if name else self._priorities.default
        if spec.priority is not None and known is not None and spec.priority != known:
            text = f"spec.priority is {spec.priority}, and by its priority class it is {known}"
            yield Warned("PodRefused", "Refused", text)
        name = spec.runtime_class_name
        if name and name not in self._objects.runtime_classes:
            yield Warned(
                "RuntimeClassNotRead",
                "Note",
                f"its RuntimeClass {name} is not in the input: an overhead that it may define is not shown",
            )

    def _said(self, pod: Pod) -> Iterator[Warned]:
        """Refusals and warnings of the API server about the completed pod."""
        resolved = resolve(pod, self._version)
        namespace = pod.metadata.namespace or NAMESPACE_UNSET
        for text in resource_complaints(pod):
            yield Warned("PodRefused", "Refused", text)
        ranges = self._objects.limit_ranges.get(namespace, ())
        if ranges or resolved.level is not None:
            from overbook.core.kubernetes.admissibility import complaint, constraints  # noqa: PLC0415 - as above

            refused = complaint(resolved, resolved.level, constraints(ranges))
            if refused and not _is_above_limit(resolved, refused):
                yield Warned("PodRefused", "Refused", refused)
        for text in resource_warnings(pod):
            yield Warned("FractionalBytes", "Note", f"the API server warns: {text}")
        yield from self._quotas(resolved, namespace)

    def _quotas(self, resolved: ResolvedPod, namespace: str) -> Iterator[Warned]:
        quotas = self._objects.quotas.get(namespace)
        if not quotas:
            return
        from overbook.core.kubernetes.resource_quota import quota_refusals  # noqa: PLC0415 - few inputs have one

        for text in quota_refusals(resolved, quotas):
            yield Warned("QuotaRefuses", "Refused", text)


def _is_above_limit(resolved: ResolvedPod, text: str) -> bool:
    """Whether a complaint is about a container's request above its limit, which has a warning of its own."""
    return "above its limit" in text and any(
        text.startswith(f"{one.name}: ") for one in resolved.all_containers
    )
