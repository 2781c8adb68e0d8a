"""A cluster that is watched: the report kept up to date instead of being read again."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from itertools import chain
from typing import Any, Final

import msgspec

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.kinds import NODES, OVERCOMMIT_NODES, Kind
from overbook.kube.api.reflector import Reflector
from overbook.status.build import build_cluster
from overbook.status.read import BRIEF_PODS, BriefPod, ClusterReader, percent_of, pod_selectors, views_of
from overbook.status.report import ClusterReport
from overbook.status.sums import NO_PODS, PodSums, Summing
from overbook.status.view import Clusterwide, NodeView, Unread

FACTS_SECONDS: Final = 5.0
"""How often the few objects that are not watched are read; that also tells whether the API server answers."""


class NodeSums:
    """Each node's pods together, kept up to date pod by pod.

    Args:
        percent: the cluster's percentage.
    """

    def __init__(self, percent: int) -> None:
        self._summing = Summing(percent)
        self.by_node: dict[str, PodSums] = {}

    def changed(self, _key: str, old: BriefPod | None, new: BriefPod | None) -> None:
        """A pod came, changed or went."""
        if old is not None and old.spec.node_name:
            self.by_node[old.spec.node_name] -= self._summing.of(old.pod)
        if new is not None and new.spec.node_name:
            before = self.by_node.get(new.spec.node_name, NO_PODS)
            self.by_node[new.spec.node_name] = before + self._summing.of(new.pod)

    def reckon_by(self, percent: int, pods: Iterable[BriefPod]) -> None:
        """Another percentage: all pods anew."""
        self._summing = Summing(percent)
        self.by_node.clear()
        for pod in pods:
            self.changed("", None, pod)


class LiveCluster:
    """A cluster that is watched.

    Args:
        client: of its API server.
        names: nodes; empty: all.
        selector: labels that they have; empty: any.
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
        self._pods: list[Reflector[BriefPod]] = []
        self._barred: tuple[Unread, ...] = ()
        self._tasks: list[asyncio.Task[Any]] = []
        self._heard = clock()

    async def start(self) -> None:
        """Begin to watch what may be watched, and wait until all of it is there.

        Raises:
            ApiError: neither nodes nor agents' reports may be read.
            KubeError: the API server does not answer.
        """
        await self._read_facts()
        if await self._may(NODES):
            self._nodes = self._watched(NODES, label_selector=self._selector)
        if await self._may(OVERCOMMIT_NODES):
            self._reports = self._watched(OVERCOMMIT_NODES)
        if self._nodes is None and self._reports is None:
            raise ApiError(403, self._barred[0].why, self._barred[0].message)
        if await self._may(BRIEF_PODS):
            self._sums = NodeSums(self._cluster.percent)
            self._pods = [
                self._watched(BRIEF_PODS, field_selector=fields, on_change=self._sums.changed)
                for fields in pod_selectors(self._names or None)
            ]
        for reflector in filter(None, (self._nodes, self._reports, *self._pods)):
            await reflector.wait_synced()
        self._tasks.append(asyncio.create_task(self._keep_facts()))

    async def stop(self) -> None:
        """End all that was begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> ClusterReport:
        """Everything, as of now."""
        views = [view for view in self._views() if not self._names or view.name in self._names]
        cluster = msgspec.structs.replace(self._cluster, unread=(*self._barred, *self._cluster.unread))
        return build_cluster(cluster, views, seconds_old=self._clock() - self._heard)

    def _views(self) -> list[NodeView]:
        return views_of(
            None if self._nodes is None else self._nodes.objects.values(),
            {} if self._reports is None else self._reports.objects,
            None if self._sums is None else self._sums.by_node,
            self._clock(),
        )

    async def _keep_facts(self) -> None:
        """Read now and then what is not watched; whatever happens, until cancelled."""
        while True:
            await asyncio.sleep(FACTS_SECONDS)
            with contextlib.suppress(KubeError):
                await self._read_facts()

    async def _read_facts(self) -> None:
        reading = ClusterReader(self._client)
        overcommit, kubevirt = await reading.overcommit(), await reading.kubevirt()
        leader = await reading.or_unread("leases", lambda: reading.leader(self._clock()))
        guests = await reading.or_unread(
            "virtualmachineinstances", lambda: reading.guests(self._views(), kubevirt)
        )
        before = self._cluster.percent
        self._cluster = Clusterwide(
            overcommit=overcommit,
            kubevirt_percent=percent_of(kubevirt),
            leader=leader,
            guests=guests or {},
            unread=tuple(reading.unread),
        )
        self._heard = self._clock()
        if self._sums is not None and self._cluster.percent != before:
            pods = chain.from_iterable(reflector.objects.values() for reflector in self._pods)
            self._sums.reckon_by(self._cluster.percent, pods)

    async def _may(self, kind: Kind[Any]) -> bool:
        """Whether a collection may be read; a watch that may not would try for ever."""
        reading = ClusterReader(self._client)

        async def first() -> bool:
            async with aclosing(self._client.pages(kind, limit=1)) as pages:
                return bool([await anext(pages)])

        allowed = await reading.or_unread(kind.plural, first)
        self._barred += tuple(reading.unread)
        return bool(allowed)

    def _watched(self, kind: Kind[Any], **how: Any) -> Reflector[Any]:
        reflector = Reflector(self._client, kind, **how)
        self._tasks.append(asyncio.create_task(reflector.run()))
        return reflector
