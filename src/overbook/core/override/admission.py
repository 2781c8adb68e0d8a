"""The decision about a pod at admission: which override applies, and what it changes.

Checked in this order: the namespace, whether a virtual machine runs in the pod, the pod's annotation, the
override, the LimitRanges. The webhook and ``overbook explain --override`` call this.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec import structs

from overbook.core.api.override import Mode, PodResourceOverride
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import Constraint, complaint, constraints
from overbook.core.kubernetes.limit_range import NO_BOUNDS, Bounds, LimitRange, bounds
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import is_mirror
from overbook.core.kubernetes.resolved import resolve_containers, resolved_level
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.override.fitting import Fitted, FittingRules, LeftOut, Ranges, fit
from overbook.core.override.noted import believed_notes
from overbook.core.override.override import UNCHANGED, Override, apply, override
from overbook.core.override.reasons import why_unchanged
from overbook.core.override.resize import fit_resize
from overbook.core.override.source import NO_SOURCE, OverrideSource, closest

ENABLED_LABEL: Final = "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled"
RUN_LEVEL_LABEL: Final = "openshift.io/run-level"
RUN_LEVELS: Final = ("0", "1")
"""Levels of OpenShift's namespaces that start before everything else; admission leaves them alone."""
SWITCH_ANNOTATION: Final = "quota.openshift.io/cluster-resource-override-enabled"
"""An annotation of a namespace or pod: any value but ``true`` switches the override off, as on OpenShift."""

MOST_ANNOTATION_BYTES: Final = 256 << 10
"""What the API server allows for all annotations of an object, keys included."""

SYSTEM_NAMESPACES: Final = ("openshift", "kubernetes", "kube")
"""Names of namespaces of the cluster itself, as are those that begin with one of them and a hyphen."""
_SYSTEM_PREFIXES: Final = tuple(f"{name}-" for name in SYSTEM_NAMESPACES)

AdmissionOutcome = Literal[
    "Overridden",
    "Observed",
    "AsItShouldBe",
    "Inadmissible",
    "BrokenOverride",
    "InvalidQuantity",
    "NoOverride",
    "PodSwitchedOff",
    "VirtualMachine",
    "MirrorPod",
    "NamespaceNotEnabled",
    "NamespaceSwitchedOff",
    "SystemNamespace",
    "UnknownNamespace",
]
"""The pod is changed only with ``Overridden``; from ``NoOverride`` on its author gets no warning."""


class NamespacePolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The facts of a namespace that decide about its pods, computed once and kept until it changes.

    Attributes:
        left_alone: why pods of the namespace are never changed; ``None``: they may be.
        overrides: the namespace's overrides, in the order in which they are tried.
        bounds: the bounds of its LimitRanges for containers.
        pod_bounds: the bounds of its LimitRanges for pods.
        constraints: everything that its LimitRanges forbid.
        problem: why its LimitRanges cannot be read; empty: they can.
    """

    left_alone: AdmissionOutcome | None = None
    overrides: tuple[OverrideSource, ...] = ()
    bounds: Bounds = NO_BOUNDS
    pod_bounds: Bounds = NO_BOUNDS
    constraints: tuple[Constraint, ...] = ()
    problem: str = ""


UNKNOWN: Final = NamespacePolicy(left_alone="UnknownNamespace")


class ClusterPolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The settings that apply in every namespace.

    Attributes:
        override: the cluster's override, for pods that no override of their namespace selects.
        mode: ``Observe`` changes nothing in any namespace.
        virtual_machine_makers: users that create VMs' pods; ``None``: the pod's owner reference alone
            decides, because the creator is not known.
    """

    override: OverrideSource = NO_SOURCE
    mode: Mode = "Enforce"
    virtual_machine_makers: frozenset[str] | None = None


