"""Read a cluster for ``overbook status``, page by page; each pod is added to its node's sums and dropped.

A resource that may not be read, or is not installed, is remembered and left out. If the API server does not
answer at all, the command ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from overbook.core.api.group import NAMESPACE
from overbook.core.api.heartbeat import HEARTBEAT_SELECTOR
from overbook.core.api.overcommit import (
    OVERCOMMIT_NAME,
    Overcommit,
    OvercommitSpec,
    Unusable,
    read_overcommit,
)
from overbook.core.api.overcommit_node import OvercommitNode
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, PodSpec
from overbook.core.overcommit.namespace import outdated_word
from overbook.core.percentage import is_percent
from overbook.core.timestamp import from_timestamp
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, UnexpectedAnswer, is_status
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import (
    KUBEVIRTS,
    LEASES,
    NAMESPACES,
    NODES,
    OVERCOMMIT_NODES,
    WRITTEN_OVERCOMMITS,
    Kind,
)
from overbook.kube.api.objects import KubeVirtInstallation, Node
from overbook.status.guests import INSTANCES, GuestMachines
from overbook.status.node_views import renewals, views_of
from overbook.status.sums import NO_PODS, PodSums, Summing
from overbook.status.view import (
    AGENT_NAMESPACE,
    Clusterwide,
    LeadingController,
    NodeView,
    Unread,
)

RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""The field selector for pods that hold memory."""
PAGE: Final = 2000
MOST_NAMED: Final = 16
"""Up to this number of chosen nodes, pods are listed node by node; for more, all pods are listed."""
NODE_LABEL: Final = "kubevirt.io/nodeName"
"""The label by which KubeVirt says on which node a virtual machine runs."""
MOST_TRIES: Final = 4
_OF_KUBEVIRT: Final = ("kubevirts", "virtualmachineinstances")
_PASSING: Final = (429, 500, 503, 504)
"""Status codes of an API server after which a retry may succeed."""
CONTROLLER_LEASE: Final = "overbook-controller"

_Result = TypeVar("_Result")


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Client]:
    """A client for the cluster that the options name.

    Raises:
        InvalidInput: the kubeconfig is not valid.
        OSError: the kubeconfig cannot be read.
    """
    client = Client(load_config(kubeconfig, context), agent_name="overbook-status")
    try:
        yield client
    finally:
        await client.close()


