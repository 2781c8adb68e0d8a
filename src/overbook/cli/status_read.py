"""Reading a cluster for ``overbook status``: page by page, each pod folded into sums at once and dropped.

What may not be read, or is not installed, is remembered and left out; no answer at all ends the command.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from overbook.core.cluster_view import AGENT_NAMESPACE, Clusterwide, Guest, Leader, NodeView, Unread
from overbook.core.custom_overcommit import OVERCOMMIT_NAME, Overcommit
from overbook.core.custom_overcommit_node import TAINT_KEY, OvercommitNode
from overbook.core.errors import InvalidInput
from overbook.core.pod import KubeStruct, ObjectMeta
from overbook.core.pod_sums import NO_PODS, PodSums, Summing
from overbook.core.resources import amounts
from overbook.core.timestamp import from_timestamp
from overbook.core.vm import INSTANCE_KIND, KUBEVIRT_GROUP
from overbook.kube.client import Client
from overbook.kube.configuration import load_config
from overbook.kube.errors import ApiError, UnexpectedAnswer
from overbook.kube.kinds import (
    KUBEVIRTS,
    LEASES,
    NODES,
    OVERCOMMIT_NODES,
    OVERCOMMITS,
    PODS,
    Kind,
)
from overbook.kube.objects import KubeVirt, Node

RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that hold memory."""
PAGE: Final = 500
MOST_NAMED: Final = 16
"""Up to so many nodes their pods are asked for node by node; for more all of the cluster's are read."""
MOST_IN_TROUBLE: Final = 50
"""Nodes with candidates whose virtual machines are looked up."""
CONTROLLER_LEASE: Final = "overbook-controller"
_CONTROL_PLANE_ROLES: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

_Result = TypeVar("_Result")


class _InstanceSpec(KubeStruct, frozen=True):
    eviction_strategy: str | None = None


class _InstanceStatus(KubeStruct, frozen=True):
    active_pods: dict[str, str] | None = None


class _Instance(KubeStruct, frozen=True):
    """A virtual machine, as far as moving it away goes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _InstanceSpec = _InstanceSpec()
    status: _InstanceStatus = _InstanceStatus()


_INSTANCES: Final = Kind(
    KUBEVIRT_GROUP, "v1", "virtualmachineinstances", INSTANCE_KIND, namespaced=True, type=_Instance
)


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Client]:
    """A client for the cluster that the options name.

    Raises:
        InvalidInput: the kubeconfig is not valid.
        OSError: it cannot be read.
    """
    client = Client(load_config(kubeconfig, context), agent_name="overbook-status")
    try:
        yield client
    finally:
        await client.close()


class Reading:
    """One look at the cluster.

    Args:
        client: of its API server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.unread: list[Unread] = []

    async def cluster(
        self, names: Sequence[str], selector: str, now: float
    ) -> tuple[Clusterwide, tuple[NodeView, ...]]:
        """Everything that ``overbook status`` shows of nodes.

        Args:
            names: nodes; empty: all of them.
            selector: labels that they have; empty: any.
            now: seconds since 1970.

        Raises:
            InvalidInput: there is no node of a name.
            KubeError: the API server does not answer, or neither nodes nor agents' reports may be read.
        """
        overcommit, kubevirt = await asyncio.gather(self.overcommit(), self.kubevirt())
        cluster = Clusterwide(overcommit=overcommit, kubevirt_percent=_percent_of(kubevirt))
        nodes = await self._or_unread("nodes", self._nodes(names, selector))
        chosen = [node.metadata.name for node in nodes] if nodes is not None and (names or selector) else None
        sums, reports, leader = await asyncio.gather(
            self._or_unread("pods", self._sums(cluster.percent, chosen)),
            self._or_unread("overcommitnodes", self._reports(chosen)),
            self._or_unread("leases", self._leader(now)),
        )
        if nodes is None and not reports:
            first = self.unread[0]
            raise ApiError(403 if first.why == "Forbidden" else 500, first.why, first.message)
        views = tuple(views_of(nodes, reports or {}, sums, now))
        guests = await self._or_unread("virtualmachineinstances", self._guests(views, kubevirt))
        return (
            Clusterwide(
                overcommit=overcommit,
                kubevirt_percent=cluster.kubevirt_percent,
                leader=leader,
                guests=guests or {},
                unread=tuple(self.unread),
            ),
            views,
        )

    async def overcommit(self) -> Overcommit | None:
        """The cluster's settings; ``None``: there are none, or they may not be read."""
        try:
            return await self._client.get(OVERCOMMITS, OVERCOMMIT_NAME)
        except ApiError as error:
            if error.status != 404:
                self._remember("overcommits", error)
        except UnexpectedAnswer as error:
            self._remember("overcommits", error)
        return None

    async def kubevirt(self) -> KubeVirt | None:
        """KubeVirt's settings; ``None``: it is not there, or they may not be read."""
        found = await self._or_unread("kubevirts", _collected(self._client.list(KUBEVIRTS, limit=10)))
        return found[0] if found else None

    async def _nodes(self, names: Sequence[str], selector: str) -> list[Node]:
        if not names:
            return await _collected(self._client.list(NODES, label_selector=selector, limit=PAGE))
        return list(await asyncio.gather(*(self._node(name) for name in dict.fromkeys(names))))

    async def _node(self, name: str) -> Node:
        try:
            return await self._client.get(NODES, name)
        except ApiError as error:
            if error.status == 404:
                raise InvalidInput(
                    "node", name, "the name of a node; `overbook status` lists them"
                ) from error
            raise

    async def _sums(self, percent: int, chosen: list[str] | None) -> dict[str, PodSums]:
        """Each node's pods together."""
        summing = Summing(percent)
        sums: dict[str, PodSums] = {}
        selectors = [RUNNING]
        if chosen is not None and len(chosen) <= MOST_NAMED:
            selectors = [f"{RUNNING},spec.nodeName={name}" for name in chosen]
        for selector in selectors:
            async for pod in self._client.list(PODS, field_selector=selector, limit=PAGE):
                node = pod.spec.node_name
                if node:
                    sums[node] = sums.get(node, NO_PODS) + summing.of(pod)
        return sums

    async def _reports(self, chosen: list[str] | None) -> dict[str, OvercommitNode]:
        """What agents and controller wrote, by node."""
        wanted = None if chosen is None else set(chosen)
        listed = self._client.list(OVERCOMMIT_NODES, limit=PAGE)
        return {
            report.metadata.name: report
            async for report in listed
            if wanted is None or report.metadata.name in wanted
        }

    async def _leader(self, now: float) -> Leader | None:
        try:
            lease = await self._client.get(LEASES, CONTROLLER_LEASE, AGENT_NAMESPACE)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        renewed = from_timestamp(lease.spec.renew_time)
        return Leader(
            holder=lease.spec.holder_identity or "",
            age_seconds=None if renewed is None else max(0.0, now - renewed),
            lease_seconds=lease.spec.lease_duration_seconds or 15,
        )

    async def _guests(self, nodes: Iterable[NodeView], kubevirt: KubeVirt | None) -> dict[str, Guest]:
        """The virtual machines on nodes where one may have to go, by their pod's UID."""
        troubled = [node.name for node in nodes if any(one.virtual_machine for one in node.candidates)]
        if not troubled:
            return {}
        default = (kubevirt.spec.configuration.eviction_strategy if kubevirt else None) or "None"
        selector = f"kubevirt.io/nodeName in ({','.join(troubled[:MOST_IN_TROUBLE])})"
        return {
            uid: Guest(instance.metadata.name, instance.spec.eviction_strategy or default)
            async for instance in self._client.list(_INSTANCES, label_selector=selector, limit=PAGE)
            for uid in instance.status.active_pods or ()
        }

    async def _or_unread(self, resource: str, reading: Awaitable[_Result]) -> _Result | None:
        """What was read; ``None`` where it may not be, which is remembered."""
        try:
            return await reading
        except (ApiError, UnexpectedAnswer) as error:
            self._remember(resource, error)
            return None

    def _remember(self, resource: str, error: ApiError | UnexpectedAnswer) -> None:
        """Keep why something could not be read.

        Raises:
            ApiError: nothing at all can be read with these credentials.
        """
        if isinstance(error, UnexpectedAnswer):
            self.unread.append(Unread(resource, "Failed", str(error)))
            return
        if error.status == 401:
            raise error
        why = {403: "Forbidden", 404: "NotInstalled"}.get(error.status, "Failed")
        self.unread.append(Unread(resource, why, error.message))  # type: ignore[arg-type]


