"""The custom resources that say how requests are overridden: OpenShift's two, and ours with the same fields.

``ClusterResourceOverride`` (``operator.autoscaling.openshift.io/v1``, one named ``cluster``) and namespaced
``ResourceOverride`` (``autoscaling.openshift.io/v1``) are read, never written. ``ResourceOverride`` of
``overbook.dev`` serves where OpenShift's is absent.

Source: openshift/cluster-resource-override-admission-operator, 2026-08.
"""

from collections.abc import Mapping
from typing import Final, Literal

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
    """The percentages; 0: that rule is off.

    Attributes:
        memory_request_to_limit_percent: memory request, of the memory limit.
        cpu_request_to_limit_percent: CPU request, of the CPU limit.
        limit_cpu_to_memory_percent: CPU limit, of the memory limit; 100: 1 core for 1 GiB.
        cpu_request_to_request_percent: CPU request, of what was asked for.
    """

    memory_request_to_limit_percent: int = msgspec.field(default=0, name="memoryRequestToLimitPercent")
    cpu_request_to_limit_percent: int = msgspec.field(default=0, name="cpuRequestToLimitPercent")
    limit_cpu_to_memory_percent: int = msgspec.field(default=0, name="limitCPUToMemoryPercent")
    cpu_request_to_request_percent: int = msgspec.field(default=0, name="cpuRequestToRequestPercent")


def check(policy: OverridePolicy) -> None:
    """Refuse percentages that no cluster means.

    Raises:
        InvalidInput: one is out of range; a request cannot be more than its limit, so those end at 100.
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
"""``Allowed``, on an override of OpenShift's kinds, whose schema has no such field."""


class PodResourceOverride(OverridePolicy, frozen=True, gc=False, kw_only=True):
    """The percentages, and how they are applied.

    ``forceSelinuxRelabel`` of the original is ignored: it is no matter of resources.

    Attributes:
        mode: ``Observe`` warns and changes nothing.
        pod_opt_out: whether a pod's own annotation may switch the override off for it.
    """

    mode: Mode = "Enforce"
    pod_opt_out: bool = msgspec.field(default=False, name="podOptOut")


def annotated(settings: PodResourceOverride, annotations: Mapping[str, str] | None) -> PodResourceOverride:
    """The settings as the annotations of the object that holds them change them."""
    if not annotations:
        return settings
    if annotations.get(MODE_ANNOTATION) == "Observe":
        settings = msgspec.structs.replace(settings, mode="Observe")
    if annotations.get(POD_OPT_OUT_ANNOTATION) == "Allowed":
        settings = msgspec.structs.replace(settings, pod_opt_out=True)
    return settings


class ClusterPodResourceOverride(KubeStruct, frozen=True):
    """Holds the percentages one level deeper than ``ResourceOverride`` does."""

    spec: PodResourceOverride = PodResourceOverride()


class ClusterResourceOverrideSpec(KubeStruct, frozen=True):
    """What is set for the whole cluster."""

    pod_resource_override: ClusterPodResourceOverride = ClusterPodResourceOverride()


class ClusterResourceOverride(KubeStruct, frozen=True):
    """OpenShift's override for the whole cluster."""

    api_version: str = f"{CLUSTER_GROUP}/v1"
    kind: str = "ClusterResourceOverride"
    metadata: ObjectMeta = ObjectMeta(name=CLUSTER_NAME)
    spec: ClusterResourceOverrideSpec = ClusterResourceOverrideSpec()

    @property
    def settings(self) -> PodResourceOverride:
        """What it says, annotations included."""
        return annotated(self.spec.pod_resource_override.spec, self.metadata.annotations)


class ResourceOverrideSpec(KubeStruct, frozen=True):
    """What is set for pods of one namespace; without a selector for all of them."""

    pod_resource_override: PodResourceOverride = PodResourceOverride()
    pod_selector: LabelSelector | None = None


class ResourceOverride(KubeStruct, frozen=True):
    """An override for pods of one namespace, OpenShift's or ours."""

    api_version: str = API_VERSION
    kind: str = "ResourceOverride"
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceOverrideSpec = ResourceOverrideSpec()

    @property
    def settings(self) -> PodResourceOverride:
        """What it says, annotations included."""
        return annotated(self.spec.pod_resource_override, self.metadata.annotations)
