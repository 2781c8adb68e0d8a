"""What happens to a pod at admission: which override applies, what it changes, and what is said about it.

Who is asked first: the namespace, then whether a virtual machine runs in the pod, then the pod's own wish,
then the override, then the LimitRanges. The webhook and ``overbook explain --override`` call this.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from overbook.core.api.override import Mode
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import Constraint, complaint, constraints
from overbook.core.kubernetes.limit_range import NO_BOUNDS, Bounds, LimitRange, bounds
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import is_mirror
from overbook.core.kubernetes.resolved import defaulted_level, resolve_containers, written_level
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.override.override import UNCHANGED, Override, apply, override
from overbook.core.override.source import NO_SOURCE, OverrideSource, closest

ENABLED_LABEL: Final = "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled"
SWITCH_ANNOTATION: Final = "quota.openshift.io/cluster-resource-override-enabled"
"""On a namespace or a pod: every value but ``true`` switches the override off, as in the original."""

_SYSTEM: Final = ("openshift", "kubernetes", "kube")
_SYSTEM_PREFIXES: Final = tuple(f"{name}-" for name in _SYSTEM)

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
"""Only with ``Overridden`` is the pod changed; from ``NoOverride`` on nothing is said to its author."""


class NamespacePolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything about a namespace that decides, worked out once and kept until it changes.

    Attributes:
        left_alone: why its pods are never touched, ``None``: they may be.
        overrides: its own, in the order in which they are tried.
        bounds: of its LimitRanges for containers.
        pod_bounds: the same for pods.
        constraints: all that its LimitRanges forbid.
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
    """What holds in every namespace.

    Attributes:
        override: the cluster's, where a namespace has none that fits.
        mode: ``Observe`` changes nothing anywhere.
        virtual_machine_makers: users that make VMs' pods; ``None``: the pod's owner alone tells, because
            nobody knows who made it.
    """

    override: OverrideSource = NO_SOURCE
    mode: Mode = "Enforce"
    virtual_machine_makers: frozenset[str] | None = None


class Admission(msgspec.Struct, frozen=True, gc=False):
    """The answer for one pod.

    Attributes:
        outcome: what happened.
        source: the override that applied.
        override: the changes, made (``Overridden``) or only worked out.
        detail: the reason, where there is one in words.
    """

    outcome: AdmissionOutcome
    source: OverrideSource = NO_SOURCE
    override: Override = UNCHANGED
    detail: str = ""


def namespace_policy(
    name: str,
    *,
    enabled: str | None,
    switch: str | None = None,
    overrides: tuple[OverrideSource, ...] = (),
    ranges: Iterable[LimitRange] = (),
) -> NamespacePolicy:
    """Work out a namespace's policy.

    Args:
        name: the namespace's.
        enabled: its label :data:`ENABLED_LABEL`: it has to opt in.
        switch: its annotation :data:`SWITCH_ANNOTATION`.
        overrides: as ``namespaced_sources`` gives them.
        ranges: its LimitRanges.
    """
    if is_system_namespace(name):
        return NamespacePolicy(left_alone="SystemNamespace")
    if enabled != "true":
        return NamespacePolicy(left_alone="NamespaceNotEnabled")
    if _is_off(switch):
        return NamespacePolicy(left_alone="NamespaceSwitchedOff")
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


def _left_alone(pod: Pod, cluster: ClusterPolicy, creator: str) -> AdmissionOutcome | None:
    makers = cluster.virtual_machine_makers
    if is_virtual_machine_pod(pod) and (makers is None or creator in makers):
        return "VirtualMachine"
    # A mirror pod is the image of a pod that runs already, from a file of its node.
    return "MirrorPod" if is_mirror(pod) else None


def _is_off(switch: str | None) -> bool:
    return switch is not None and switch != "true"


def is_system_namespace(name: str) -> bool:
    """Whether a namespace is the cluster's own: ``kube``, ``kube-*``, and so with the other two names."""
    return name in _SYSTEM or name.startswith(_SYSTEM_PREFIXES)


def admit(pod: Pod, namespace: NamespacePolicy, cluster: ClusterPolicy, creator: str = "") -> Admission:
    """Decide about a pod that is being created: :func:`choose`, then :func:`decide`.

    Args:
        pod: as submitted, with LimitRange defaults merged in.
        namespace: of the pod.
        cluster: the cluster.
        creator: the user that creates it.
    """
    chosen = choose(pod, namespace, cluster, creator)
    return chosen if isinstance(chosen, Admission) else decide(pod, namespace, cluster, chosen)


def choose(
    pod: Pod, namespace: NamespacePolicy, cluster: ClusterPolicy, creator: str = ""
) -> OverrideSource | Admission:
    """The override that applies to a pod, or why none does. Goes by the pod's metadata; see :func:`admit`."""
    left_alone = namespace.left_alone or _left_alone(pod, cluster, creator)
    if left_alone is not None:
        return Admission(left_alone)
    source = closest(namespace.overrides, cluster.override, pod.metadata.labels)
    if source is NO_SOURCE:
        return Admission("NoOverride")
    if source.settings.pod_opt_out and _is_off(pod.annotations.get(SWITCH_ANNOTATION)):
        return Admission("PodSwitchedOff", source)
    return source


def decide(pod: Pod, namespace: NamespacePolicy, cluster: ClusterPolicy, source: OverrideSource) -> Admission:
    """What an override does to a pod.

    Goes by the pod's spec; by its annotations only where ``cpu_request_to_request_percent`` is set.
    """
    problem = source.problem or namespace.problem
    if problem:
        return Admission("BrokenOverride", source, detail=problem)
    try:
        result = override(pod, source.settings, namespace.bounds, namespace.pod_bounds)
        if result is UNCHANGED:
            return Admission("AsItShouldBe", source)
        forbidden = _complaint(apply(pod, result.changes), namespace)
        # A pod that is forbidden anyway is not saved by being left alone.
        if forbidden and not _complaint(pod, namespace):
            return Admission("Inadmissible", source, result, forbidden)
    except InvalidInput as error:
        return Admission("InvalidQuantity", source, detail=str(error))
    if "Observe" in (cluster.mode, source.settings.mode):
        return Admission("Observed", source, result)
    return Admission("Overridden", source, result)


def _complaint(pod: Pod, namespace: NamespacePolicy) -> str:
    """Why the API server would refuse the pod, whose overhead is not looked at; empty: it would not."""
    containers, level = resolve_containers(pod), written_level(pod)
    if level is not None:
        level = defaulted_level(level, containers.needed.requests)
    return complaint(containers, level, namespace.constraints)
