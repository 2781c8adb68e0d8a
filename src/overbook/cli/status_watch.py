"""``overbook status --watch``: the same table, kept up to date by watches instead of being read again."""

import argparse
import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from itertools import chain
from typing import Any, Final

import msgspec

from overbook.cli.status_build import build_cluster
from overbook.cli.status_kinds import BRIEF_PODS, BriefPod
from overbook.cli.status_read import Reading, connect, pod_selectors
from overbook.cli.status_screen import Screen, keys, screen
from overbook.cli.status_shape import ClusterReport
from overbook.cli.status_table import picture
from overbook.cli.status_views import percent_of, views_of
from overbook.core.cluster_view import Clusterwide, NodeView, Unread
from overbook.core.errors import InvalidInput
from overbook.core.pod_sums import NO_PODS, PodSums, Summing
from overbook.kube.client import Client
from overbook.kube.errors import ApiError, KubeError
from overbook.kube.kinds import NODES, OVERCOMMIT_NODES, Kind
from overbook.kube.reflector import Reflector

FACTS_SECONDS: Final = 5.0
"""How often the few objects that are not watched are read; that also tells whether the API server answers."""
_ENDING_KEYS: Final = "qQ\x04"


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
        reading = Reading(self._client)
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
        reading = Reading(self._client)

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


def watch(arguments: argparse.Namespace, names: tuple[str, ...]) -> int:
    """Show until q or Ctrl-C.

    Raises:
        InvalidInput: an option is not valid.
        KubeError: the API server does not answer at the beginning.
    """
    if arguments.output not in ("table", "wide"):
        raise InvalidInput("--output", arguments.output, "table or wide: --watch is for people")
    # What watches have to say of lost connections the view shows as the age of its data.
    logging.getLogger("overbook").addHandler(logging.NullHandler())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(arguments, names))
    return 0


async def _watch(arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    closed = asyncio.Event()

    def pressed(key: str) -> None:
        if key in _ENDING_KEYS:
            closed.set()

    async with connect(arguments.kubeconfig, arguments.context) as client:
        live = LiveCluster(client, names, arguments.selector)
        with screen() as where, keys(pressed):
            where.show([f"reading {client.config.server} …"])
            showing = asyncio.create_task(_show(live, where, arguments))
            closing = asyncio.create_task(closed.wait())
            try:
                await asyncio.wait((showing, closing), return_when=asyncio.FIRST_COMPLETED)
                if showing.done():
                    showing.result()  # it ends only by an error
            finally:
                showing.cancel()
                closing.cancel()
                await live.stop()


async def _show(live: LiveCluster, where: Screen, arguments: argparse.Namespace) -> None:
    await live.start()
    while True:
        where.show(picture(live.report(), where.size(), wide=arguments.output == "wide"))
        await asyncio.sleep(arguments.interval)
