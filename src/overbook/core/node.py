"""What Overbook needs of a node object: narrow structs, as in :mod:`overbook.core.pod`."""

from typing import Literal

from overbook.core.pod import KubeStruct, ObjectMeta, ResourceList
from overbook.core.resources import Amounts, amounts


class Taint(KubeStruct, frozen=True):
    """Keeps pods away that do not tolerate it."""

    key: str
    value: str | None = None
    effect: str | None = None


class NodeSpec(KubeStruct, frozen=True):
    """What is wanted of the node."""

    taints: tuple[Taint, ...] | None = None
    unschedulable: bool | None = None


class NodeCondition(KubeStruct, frozen=True):
    """One of the node's conditions."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str | None = None
    message: str | None = None


class NodeSwap(KubeStruct, frozen=True):
    """The node's swap as the kubelet reports it, from Kubernetes 1.34 on."""

    capacity: int | None = None


class NodeInfo(KubeStruct, frozen=True):
    """The machine."""

    kubelet_version: str | None = None
    swap: NodeSwap | None = None


class NodeStatus(KubeStruct, frozen=True):
    """What the kubelet reports."""

    capacity: ResourceList | None = None
    allocatable: ResourceList | None = None
    conditions: tuple[NodeCondition, ...] | None = None
    node_info: NodeInfo | None = None


class Node(KubeStruct, frozen=True):
    """A node."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def capacity(self) -> Amounts:
        """What the machine has.

        Raises:
            InvalidInput: a quantity that the API server refuses.
        """
        return amounts(self.status.capacity, f"Node {self.name}: status.capacity.")

    @property
    def allocatable(self) -> Amounts:
        """What pods may request together.

        Raises:
            InvalidInput: a quantity that the API server refuses.
        """
        return amounts(self.status.allocatable, f"Node {self.name}: status.allocatable.")

    def has_taint(self, key: str) -> bool:
        """Whether it has a taint of that key, whatever its effect."""
        return any(taint.key == key for taint in self.spec.taints or ())

    def condition(self, kind: str) -> str | None:
        """The status of a condition; ``None``: the node does not have it."""
        return next((one.status for one in self.status.conditions or () if one.type == kind), None)
