"""The custom resources that say how requests are overridden: OpenShift's two, and ours with the same fields.

``ClusterResourceOverride`` (``operator.autoscaling.openshift.io/v1``, one named ``cluster``) and namespaced
``ResourceOverride`` (``autoscaling.openshift.io/v1``) are read, never written. ``ResourceOverride`` of
``overbook.dev`` serves where OpenShift's is absent.

Source: openshift/cluster-resource-override-admission-operator, 2026-08.
"""

from typing import Final

from overbook.core.custom_overcommit import API_VERSION
from overbook.core.label_selector import LabelSelector
from overbook.core.override_settings import PodResourceOverride, annotated
from overbook.core.pod import KubeStruct, ObjectMeta

CLUSTER_GROUP: Final = "operator.autoscaling.openshift.io"
NAMESPACED_GROUP: Final = "autoscaling.openshift.io"
CLUSTER_NAME: Final = "cluster"
"""The only name that a ``ClusterResourceOverride`` may have."""


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
