"""What ``overbook status`` decodes of large collections: no more than it shows."""

from typing import Final

from overbook.core.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, PodSpec
from overbook.core.vm import INSTANCE_KIND, KUBEVIRT_GROUP
from overbook.kube.kinds import Kind


class _InstanceSpec(KubeStruct, frozen=True):
    eviction_strategy: str | None = None


class _InstanceStatus(KubeStruct, frozen=True):
    active_pods: dict[str, str] | None = None


class Instance(KubeStruct, frozen=True):
    """A virtual machine, as far as moving it away goes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _InstanceSpec = _InstanceSpec()
    status: _InstanceStatus = _InstanceStatus()


class _PodMetadata(KubeStruct, frozen=True):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class BriefPod(KubeStruct, frozen=True):
    """A pod as far as sums go: fifty thousand of them are decoded, and a live view keeps them all."""

    metadata: _PodMetadata = _PodMetadata()
    spec: PodSpec = PodSpec()

    @property
    def pod(self) -> Pod:
        """For the rules."""
        mine = self.metadata
        return Pod(
            metadata=ObjectMeta(annotations=mine.annotations, owner_references=mine.owner_references),
            spec=self.spec,
        )


BRIEF_PODS: Final = Kind("", "v1", "pods", "Pod", namespaced=True, type=BriefPod)
INSTANCES: Final = Kind(
    KUBEVIRT_GROUP, "v1", "virtualmachineinstances", INSTANCE_KIND, namespaced=True, type=Instance
)
