"""The custom resources that set how requests are overridden: OpenShift's two, and Overbook's own.

``ClusterResourceOverride`` (``operator.autoscaling.openshift.io/v1``, one named ``cluster``) and namespaced
``ResourceOverride`` (``autoscaling.openshift.io/v1``) are read, never written. ``ResourceOverride`` of
``overbook.dev`` has the same fields and is for clusters without OpenShift's.

Source: openshift/cluster-resource-override-admission-operator, 2026-08.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook.core.api.group import API_VERSION
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.core.kubernetes.selectors import LabelSelector

CLUSTER_GROUP: Final = "operator.autoscaling.openshift.io"
NAMESPACED_GROUP: Final = "autoscaling.openshift.io"
CLUSTER_NAME: Final = "cluster"
"""The only name that a ``ClusterResourceOverride`` may have."""


_MAX_PERCENT: Final = 1_000_000


class OverridePolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The percentages of the override rules; a rule with 0 is off.

    Attributes:
        memory_request_to_limit_percent: the memory request that is set, in percent of the memory limit; 0
            leaves it as it is.
        cpu_request_to_limit_percent: the CPU request that is set, in percent of the CPU limit; 0 leaves it as
            it is.
        limit_cpu_to_memory_percent: the CPU limit that is set, in percent of the memory limit, where 100 is
            1 core for 1 GiB; 0 leaves it as it is.
        cpu_request_to_request_percent: the CPU request that is set, in percent of the CPU request in the
            submitted pod; 0 leaves it as it is.
    """

    memory_request_to_limit_percent: int = msgspec.field(default=0, name="memoryRequestToLimitPercent")
    cpu_request_to_limit_percent: int = msgspec.field(default=0, name="cpuRequestToLimitPercent")
    limit_cpu_to_memory_percent: int = msgspec.field(default=0, name="limitCPUToMemoryPercent")
    cpu_request_to_request_percent: int = msgspec.field(default=0, name="cpuRequestToRequestPercent")


def check(policy: OverridePolicy) -> None:
    """Refuse percentages that are out of range.

    Raises:
        InvalidInput: a percentage is out of range. A request cannot exceed its limit, so most end at 100.
    """
    for name, percent, most in (
        ("memoryRequestToLimitPercent", policy.memory_request_to_limit_percent, 100),
        ("cpuRequestToLimitPercent", policy.cpu_request_to_limit_percent, 100),
        ("limitCPUToMemoryPercent", policy.limit_cpu_to_memory_percent, _MAX_PERCENT),
        ("cpuRequestToRequestPercent", policy.cpu_request_to_request_percent, 100),
    ):
        if not 0 <= percent <= most:
            raise InvalidInput(name, percent, f"a number from 0 (off) to {most}")


Mode = Literal["Observe", "Enforce"]

MODE_ANNOTATION: Final = "overbook.dev/mode"
POD_OPT_OUT_ANNOTATION: Final = "overbook.dev/pod-opt-out"
"""``Allowed`` stands for ``podOptOut`` on OpenShift's kinds, whose schema has no such field."""


class PodResourceOverride(OverridePolicy, frozen=True, gc=False, kw_only=True):
    """The percentages of the override, and how they are applied.

    Attributes:
        mode: ``Enforce`` changes pods; ``Observe`` only warns what would be changed.
        pod_opt_out: whether a pod may switch the override off for itself by the annotation
            ``quota.openshift.io/cluster-resource-override-enabled: "false"``.
    """

    mode: Mode = "Enforce"
    pod_opt_out: bool = msgspec.field(default=False, name="podOptOut")


def annotated(settings: PodResourceOverride, annotations: Mapping[str, str] | None) -> PodResourceOverride:
    """The settings after the annotations of their object have been applied."""
    if not annotations:
        return settings
    if annotations.get(MODE_ANNOTATION) == "Observe":
        settings = msgspec.structs.replace(settings, mode="Observe")
    if annotations.get(POD_OPT_OUT_ANNOTATION) == "Allowed":
        settings = msgspec.structs.replace(settings, pod_opt_out=True)
    return settings


