"""What the client's users need of objects that no rule looks at: narrow structs, as in ``core.pod``."""

from typing import Any

import msgspec

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, ResourceList


class Taint(KubeStruct, frozen=True):
    """Keeps pods that do not tolerate it away from a node."""

    key: str = ""
    value: str | None = None
    effect: str = ""
    time_added: str | None = None


class NodeSpec(KubeStruct, frozen=True):
    """What is wanted of a node."""

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
    """Swap as the kubelet sees it."""

    capacity: int | None = None


class NodeSystemInfo(KubeStruct, frozen=True):
    """Versions, and the swap there is."""

    kubelet_version: str | None = None
    container_runtime_version: str | None = None
    swap: NodeSwap | None = None


class NodeStatus(KubeStruct, frozen=True):
    """What the kubelet says of its node."""

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
    """Which object an event is about."""

    kind: str = ""
    namespace: str | None = None
    name: str = ""
    uid: str | None = None
    api_version: str | None = None
    resource_version: str | None = None
    field_path: str | None = None


class EventSource(KubeStruct, frozen=True):
    """Who reports an event, and from which node."""

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
    """Who holds a lease, and for how long after the last renewal."""

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
    """KubeVirt's own limits; absent: 5 in the cluster, 2 out of a node."""

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
    """Of a list, or of a page of one."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
