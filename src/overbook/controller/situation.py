"""The input of the plan, kept up to date: requests, records, nodes, budgets and KubeVirt's state."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

from overbook.controller.kinds import AGENT_LEASES, ASKING_NODES, KEPT_NODES, AgentLease, AskingNode
from overbook.controller.kubevirt import KubeVirtWatch
from overbook.controller.progress import MigrationProgress
from overbook.controller.records import Records
from overbook.controller.reports import Reports
from overbook.controller.settings import ControllerSettings
from overbook.core.api.group import node_namespace
from overbook.core.api.heartbeat import HEARTBEAT_SELECTOR
from overbook.core.api.overcommit import (
    OVERCOMMIT_NAME,
    OvercommitInForce,
    OvercommitSpec,
    Unusable,
    in_force,
    read_overcommit,
)
from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.candidate_pod import CandidatePod, ClusterDefaults
from overbook.core.relief.case import ClusterCase, NodeCase, Uncancelled
from overbook.core.relief.node import KeptNode, could_take_a_vm
from overbook.kube.api.client import Client
from overbook.kube.api.kinds import WRITTEN_OVERCOMMITS
from overbook.kube.api.reflector import Reflector

QUIET_SECONDS: Final = 5.0
"""After this silence the watch of the heartbeats is compared with the collection."""

_NO_PODS: Final[Mapping[str, CandidatePod]] = {}


class ClusterSituation:
    """The state of the cluster as one leader knows it.

    Args:
        client: to the API server.
        settings: mode and namespace.
        clock: seconds that only grow.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        settings: ControllerSettings,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._settings = settings
        self._node_namespace = node_namespace(settings.namespace)
        self._clock = clock
        self.asking = Reflector(client, ASKING_NODES, on_change=self._asking_changed, clock=clock)
        self.heartbeats = Reflector(
            client,
            AGENT_LEASES,
            namespace=self._node_namespace,
            label_selector=HEARTBEAT_SELECTOR,
            on_change=self._heartbeat_changed,
            clock=clock,
        )
        self.nodes = Reflector(client, KEPT_NODES, on_change=self._node_changed)
        self.overcommits = Reflector(client, WRITTEN_OVERCOMMITS, on_change=self._overcommit_changed)
        self._in_force = OvercommitInForce(OvercommitSpec(), Unusable("OvercommitUnknown"))
        self.kubevirt = KubeVirtWatch(client, self.wake, clock=clock)
        self.records = Records(wall_clock)
        self.reports = Reports(
            lambda: self.heartbeats.heard_seconds, lambda: self.heartbeats.heard_seconds_now
        )
        self._progress = MigrationProgress(wall_clock)
        self.pods: dict[str, dict[str, CandidatePod]] = {}
        self.answers: dict[str, EvictionAnswer] = {}
        self.uncancelled: dict[str, Uncancelled] = {}
        self.destinations: set[str] = set()
        self.unkept: set[str] = set()
        """Nodes whose condition or taint may have to be written; `NodeKeeper` handles them."""
        self.woken = asyncio.Event()
        self.unkept_some = asyncio.Event()

    def wake(self) -> None:
        """Trigger a new plan, after a change of its input."""
        self.woken.set()

    async def run(self) -> None:
        """Watch all objects, until cancelled."""
        await asyncio.gather(
            self.asking.run(),
            self.heartbeats.run(),
            self.nodes.run(),
            self.overcommits.run(),
            self.kubevirt.run(),
        )

    async def wait_known(self) -> None:
        """Wait until all objects have been read once."""
        for reflector in (self.asking, self.nodes, self.overcommits):
            await reflector.wait_synced()
        self._take_over()  # that there is no Overcommit does not come as a change
        await self.kubevirt.wait_looked()

    @property
    def known(self) -> bool:
        """Whether all objects have been read once."""
        return self.asking.synced and self.nodes.synced and self.overcommits.synced

    @property
    def overcommit(self) -> OvercommitInForce:
        """The settings in force, and why they are not those of an ``Overcommit``, if so."""
        return self._in_force

    @property
    def spec(self) -> OvercommitSpec:
        """The settings in force."""
        return self.overcommit.spec

    @property
    def defaults(self) -> ClusterDefaults:
        """The defaults for every pod."""
        return ClusterDefaults(self._settings.namespace, self.kubevirt.eviction_strategy)

    async def listen(self) -> None:
        """Look whether the watch of the heartbeats is up to date, if it has said nothing for a while.

        Raises:
            KubeError: the API server does not answer.
        """
        heard = self.heartbeats.last_contact
        if heard is None or self._clock() - heard < QUIET_SECONDS:
            return
        leases = self._client.pages(
            AGENT_LEASES, self._node_namespace, label_selector=HEARTBEAT_SELECTOR, limit=1
        )
        async with aclosing(leases) as pages:
            async for page in pages:
                self.heartbeats.compare(next(iter(page.items), None))
                break

    def lease_of(self, node: str) -> AgentLease | None:
        """The Lease of a node's agent; ``None``: there is none, or it is not known."""
        return self.heartbeats.objects.get(f"{self._node_namespace}/{node}")

    def is_stale(self, node: str) -> bool:
        """Whether the node's agent no longer reports."""
        return self.reports.is_stale(node, self.spec.relief.stale_seconds)

    def cases(self) -> list[NodeCase]:
        """The nodes that request relief, and the nodes with a relief under way."""
        names = {name for name, obj in self.asking.objects.items() if obj.status.request is not None}
        names.update(name for name, record in self.records.nodes.items() if record.stage is not None)
        return [self._case(name) for name in names]

    def cluster(self) -> ClusterCase:
        """The input of the plan that is common to all nodes."""
        spec, problem = self.overcommit.spec, self.overcommit.problem
        if problem is not None:
            held_back = problem.sentence
        elif spec.paused:
            held_back = "relief is paused (Overcommit cluster: spec.paused)"
        elif "Observe" in (spec.mode, self._settings.mode):
            held_back = "the mode is Observe"
        else:
            held_back = ""
        migrations = self.kubevirt.migrations
        return ClusterCase(
            spec=spec.relief,
            held_back=held_back,
            migrations=migrations,
            phase_seen=self._progress.seen(migrations),
            kubevirt_known=self.kubevirt.present is not None,
            limits=self.kubevirt.limits,
            migrations_silent_seconds=self.kubevirt.silent_seconds,
            destinations=frozenset(self.destinations),
        )

    def _case(self, node: str) -> NodeCase:
        obj = self.asking.objects.get(node)
        status = obj.status if obj is not None else AskingNode().status
        return NodeCase(
            name=node,
            request=status.request,
            critical=status.pressure.state == "Critical",
            stale=self.is_stale(node),
            observes=status.mode == "Observe",
            record=self.records.dated(node),
            pods=self.pods.get(node, _NO_PODS),
            answer=self.answers.get(node),
            uncancelled=self.uncancelled.get(node),
        )

    def _asking_changed(self, name: str, old: AskingNode | None, new: AskingNode | None) -> None:
        if new is None:
            self.records.gone(name)
            self.pods.pop(name, None)
            self._keep(name)
            self.wake()
            return
        self.reports.seen(name, "Report", new.status.observed_at)
        self.records.seen(new)
        if old is None or _plan_input(old) != _plan_input(new):
            self._keep(name)
            self.wake()

    def _heartbeat_changed(self, _: str, _old: AgentLease | None, new: AgentLease | None) -> None:
        if new is None:
            return
        name = new.metadata.name
        self.reports.seen(name, "Lease", new.spec.renew_time)
        if name not in self.nodes.objects:
            self._keep(name)

    def _node_changed(self, name: str, _old: KeptNode | None, new: KeptNode | None) -> None:
        if new is None:
            self.reports.forget(name)
        self._keep(name)

    def _overcommit_changed(self, _name: str, _old: object, _new: object) -> None:
        self._take_over()
        self.wake()

    def _take_over(self) -> None:
        read = read_overcommit(self.overcommits.objects.get(OVERCOMMIT_NAME))
        self._in_force = in_force(read, self._in_force.spec)

    def _keep(self, name: str) -> None:
        node, obj = self.nodes.objects.get(name), self.asking.objects.get(name)
        if node is not None and could_take_a_vm(node, obj.status.pressure if obj is not None else None):
            self.destinations.add(name)
        else:
            self.destinations.discard(name)
        self.unkept.add(name)
        self.unkept_some.set()


def _plan_input(obj: AskingNode) -> tuple[object, ...]:
    """The fields whose change triggers a plan, without the numbers, which change every second."""
    request = obj.status.request
    return (
        obj.metadata.uid,
        obj.status.pressure.state,
        request.id if request is not None else None,
        obj.status.relief,
        obj.status.mode,
    )
