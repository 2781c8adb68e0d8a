"""A live view of a cluster: watches keep its report up to date, so that it is not read again."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from itertools import chain
from typing import Any, Final

import msgspec

from overbook.core.api.heartbeat import HEARTBEAT_SELECTOR
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.kinds import LEASES, NODES, OVERCOMMIT_NODES, Kind
from overbook.kube.api.reflector import Reflector
from overbook.status.build import build_cluster
from overbook.status.guests import INSTANCES, GuestMachines, MachineInstance
from overbook.status.node_views import renewals, views_of
from overbook.status.read import (
    BRIEF_PODS,
    BriefPod,
    ClusterReader,
    eviction_strategy_of,
    percent_of,
    pod_selectors,
)
from overbook.status.report import ClusterReport
from overbook.status.sums import NO_PODS, PodSums, Summing
from overbook.status.view import AGENT_NAMESPACE, Clusterwide, NodeView, Unread

FACTS_SECONDS: Final = 5.0
"""How often the few unwatched objects are read, which also shows whether the API server answers."""


class NodeSums:
    """The sums of each node's pods, kept up to date pod by pod.

    Args:
        percent: the cluster's percentage.
    """

    def __init__(self, percent: int) -> None:
        self._summing = Summing(percent)
        self.by_node: dict[str, PodSums] = {}

    def changed(self, _key: str, old: BriefPod | None, new: BriefPod | None) -> None:
        """Account for a pod that was created, changed or deleted."""
        if old is not None and old.spec.node_name:
            self.by_node[old.spec.node_name] -= self._summing.of(old.pod)
        if new is not None and new.spec.node_name:
            before = self.by_node.get(new.spec.node_name, NO_PODS)
            self.by_node[new.spec.node_name] = before + self._summing.of(new.pod)

    def recompute(self, percent: int, pods: Iterable[BriefPod]) -> None:
        """Compute all sums again, for another percentage."""
        self._summing = Summing(percent)
        self.by_node.clear()
        for pod in pods:
            self.changed("", None, pod)


class LiveCluster:
    """A live view of a cluster.

    Args:
        client: the client of its API server.
        names: the nodes; empty: all.
        selector: the labels of the nodes; empty: any.
        clock: seconds since 1970.
    """

    def __init__(
        self, client: Client, names: tuple[str, ...], selector: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._names = names
        self._selector = selector
        self._clock = clock
        self._cluster = Clusterwide()
        self._sums: NodeSums | None = None
        self._nodes: Reflector[Any] | None = None
        self._reports: Reflector[Any] | None = None
        self._leases: Reflector[Any] | None = None
        self._pods: list[Reflector[BriefPod]] = []
        self._instances: Reflector[MachineInstance] | None = None
        self._strategy = "None"
        self._forbidden: tuple[Unread, ...] = ()
        self._tasks: list[asyncio.Task[Any]] = []
        self._last_answer = clock()

    async def start(self) -> None:
        """Start the watches that are allowed, and wait until each has read its objects once.

        Raises:
            ApiError: neither nodes nor agents' reports may be read.
            KubeError: the API server does not answer.
        """
        await self._read_facts()
        if await self._may(NODES):
            self._nodes = self._watched(NODES, label_selector=self._selector)
        if await self._may(OVERCOMMIT_NODES):
            self._reports = self._watched(OVERCOMMIT_NODES)
        if await self._may(LEASES, AGENT_NAMESPACE, resource="heartbeats"):
            self._leases = self._watched(LEASES, namespace=AGENT_NAMESPACE, label_selector=HEARTBEAT_SELECTOR)
        if self._nodes is None and self._reports is None:
            raise ApiError(403, self._forbidden[0].why, self._forbidden[0].message)
        if await self._may(BRIEF_PODS):
            self._sums = NodeSums(self._cluster.percent)
            self._pods = [
                self._watched(BRIEF_PODS, field_selector=fields, on_change=self._sums.changed)
                for fields in pod_selectors(self._names or None)
            ]
        if await self._may(INSTANCES):
            self._instances = self._watched(INSTANCES)
        watched = (self._nodes, self._reports, self._leases, self._instances, *self._pods)
        for reflector in filter(None, watched):
            await reflector.wait_synced()
        self._tasks.append(asyncio.create_task(self._keep_facts()))

    async def stop(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> ClusterReport:
        """The report as of now."""
        machines = None
        if self._instances is not None:
            machines = GuestMachines(self._instances.objects.values(), self._strategy)
        views = [view for view in self._views(machines) if not self._names or view.name in self._names]
        cluster = msgspec.structs.replace(
            self._cluster,
            guests=machines.evictable if machines else {},
            marked=tuple(machines.marked) if machines else (),
            unread=(*self._forbidden, *self._cluster.unread),
        )
        return build_cluster(cluster, views, seconds_old=self._clock() - self._last_answer)

    def _views(self, machines: GuestMachines | None) -> list[NodeView]:
        sums = None if self._sums is None else self._sums.by_node
        return views_of(
            None if self._nodes is None else self._nodes.objects.values(),
            {} if self._reports is None else self._reports.objects,
            sums if sums is None or machines is None else machines.on(sums),
            self._clock(),
            None if self._leases is None else renewals(self._leases.objects.values()),
        )

    async def _keep_facts(self) -> None:
        """Read the unwatched objects repeatedly, until cancelled; errors are ignored."""
        while True:
            await asyncio.sleep(FACTS_SECONDS)
            with contextlib.suppress(KubeError):
                await self._read_facts()

    async def _read_facts(self) -> None:
        reading = ClusterReader(self._client)
        overcommit, kubevirt = await reading.overcommit(), await reading.kubevirt()
        leader = await reading.or_unread("leases", lambda: reading.leader(self._clock()))
        self._strategy = eviction_strategy_of(kubevirt)
        before = self._cluster.percent
        self._cluster = Clusterwide(
            overcommit=overcommit,
            unusable=reading.unusable,
            kubevirt_percent=percent_of(kubevirt),
            leader=leader,
            unread=tuple(reading.unread),
        )
        self._last_answer = self._clock()
        if self._sums is not None and self._cluster.percent != before:
            pods = chain.from_iterable(reflector.objects.values() for reflector in self._pods)
            self._sums.recompute(self._cluster.percent, pods)

    async def _may(self, kind: Kind[Any], namespace: str | None = None, resource: str = "") -> bool:
        """Whether a collection may be read. A watch without the right to it would retry for ever."""
        reading = ClusterReader(self._client)

        async def first() -> bool:
            async with aclosing(self._client.pages(kind, namespace, limit=1)) as pages:
                return bool([await anext(pages)])

        allowed = await reading.or_unread(resource or kind.plural, first)
        self._forbidden += tuple(reading.unread)
        return bool(allowed)

    def _watched(self, kind: Kind[Any], **how: Any) -> Reflector[Any]:
        reflector = Reflector(self._client, kind, **how)
        self._tasks.append(asyncio.create_task(reflector.run()))
        return reflector