def views_of(
    nodes: Iterable[Node] | None,
    reports: dict[str, OvercommitNode],
    sums: dict[str, PodSums] | None,
    now: float,
) -> list[NodeView]:
    """Nodes, agents' reports and pods put together, by name.

    Args:
        nodes: ``None``: they may not be read, and there is a view for each report.
        reports: by node.
        sums: by node; ``None``: pods may not be read.
        now: seconds since 1970.
    """
    if nodes is None:
        return [
            view_of(Node(metadata=ObjectMeta(name=name)), reports[name], _sums_of(sums, name), now)
            for name in sorted(reports)
        ]
    found = {node.metadata.name: node for node in nodes}
    return [
        view_of(node, reports.get(name), _sums_of(sums, name), now) for name, node in sorted(found.items())
    ]


def view_of(node: Node, report: OvercommitNode | None, sums: PodSums | None, now: float) -> NodeView:
    """One node.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    status = report.status if report else None
    seen = from_timestamp(status.observed_at) if status else None
    ready = next((one.status for one in node.status.conditions or () if one.type == "Ready"), None)
    swap = node.status.node_info.swap if node.status.node_info else None
    labels = node.metadata.labels or {}
    return NodeView(
        name=node.metadata.name,
        ready=None if ready is None else ready == "True",
        control_plane=any(role in labels for role in _CONTROL_PLANE_ROLES),
        capacity=amounts(node.status.capacity, "status.capacity."),
        allocatable=amounts(node.status.allocatable, "status.allocatable."),
        tainted=any(taint.key == TAINT_KEY for taint in node.spec.taints or ()),
        kubelet_swap_bytes=swap.capacity if swap else None,
        sums=sums,
        status=status,
        age_seconds=None if seen is None else max(0.0, now - seen),
    )


def _sums_of(sums: dict[str, PodSums] | None, name: str) -> PodSums | None:
    return None if sums is None else sums.get(name, NO_PODS)


def _percent_of(kubevirt: KubeVirt | None) -> int | None:
    """``memoryOvercommit`` of KubeVirt; 100 where it says nothing, ``None`` where it is not there."""
    if kubevirt is None:
        return None
    written: Any = (kubevirt.spec.configuration.developer_configuration or {}).get("memoryOvercommit", 100)
    return written if isinstance(written, int) and 10 <= written <= 10_000 else 100


async def _collected(listed: AsyncIterator[_Result]) -> list[_Result]:
    return [one async for one in listed]