class Admission(msgspec.Struct, frozen=True, gc=False):
    """The decision about one pod.

    Attributes:
        outcome: the decision.
        source: the override that applied.
        override: the changes; they are made only with ``Overridden``.
        detail: the reason in a sentence, where there is one.
        left_out: what the override leaves as it is, because the API server would refuse the pod.
    """

    outcome: AdmissionOutcome
    source: OverrideSource = NO_SOURCE
    override: Override = UNCHANGED
    detail: str = ""
    left_out: tuple[LeftOut, ...] = ()


def namespace_policy(
    name: str,
    *,
    enabled: str | None,
    switch: str | None = None,
    run_level: str | None = None,
    overrides: tuple[OverrideSource, ...] = (),
    ranges: Iterable[LimitRange] = (),
) -> NamespacePolicy:
    """Compute a namespace's policy.

    Args:
        name: the namespace's name.
        enabled: the value of its label :data:`ENABLED_LABEL`, by which it has to opt in.
        switch: the value of its annotation :data:`SWITCH_ANNOTATION`.
        run_level: the value of its label :data:`RUN_LEVEL_LABEL`.
        overrides: the result of ``namespaced_sources``.
        ranges: its LimitRanges.
    """
    left_alone = why_left_alone(name, enabled=enabled, switch=switch, run_level=run_level)
    if left_alone is not None:
        return NamespacePolicy(left_alone=left_alone)
    ranges = tuple(ranges)
    try:
        return NamespacePolicy(
            overrides=overrides,
            bounds=bounds(ranges),
            pod_bounds=bounds(ranges, "Pod"),
            constraints=constraints(ranges),
        )
    except InvalidInput as error:
        return NamespacePolicy(overrides=overrides, problem=str(error))


def why_left_alone(
    name: str, *, enabled: str | None, switch: str | None, run_level: str | None
) -> AdmissionOutcome | None:
    """Why pods of a namespace are never changed; ``None``: they may be. See :func:`namespace_policy`."""
    if is_system_namespace(name) or run_level in RUN_LEVELS:
        return "SystemNamespace"
    if enabled != "true":
        return "NamespaceNotEnabled"
    return "NamespaceSwitchedOff" if _is_off(switch) else None


def _left_alone(pod: Pod, cluster: ClusterPolicy, creator: str) -> AdmissionOutcome | None:
    makers = cluster.virtual_machine_makers
    if is_virtual_machine_pod(pod) and (makers is None or creator in makers):
        return "VirtualMachine"
    # A mirror pod shows a static pod, which runs already.
    return "MirrorPod" if is_mirror(pod) else None


def _is_off(switch: str | None) -> bool:
    return switch is not None and switch != "true"


def is_system_namespace(name: str) -> bool:
    """Whether a namespace is the cluster's own: ``kube``, ``kube-*``, and likewise the other two names."""
    return name in SYSTEM_NAMESPACES or name.startswith(_SYSTEM_PREFIXES)


def admit(pod: Pod, namespace: NamespacePolicy, cluster: ClusterPolicy, creator: str = "") -> Admission:
    """Decide about a pod that is being created: :func:`choose`, then :func:`decide`.

    Args:
        pod: the pod as submitted, with LimitRange defaults merged in.
        namespace: the policy of the pod's namespace.
        cluster: the policy of the cluster.
        creator: the user that creates the pod.
    """
    chosen = choose(pod, namespace, cluster, creator)
    return chosen if isinstance(chosen, Admission) else decide(pod, namespace, cluster, chosen)


def choose(
    pod: Pod, namespace: NamespacePolicy, cluster: ClusterPolicy, creator: str = ""
) -> OverrideSource | Admission:
    """The override that applies to a pod, or why none does. Reads only the metadata; see :func:`admit`."""
    left_alone = namespace.left_alone or _left_alone(pod, cluster, creator)
    if left_alone is not None:
        return Admission(left_alone)
    source = closest(namespace.overrides, cluster.override, pod.metadata.labels)
    if source is NO_SOURCE:
        return Admission("NoOverride")
    if source.settings.pod_opt_out and _is_off(pod.annotations.get(SWITCH_ANNOTATION)):
        return Admission("PodSwitchedOff", source)
    return source


