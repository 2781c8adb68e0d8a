"""Objects of the API as plain values, so that the stand-in can copy unknown fields."""

from typing import Any, Final

import msgspec

from overbook.core.kubernetes.pod import ENDED, KubeStruct, ObjectMeta
from overbook.core.kubevirt.vm import INSTANCE_KIND, KUBEVIRT_GROUP
from overbook.kube.api.kinds import Kind

NAMESPACE: Final = "kubevirt"
CONTROLLER: Final = "kubevirt-controller"
"""The service account that makes launcher pods."""

APP_LABEL: Final = "kubevirt.io"
LAUNCHER: Final = "virt-launcher"
HOTPLUG: Final = "hotplug-disk"
CREATED_BY_LABEL: Final = "kubevirt.io/created-by"
MIGRATION_LABEL: Final = "kubevirt.io/migrationJobUID"
NODE_LABEL: Final = "kubevirt.io/nodeName"
DOMAIN_ANNOTATION: Final = "kubevirt.io/domain"
EVACUATION_ANNOTATION: Final = "kubevirt.io/evacuationMigration"
IN_PROGRESS_ANNOTATION: Final = "descheduler.alpha.kubernetes.io/eviction-in-progress"
SOURCE_ANNOTATION: Final = "kubevirt.io/eviction-source"
"""Of a VM: who caused its evacuation; migrations for a descheduler have a lower priority."""
FINALIZER: Final = "kubevirt.io/migrationJobFinalize"
INSTANCE_FINALIZER: Final = "foregroundDeleteVirtualMachine"
SUBRESOURCES: Final = "subresources.kubevirt.io"
"""The API group that virt-api serves itself."""


class KubeVirtMetadata(ObjectMeta, frozen=True):
    """Metadata with finalizers."""

    finalizers: tuple[str, ...] = ()


class KubeVirtDocument(KubeStruct, frozen=True):
    """An object of the API."""

    metadata: KubeVirtMetadata = KubeVirtMetadata()
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The object's namespace; all these kinds have one."""
        return self.metadata.namespace or ""

    @property
    def uid(self) -> str:
        """The object's uid."""
        return self.metadata.uid or ""

    @property
    def labels(self) -> dict[str, str]:
        """The object's labels; empty if there are none."""
        return self.metadata.labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        """The object's annotations; empty if there are none."""
        return self.metadata.annotations or {}

    @property
    def phase(self) -> str:
        """The object's phase; empty if not set."""
        phase: str = self.status.get("phase") or ""
        return phase

    @property
    def is_finished(self) -> bool:
        """Whether it is over, well or not."""
        return self.phase in ENDED

    def holds(self, condition: str) -> bool:
        """Whether a condition is True."""
        conditions = self.status.get("conditions") or ()
        return any(each.get("type") == condition and each.get("status") == "True" for each in conditions)


PODS: Final = Kind("", "v1", "pods", "Pod", True, KubeVirtDocument)
INSTANCES: Final = Kind(
    KUBEVIRT_GROUP, "v1", "virtualmachineinstances", INSTANCE_KIND, True, KubeVirtDocument
)
MIGRATIONS: Final = Kind(
    KUBEVIRT_GROUP,
    "v1",
    "virtualmachineinstancemigrations",
    f"{INSTANCE_KIND}Migration",
    True,
    KubeVirtDocument,
)
KUBEVIRTS: Final = Kind(KUBEVIRT_GROUP, "v1", "kubevirts", "KubeVirt", True, KubeVirtDocument)
