"""The data of ``overbook status``: the API server's objects, put together node by node."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.api.group import NAMESPACE, node_namespace
from overbook.core.api.overcommit import Overcommit, OvercommitSpec, Unusable
from overbook.core.api.overcommit_node import (
    OvercommitNodeStatus,
    PressureState,
    ReliefCandidate,
    ReliefRecord,
)
from overbook.core.kubernetes.resources import Amounts
from overbook.core.overcommit.level import NodeCause, causes_of, share_percent
from overbook.core.overcommit.swap import node_swap_bytes, ordinary_bytes
from overbook.status.sums import NO_PODS, PodSums

AGENT_NAMESPACE: Final = node_namespace(NAMESPACE)
"""The agents' namespace in a default installation; commands in findings name it."""

Refused = Literal["Forbidden", "NotInstalled", "Failed"]


class NodeView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node, the sums of its pods, and the last report of its agent.

    Attributes:
        name: its name.
        ready: whether it is Ready; ``None``: not known.
        control_plane: whether it has the role of the control plane.
        capacity: the node's ``status.capacity``.
        allocatable: how much its pods may request together.
        tainted: whether it has Overbook's taint.
        cordoned: whether it takes no new pods, as while it is drained.
        kubelet_swap_bytes: swap as the kubelet reports it; ``None``: not reported.
        sums: the sums of its pods; ``None``: pods could not be read.
        status: what agent and controller wrote; ``None``: nothing.
        age_seconds: time since the agent's last sign of life, a report or a heartbeat; ``None``: not known.
        seen_at: when that was; ``None``: not known.
    """

    name: str
    ready: bool | None = None
    control_plane: bool = False
    capacity: Amounts = Amounts()
    allocatable: Amounts = Amounts()
    tainted: bool = False
    cordoned: bool = False
    kubelet_swap_bytes: int | None = None
    sums: PodSums | None = NO_PODS
    status: OvercommitNodeStatus | None = None
    age_seconds: float | None = None
    seen_at: str | None = None

    @property
    def ram_bytes(self) -> int | None:
        """RAM, from the agent's report or else from the kubelet's, which is the same number."""
        agent = self.status.memory.total_bytes if self.status else 0
        return agent or self.capacity.memory_bytes

    @property
    def ordinary_bytes(self) -> int | None:
        """The RAM without huge pages that were set aside; without its agent's report all of it."""
        huge = self.status.memory.hugetlb_bytes if self.status else 0
        return None if self.ram_bytes is None else ordinary_bytes(self.ram_bytes, huge)

    @property
    def swap_bytes(self) -> int | None:
        """The size of its swap; ``None``: neither agent nor kubelet reports it."""
        if self.status is not None and self.status.memory.total_bytes:
            return self.status.swap.total_bytes
        return self.kubelet_swap_bytes

    @property
    def pressure(self) -> PressureState:
        """The pressure state in its agent's last report."""
        return self.status.pressure.state if self.status else "None"

    @property
    def relief(self) -> ReliefRecord:
        """The controller's relief record; empty: none."""
        return (self.status.relief if self.status else None) or ReliefRecord()

    @property
    def candidates(self) -> tuple[ReliefCandidate, ...]:
        """The pods that may be evicted, the first one first; empty while no pod has to leave."""
        request = self.status.request if self.status else None
        return request.candidates if request else ()

    @property
    def causes(self) -> tuple[NodeCause, ...]:
        """Why the node is overcommitted, as Red Hat's document defines it; empty: it is not, or not known."""
        if self.sums is None or not self.capacity.memory_bytes:
            return ()
        return causes_of(self.sums.levels, self.sums.pods, self.capacity)

    @property
    def promised_percent(self) -> int | None:
        """The memory that is promised to its guests, as a percentage of its RAM without huge pages."""
        return None if self.sums is None else share_percent(self.sums.guest_bytes, self.ordinary_bytes)

    def demanded_swap_bytes(self, percent: int) -> int | None:
        """The swap that a percentage needs; ``None``: the node's RAM is not known."""
        return node_swap_bytes(self.ordinary_bytes, percent) if self.ordinary_bytes else None


class Unread(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A resource that could not be read.

    Attributes:
        resource: its plural name, such as ``pods``.
        why: the right is missing, the resource is not installed, or another error.
        message: the API server's message.
    """

    resource: str
    why: Refused
    message: str


class LeadingController(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The controller that leads.

    Attributes:
        holder: its identity; empty: no controller holds the lease.
        age_seconds: time since the lease was renewed; ``None``: not known.
        lease_seconds: how long a renewal is valid.
    """

    holder: str = ""
    age_seconds: float | None = None
    lease_seconds: int = 15

    @property
    def leads(self) -> bool:
        """Whether its lease is valid, with a margin for clocks that differ."""
        return (
            bool(self.holder) and self.age_seconds is not None and self.age_seconds <= self.lease_seconds * 3
        )


class MarkedMachine(msgspec.Struct, frozen=True, gc=False):
    """A virtual machine that KubeVirt is to move away from its node.

    Attributes:
        namespace: its namespace.
        name: its name.
        node: the node that it leaves.
    """

    namespace: str
    name: str
    node: str


class EvictableMachine(msgspec.Struct, frozen=True, gc=False):
    """A virtual machine on a node with candidates for eviction.

    Attributes:
        name: its name.
        strategy: its eviction strategy, or KubeVirt's default if it has none.
    """

    name: str
    strategy: str


class Clusterwide(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What applies to every node.

    Attributes:
        overcommit: the cluster's ``Overcommit``; ``None``: there is none that can be used, or it could not be
            read.
        unusable: why there is none that can be used; ``None``: there is one, or it could not be read.
        kubevirt_percent: the percentage by which KubeVirt makes its pods; ``None``: not known.
        leader: the controller that leads; ``None``: there is no lease, or it could not be read.
        guests: virtual machines by their pod's UID.
        marked: virtual machines that KubeVirt is to move away from their nodes.
        outdated: the namespaces with the switch of earlier versions, with its value.
        unread: what could not be read.
    """

    overcommit: Overcommit | None = None
    unusable: Unusable | None = None
    kubevirt_percent: int | None = None
    leader: LeadingController | None = None
    guests: Mapping[str, EvictableMachine] = {}
    marked: tuple[MarkedMachine, ...] = ()
    outdated: Mapping[str, str] = {}
    unread: tuple[Unread, ...] = ()

    @property
    def spec(self) -> OvercommitSpec:
        """The settings, with defaults for those that are not set."""
        return self.overcommit.spec if self.overcommit else OvercommitSpec()

    @property
    def percent(self) -> int:
        """The percentage with which guest sizes and swap are computed."""
        if self.overcommit is None and self.kubevirt_percent is not None:
            return self.kubevirt_percent
        return self.spec.percentage

    @property
    def percent_known(self) -> bool:
        """Whether the percentage was set in the cluster, and is not only a default."""
        return self.overcommit is not None or self.kubevirt_percent is not None

    def why_unread(self, resource: str) -> Refused | None:
        """Why a resource could not be read; ``None``: it could."""
        return next((one.why for one in self.unread if one.resource == resource), None)