class OpenShiftPodResourceOverride(PodResourceOverride, frozen=True, gc=False, kw_only=True):
    """The settings of OpenShift's kinds.

    Attributes:
        force_selinux_relabel: not honoured; it is read so that its users are told.
    """

    force_selinux_relabel: bool = msgspec.field(default=False, name="forceSelinuxRelabel")


class ClusterPodResourceOverride(KubeStruct, frozen=True):
    """The level of nesting that ``ClusterResourceOverride`` has and ``ResourceOverride`` has not."""

    spec: OpenShiftPodResourceOverride = OpenShiftPodResourceOverride()


class ClusterResourceOverrideSpec(KubeStruct, frozen=True):
    """OpenShift's override settings for the whole cluster; ``deploymentOverrides`` is not honoured."""

    pod_resource_override: ClusterPodResourceOverride = ClusterPodResourceOverride()
    deployment_overrides: dict[str, Any] | None = None


class ClusterResourceOverride(KubeStruct, frozen=True):
    """OpenShift's override for the whole cluster."""

    api_version: str = f"{CLUSTER_GROUP}/v1"
    kind: str = "ClusterResourceOverride"
    metadata: ObjectMeta = ObjectMeta(name=CLUSTER_NAME)
    spec: ClusterResourceOverrideSpec = ClusterResourceOverrideSpec()

    @property
    def settings(self) -> PodResourceOverride:
        """The settings of this override, its annotations applied."""
        return annotated(self.spec.pod_resource_override.spec, self.metadata.annotations)


class ResourceOverrideSpec(KubeStruct, frozen=True):
    """The override for pods of one namespace.

    Attributes:
        pod_resource_override: the percentages of the override, and how they are applied.
        pod_selector: which pods of the namespace the override is for; without a selector, all of them.
    """

    pod_resource_override: PodResourceOverride = PodResourceOverride()
    pod_selector: LabelSelector | None = None


class ResourceOverrideCondition(KubeStruct, frozen=True):
    """A condition in Kubernetes' form, with the types of OpenShift's kind.

    Attributes:
        type: ``ValidationFailure`` or ``Ignored``.
        status: ``True`` where the override has no effect, ``False`` otherwise.
        last_transition_time: when status, reason or message last changed.
        reason: why, in one word.
        message: why, and what to do, in a sentence.
    """

    type: str = ""
    status: str = ""
    last_transition_time: str = ""
    reason: str = ""
    message: str = ""


class ResourceOverrideStatus(KubeStruct, frozen=True):
    """Whether an override has an effect, as the controller has found.

    Attributes:
        conditions: whether the spec is valid, and whether the override is ignored.
    """

    conditions: tuple[ResourceOverrideCondition, ...] = ()


class ResourceOverride(KubeStruct, frozen=True):
    """How requests of one namespace's pods are overridden at admission, as by OpenShift's kind."""

    api_version: str = API_VERSION
    kind: str = "ResourceOverride"
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceOverrideSpec = ResourceOverrideSpec()

    @property
    def settings(self) -> PodResourceOverride:
        """The settings of this override, its annotations applied."""
        return annotated(self.spec.pod_resource_override, self.metadata.annotations)


class OpenShiftResourceOverrideSpec(ResourceOverrideSpec, frozen=True):
    """The override for pods of one namespace, as OpenShift's kind has it."""

    pod_resource_override: OpenShiftPodResourceOverride = OpenShiftPodResourceOverride()


class OpenShiftResourceOverride(ResourceOverride, frozen=True):
    """OpenShift's override for pods of one namespace."""

    api_version: str = f"{NAMESPACED_GROUP}/v1"
    spec: OpenShiftResourceOverrideSpec = OpenShiftResourceOverrideSpec()


def resource_override_type(api_version: str) -> type[ResourceOverride]:
    """The struct into which a ``ResourceOverride`` of this version is decoded."""
    return OpenShiftResourceOverride if api_version.startswith(f"{NAMESPACED_GROUP}/") else ResourceOverride
