"""A cluster as ``overbook status`` sees it: what the API server has, put together node by node."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.api.overcommit import Overcommit, OvercommitSpec
from overbook.core.api.overcommit_node import (
    OvercommitNodeStatus,
    PressureState,
    ReliefCandidate,
    ReliefRecord,
)
from overbook.core.kubernetes.resources import Amounts
from overbook.core.overcommit.level import NodeCause, causes_of, share_percent
from overbook.core.overcommit.swap import node_swap_bytes
from overbook.status.sums import NO_PODS, PodSums

AGENT_NAMESPACE: Final = "overbook"
"""Where Overbook is installed unless somebody chose otherwise; commands that are shown name it."""

Refused = Literal["Forbidden", "NotInstalled", "Failed"]


class NodeView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node, the pods on it together, and what its agent last said.

    Attributes:
        name: its name.
        ready: whether it is Ready; ``None``: not known.
        control_plane: whether it carries the control plane's role.
        capacity: what the machine has.
        allocatable: what pods may request together.
        tainted: whether it has our taint.
        kubelet_swap_bytes: swap as the kubelet reports it; ``None``: it does not.
        sums: its pods together; ``None``: pods could not be read.
        status: what agent and controller wrote; ``None``: nothing.
        age_seconds: since the agent last looked; ``None``: not known.
    """

    name: str
    ready: bool | None = None
    control_plane: bool = False
    capacity: Amounts = Amounts()
    allocatable: Amounts = Amounts()
    tainted: bool = False
    kubelet_swap_bytes: int | None = None
    sums: PodSums | None = NO_PODS
    status: OvercommitNodeStatus | None = None
    age_seconds: float | None = None

    @property
    def ram_bytes(self) -> int | None:
        """RAM: the agent's reading, else the kubelet's; they are the same number."""
        agent = self.status.memory.total_bytes if self.status else 0
        return agent or self.capacity.memory_bytes

    @property
    def swap_bytes(self) -> int | None:
        """The size of its swap; ``None``: neither agent nor kubelet says."""
        if self.status is not None and self.status.memory.total_bytes:
            return self.status.swap.total_bytes
        return self.kubelet_swap_bytes

    @property
    def pressure(self) -> PressureState:
        """How it is, by its agent's last word."""
        return self.status.pressure.state if self.status else "None"

    @property
    def relief(self) -> ReliefRecord:
        """What the controller does for it; empty: nothing."""
        return (self.status.relief if self.status else None) or ReliefRecord()

    @property
    def candidates(self) -> tuple[ReliefCandidate, ...]:
        """Who could go, in the agent's order; empty while nobody has to."""
        request = self.status.request if self.status else None
        return request.candidates if request else ()

    @property
    def causes(self) -> tuple[NodeCause, ...]:
        """Why it is overcommitted by the document's definition; empty: it is not, or that is not known."""
        if self.sums is None or not self.capacity.memory_bytes:
            return ()
        return causes_of(self.sums.levels, self.sums.pods, self.capacity)

    @property
    def promised_percent(self) -> int | None:
        """What its guests were told they have, of its RAM."""
        return None if self.sums is None else share_percent(self.sums.guest_bytes, self.ram_bytes)

    def demanded_swap_bytes(self, percent: int) -> int | None:
        """The swap that a percentage demands; ``None``: its RAM is not known."""
        return node_swap_bytes(self.ram_bytes, percent) if self.ram_bytes else None


class Unread(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A resource that could not be read.

    Attributes:
        resource: its plural name, such as ``pods``.
        why: a right is missing, there is no such resource, or something else.
        message: the API server's.
    """

    resource: str
    why: Refused
    message: str


class LeadingController(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The controller that leads.

    Attributes:
        holder: its identity; empty: nobody.
        age_seconds: since it renewed its lease; ``None``: not known.
        lease_seconds: for how long a renewal is good.
    """

    holder: str = ""
    age_seconds: float | None = None
    lease_seconds: int = 15

    @property
    def leads(self) -> bool:
        """Whether its lease is in force, by generous clocks."""
        return (
            bool(self.holder) and self.age_seconds is not None and self.age_seconds <= self.lease_seconds * 3
        )


class EvictableMachine(msgspec.Struct, frozen=True, gc=False):
    """A virtual machine that may have to go.

    Attributes:
        name: its name.
        strategy: its eviction strategy, KubeVirt's own default where it has none.
    """

    name: str
    strategy: str


class Clusterwide(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What counts for every node.

    Attributes:
        overcommit: the cluster's; ``None``: there is none, or it could not be read.
        kubevirt_percent: the percentage by which KubeVirt makes its pods; ``None``: not known.
        leader: the controller that leads; ``None``: there is no lease, or it could not be read.
        guests: virtual machines on nodes in trouble, by their pod's UID.
        unread: what could not be read.
    """

    overcommit: Overcommit | None = None
    kubevirt_percent: int | None = None
    leader: LeadingController | None = None
    guests: Mapping[str, EvictableMachine] = {}
    unread: tuple[Unread, ...] = ()

    @property
    def spec(self) -> OvercommitSpec:
        """What the owner wants, defaults where nothing is written."""
        return self.overcommit.spec if self.overcommit else OvercommitSpec()

    @property
    def percent(self) -> int:
        """The percentage that guests' sizes and swap are reckoned by."""
        if self.overcommit is None and self.kubevirt_percent is not None:
            return self.kubevirt_percent
        return self.spec.percentage

    @property
    def percent_known(self) -> bool:
        """Whether the percentage is somebody's word, and no guess."""
        return self.overcommit is not None or self.kubevirt_percent is not None

    def why_unread(self, resource: str) -> Refused | None:
        """Why a resource could not be read; ``None``: it could."""
        return next((one.why for one in self.unread if one.resource == resource), None)
