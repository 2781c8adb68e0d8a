"""Structs for the objects that no rule of `core` uses, with only the needed fields, as in ``core.pod``."""

from typing import Any

import msgspec

from overbook.core.kubernetes.pod import SOURCE_ANNOTATION, KubeStruct, ObjectMeta, Pod, ResourceList


class ApiPod(Pod, frozen=True):
    """A pod as the API server stores it.

    The kubelet notes in an annotation that a pod is static, but only in its own memory. At the API server any
    tenant may write that annotation, so it is not believed there; a mirror pod's annotation cannot be added.
    """

    def __post_init__(self) -> None:
        """Leave out the annotation."""
        if SOURCE_ANNOTATION in self.annotations:
            kept = {key: value for key, value in self.annotations.items() if key != SOURCE_ANNOTATION}
            metadata = msgspec.structs.replace(self.metadata, annotations=kept)
            msgspec.structs.force_setattr(self, "metadata", metadata)


class Taint(KubeStruct, frozen=True):
    """A node's taint, which keeps away pods without a matching toleration."""

    key: str = ""
    value: str | None = None
    effect: str = ""
    time_added: str | None = None


class NodeSpec(KubeStruct, frozen=True):
    """A node's spec."""

    taints: tuple[Taint, ...] | None = None
    unschedulable: bool | None = None


class NodeCondition(KubeStruct, frozen=True):
    """One of a node's conditions."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_heartbeat_time: str | None = None
    last_transition_time: str | None = None


class NodeSwap(KubeStruct, frozen=True):
    """The node's swap as the kubelet reports it."""

    capacity: int | None = None


class NodeSystemInfo(KubeStruct, frozen=True):
    """The node's versions, and its swap."""

    kubelet_version: str | None = None
    container_runtime_version: str | None = None
    swap: NodeSwap | None = None


class NodeStatus(KubeStruct, frozen=True):
    """A node's status, as the kubelet reports it."""

    capacity: ResourceList | None = None
    allocatable: ResourceList | None = None
    conditions: tuple[NodeCondition, ...] | None = None
    node_info: NodeSystemInfo | None = None


class Node(KubeStruct, frozen=True):
    """A node."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Namespace(KubeStruct, frozen=True):
    """A namespace: its labels and annotations."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()


class ObjectReference(KubeStruct, frozen=True):
    """The object that an event is about."""

    kind: str = ""
    namespace: str | None = None
    name: str = ""
    uid: str | None = None
    api_version: str | None = None
    resource_version: str | None = None
    field_path: str | None = None


class EventSource(KubeStruct, frozen=True):
    """The program that reports an event, and its node."""

    component: str = ""
    host: str | None = None


class CoreEvent(KubeStruct, frozen=True):
    """An event (``core/v1``), as ``kubectl describe`` shows it."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    involved_object: ObjectReference = ObjectReference()
    reason: str = ""
    message: str = ""
    type: str = ""
    source: EventSource | None = None
    count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None


class LeaseSpec(KubeStruct, frozen=True):
    """A lease's holder, and how long the lease is valid after the last renewal."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(KubeStruct, frozen=True):
    """A lease (``coordination.k8s.io``)."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: LeaseSpec = LeaseSpec()


class MigrationConfiguration(KubeStruct, frozen=True):
    """KubeVirt's limits on live migrations; if absent, 5 per cluster and 2 out of a node."""

    parallel_migrations_per_cluster: int | None = None
    parallel_outbound_migrations_per_node: int | None = None


class KubeVirtConfiguration(KubeStruct, frozen=True):
    """The part of KubeVirt's settings that relief has to respect."""

    migrations: MigrationConfiguration | None = None
    eviction_strategy: str | None = None
    developer_configuration: dict[str, Any] | None = None


class KubeVirtSpec(KubeStruct, frozen=True):
    """KubeVirt's settings."""

    configuration: KubeVirtConfiguration = KubeVirtConfiguration()


class KubeVirtInstallation(KubeStruct, frozen=True):
    """An installation of KubeVirt."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: KubeVirtSpec = KubeVirtSpec()


class ListMetadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The metadata of a list or of a page."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