def decide(
    pod: Pod,
    namespace: NamespacePolicy,
    cluster: ClusterPolicy,
    source: OverrideSource,
    old: Pod | None = None,
) -> Admission:
    """The decision about a pod to which an override applies.

    Reads the pod's spec; its annotations only where ``cpu_request_to_request_percent`` is set.

    Args:
        pod: the pod, with LimitRange defaults merged in.
        namespace: the policy of the pod's namespace.
        cluster: the policy of the cluster.
        source: the override, as :func:`choose` returns it.
        old: the pod before a resize; ``None``: the pod is created.
    """
    problem = source.problem or namespace.problem
    if problem:
        return Admission("BrokenOverride", source, detail=problem)
    settings = source.settings
    try:
        if old is None:
            wanted, forbidden, fitted = _of_new_pod(pod, namespace, settings)
        else:
            fitted = fit_resize(old, pod, settings, _ranges(namespace))
            wanted, forbidden = fitted.override, next((one.why for one in fitted.left_out), "")
    except InvalidInput as error:
        return Admission("InvalidQuantity", source, detail=str(error))
    if fitted.override is UNCHANGED:
        if fitted.left_out:
            return Admission("Inadmissible", source, wanted, forbidden)
        detail = "" if old is not None else why_unchanged(pod, settings)
        return Admission("AsItShouldBe", source, detail=detail)
    observed = "Observe" in (cluster.mode, settings.mode)
    return Admission(
        "Observed" if observed else "Overridden", source, fitted.override, left_out=fitted.left_out
    )


def _of_new_pod(
    pod: Pod, namespace: NamespacePolicy, settings: PodResourceOverride
) -> tuple[Override, str, Fitted]:
    """The whole override; why the API server would refuse it, empty: it would not; what can be made of it.

    Raises:
        InvalidInput: the pod has quantities that the API server refuses, and nothing else is changed.
    """
    bounds, pod_bounds = namespace.bounds, namespace.pod_bounds
    noted = believed_notes(pod, settings, bounds, pod_bounds)
    wanted, forbidden = UNCHANGED, ""
    problem: InvalidInput | None = None
    try:
        wanted = override(pod, settings, bounds, pod_bounds, noted)
        forbidden = "" if wanted is UNCHANGED else _complaint(apply(pod, wanted.changes), namespace)
        if not forbidden:
            return wanted, "", Fitted(_within_metadata(pod, wanted))
    except InvalidInput as error:
        problem = error
    fitted = fit(pod, FittingRules(lambda _place, _index: settings, _ranges(namespace), noted))
    if problem is not None and (fitted is None or fitted.override is UNCHANGED):
        raise problem
    if fitted is None:
        # A pod that would be forbidden without the override, too, is changed all the same.
        fitted = Fitted(wanted)
    return wanted, forbidden, structs.replace(fitted, override=_within_metadata(pod, fitted.override))


def _within_metadata(pod: Pod, result: Override) -> Override:
    """The override, without its annotations where the API server would refuse the pod for their size.

    The changes stay: an author who fills the annotations must not escape. A second pass then takes the
    percentage of the CPU request again.
    """
    if not result.annotations:
        return result
    together = {**pod.annotations, **result.annotations}
    size = sum(len(key.encode()) + len(text.encode()) for key, text in together.items())
    if size <= MOST_ANNOTATION_BYTES:
        return result
    return Override(result.changes) if result.changes else UNCHANGED


def _ranges(namespace: NamespacePolicy) -> Ranges:
    return Ranges(namespace.bounds, namespace.pod_bounds, namespace.constraints)


def _complaint(pod: Pod, namespace: NamespacePolicy) -> str:
    """Why the API server would refuse the pod, overhead not considered; empty: it would not."""
    containers = resolve_containers(pod)
    return complaint(containers, resolved_level(pod, containers), namespace.constraints)