class ClusterReader:
    """Reads the cluster once.

    Args:
        client: the client of its API server.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.unread: list[Unread] = []
        self.unusable: Unusable | None = None
        """Why there is no ``Overcommit`` that can be used; ``None``: there is one, or it was not read."""

    async def cluster(
        self, names: Sequence[str], selector: str, now: float
    ) -> tuple[Clusterwide, tuple[NodeView, ...]]:
        """Everything that ``overbook status`` shows of nodes.

        Args:
            names: the nodes; empty: all.
            selector: the labels of the nodes; empty: any.
            now: seconds since 1970.

        Raises:
            InvalidInput: a named node does not exist.
            KubeError: the API server does not answer, or neither nodes nor agents' reports may be read.
        """
        overcommit, kubevirt = await asyncio.gather(self.overcommit(), self.kubevirt())
        cluster = Clusterwide(overcommit=overcommit, kubevirt_percent=percent_of(kubevirt))
        nodes = await self.or_unread("nodes", lambda: self._nodes(names, selector))
        chosen = [node.metadata.name for node in nodes] if nodes is not None and (names or selector) else None
        sums, machines, reports, leader, renewed = await asyncio.gather(
            self.or_unread("pods", lambda: self._sums(cluster.percent, chosen)),
            self.or_unread("virtualmachineinstances", lambda: self.machines(chosen, kubevirt)),
            self.or_unread("overcommitnodes", lambda: self.reports(chosen)),
            self.or_unread("leases", lambda: self.leader(now)),
            self.or_unread("heartbeats", self.heartbeats),
        )
        outdated = await self.or_unread("namespaces", self.outdated) if chosen is None else {}
        if nodes is None and not reports:
            first = self.unread[0]
            raise ApiError(403 if first.why == "Forbidden" else 500, first.why, first.message)
        if sums is not None and machines is not None:
            sums = machines.on(sums)
        views = tuple(views_of(nodes, reports or {}, sums, now, renewed))
        return (
            Clusterwide(
                overcommit=overcommit,
                unusable=self.unusable,
                kubevirt_percent=cluster.kubevirt_percent,
                leader=leader,
                guests=machines.evictable if machines else {},
                marked=tuple(machines.marked) if machines else (),
                outdated=outdated or {},
                unread=tuple(self.unread),
            ),
            views,
        )

    async def overcommit(self) -> Overcommit | None:
        """The cluster's settings; ``None``: there are none that can be used, or they may not be read."""
        return await self.or_unread("overcommits", self._overcommit)

    async def kubevirt(self) -> KubeVirtInstallation | None:
        """KubeVirt's settings; ``None``: KubeVirt is not installed, or they may not be read."""
        found = await self.or_unread("kubevirts", lambda: _collected(self.client.list(KUBEVIRTS, limit=10)))
        return found[0] if found else None

    async def _overcommit(self) -> Overcommit | None:
        try:
            written = await self.client.get(WRITTEN_OVERCOMMITS, OVERCOMMIT_NAME)
        except ApiError as error:
            if not error.is_not_found:
                raise
            written = None
        read = read_overcommit(written)
        if written is None or not isinstance(read, OvercommitSpec):
            self.unusable = read if isinstance(read, Unusable) else None
            return None
        self.unusable = None
        return Overcommit(metadata=written.metadata, spec=read)

    async def _nodes(self, names: Sequence[str], selector: str) -> list[Node]:
        if not names:
            return await _collected(self.client.list(NODES, label_selector=selector, limit=PAGE))
        return list(await asyncio.gather(*(self._node(name) for name in dict.fromkeys(names))))

    async def _node(self, name: str) -> Node:
        try:
            return await self.client.get(NODES, name)
        except ApiError as error:
            if error.status == 404:
                raise InvalidInput(
                    "node", name, "the name of a node; `overbook status` lists them"
                ) from error
            raise

    async def _sums(self, percent: int, chosen: list[str] | None) -> dict[str, PodSums]:
        """The sums of each node's pods."""
        summing = Summing(percent)
        sums: dict[str, PodSums] = {}
        for selector in pod_selectors(chosen):
            async for brief in self.client.list(BRIEF_PODS, field_selector=selector, limit=PAGE):
                node = brief.spec.node_name
                if node:
                    sums[node] = sums.get(node, NO_PODS) + summing.of(brief.pod)
        return sums

    async def reports(self, chosen: Sequence[str] | None = None) -> dict[str, OvercommitNode]:
        """The reports of agents and controller, by node."""
        wanted = None if chosen is None else set(chosen)
        listed = self.client.list(OVERCOMMIT_NODES, limit=PAGE)
        return {
            report.metadata.name: report
            async for report in listed
            if wanted is None or report.metadata.name in wanted
        }

    async def outdated(self) -> dict[str, str]:
        """The namespaces that have the swap switch only as an annotation, which is no longer read."""
        found = {}
        async for namespace in self.client.list(NAMESPACES, limit=PAGE):
            word = outdated_word(namespace.metadata.labels, namespace.metadata.annotations)
            if word is not None:
                found[namespace.metadata.name] = word
        return found

    async def heartbeats(self) -> dict[str, str]:
        """When each node's agent last renewed its Lease, by node."""
        leases = self.client.list(LEASES, AGENT_NAMESPACE, label_selector=HEARTBEAT_SELECTOR, limit=PAGE)
        return renewals([lease async for lease in leases])

    async def leader(self, now: float) -> LeadingController | None:
        """The controller that leads; ``None``: there is no lease."""
        try:
            lease = await self.client.get(LEASES, CONTROLLER_LEASE, NAMESPACE)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        renewed = from_timestamp(lease.spec.renew_time)
        return LeadingController(
            holder=lease.spec.holder_identity or "",
            age_seconds=None if renewed is None else max(0.0, now - renewed),
            lease_seconds=lease.spec.lease_duration_seconds or 15,
        )

    async def machines(
        self,
        chosen: Sequence[str] | None,
        kubevirt: KubeVirtInstallation | None,
        namespace: str | None = None,
    ) -> GuestMachines:
        """The virtual machines on the chosen nodes (``None``: on all) and in a namespace (``None``: all)."""
        few = chosen is not None and len(chosen) <= MOST_NAMED
        selector = f"{NODE_LABEL} in ({','.join(chosen)})" if chosen and few else ""
        listed = self.client.list(INSTANCES, namespace, label_selector=selector, limit=PAGE)
        return GuestMachines([instance async for instance in listed], eviction_strategy_of(kubevirt))

    async def or_unread(self, resource: str, read: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """The result of `read`; ``None`` if the resource could not be read, which is remembered.

        If the API server is overloaded or just starting, the request is repeated.
        """
        backoff = Backoff()
        for left in range(MOST_TRIES - 1, -1, -1):
            try:
                return await read()
            except (ApiError, UnexpectedAnswer) as error:
                if left and is_status(error, *_PASSING):
                    await asyncio.sleep(backoff.next_seconds(error))
                    continue
                self._remember(resource, error)
        return None

    def _remember(self, resource: str, error: ApiError | UnexpectedAnswer) -> None:
        """Remember why a resource could not be read.

        Raises:
            ApiError: nothing at all can be read with these credentials.
        """
        if isinstance(error, UnexpectedAnswer):
            self.unread.append(Unread(resource, "Failed", str(error)))
            return
        if error.status == 401:
            raise error
        if error.status == 404 and resource in _OF_KUBEVIRT:
            return  # a cluster without virtual machines
        why = {403: "Forbidden", 404: "NotInstalled"}.get(error.status, "Failed")
        self.unread.append(Unread(resource, why, error.message))  # type: ignore[arg-type]


def pod_selectors(chosen: Sequence[str] | None) -> list[str]:
    """Field selectors for the pods of the chosen nodes; ``None``: of all nodes."""
    if chosen is None or len(chosen) > MOST_NAMED:
        return [RUNNING]
    return [f"{RUNNING},spec.nodeName={name}" for name in chosen]


async def _collected(listed: AsyncIterator[_Result]) -> list[_Result]:
    return [one async for one in listed]


class _PodMetadata(KubeStruct, frozen=True):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class BriefPod(KubeStruct, frozen=True):
    """A pod with only the fields for sums: fifty thousand may be decoded, and a live view keeps them."""

    metadata: _PodMetadata = _PodMetadata()
    spec: PodSpec = PodSpec()

    @property
    def pod(self) -> Pod:
        """The same as a `Pod`, as the functions in `core` take it."""
        metadata = self.metadata
        return Pod(
            metadata=ObjectMeta(annotations=metadata.annotations, owner_references=metadata.owner_references),
            spec=self.spec,
        )


BRIEF_PODS: Final = Kind("", "v1", "pods", "Pod", namespaced=True, type=BriefPod)


def eviction_strategy_of(kubevirt: KubeVirtInstallation | None) -> str:
    """KubeVirt's eviction strategy for virtual machines without their own."""
    return (kubevirt.spec.configuration.eviction_strategy if kubevirt else None) or "None"


def percent_of(kubevirt: KubeVirtInstallation | None) -> int | None:
    """``memoryOvercommit`` of KubeVirt; 100 if it is not set, ``None`` without KubeVirt."""
    if kubevirt is None:
        return None
    written: Any = (kubevirt.spec.configuration.developer_configuration or {}).get("memoryOvercommit", 100)
    return written if isinstance(written, int) and is_percent(written) else 100
