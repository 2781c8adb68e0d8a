"""The kinds that the controller watches, with few fields, because some exist once for each node."""

from typing import Final

from overbook.core.api.group import GROUP, VERSION
from overbook.core.api.overcommit_node import PressureStatus, ReliefRecord, ReliefRequest
from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.kubevirt.objects import KubeVirt, Migration, MovableInstance
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.core.relief.node import KeptNode, NodeMeta
from overbook.kube.api.kinds import Kind


class _AskingStatus(KubeStruct, frozen=True):
    observed_at: str | None = None
    mode: str = ""
    pressure: PressureStatus = PressureStatus()
    request: ReliefRequest | None = None
    relief: ReliefRecord | None = None


class AskingNode(KubeStruct, frozen=True):
    """An ``OvercommitNode`` with the fields that relief needs."""

    metadata: NodeMeta = NodeMeta()
    status: _AskingStatus = _AskingStatus()


class _LeaseTimes(KubeStruct, frozen=True):
    renew_time: str | None = None


class AgentLease(KubeStruct, frozen=True):
    """The Lease of a node's agent: its heartbeat."""

    metadata: NodeMeta = NodeMeta()
    spec: _LeaseTimes = _LeaseTimes()


AGENT_LEASES: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease", True, AgentLease)
ASKING_NODES: Final = Kind(GROUP, VERSION, "overcommitnodes", "OvercommitNode", False, AskingNode)
KEPT_NODES: Final = Kind("", "v1", "nodes", "Node", False, KeptNode)
INSTANCES: Final = Kind(
    KUBEVIRT_GROUP, "v1", "virtualmachineinstances", "VirtualMachineInstance", True, MovableInstance
)
MIGRATIONS: Final = Kind(
    KUBEVIRT_GROUP,
    "v1",
    "virtualmachineinstancemigrations",
    "VirtualMachineInstanceMigration",
    True,
    Migration,
)
KUBEVIRTS: Final = Kind(KUBEVIRT_GROUP, "v1", "kubevirts", "KubeVirt", True, KubeVirt)
