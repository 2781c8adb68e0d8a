"""The controller's part of Node objects: the condition, and the removal of taints without an agent."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from overbook.controller.kinds import AGENT_LEASES, ASKING_NODES, KEPT_NODES
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.pauses import Pauses
from overbook.controller.situation import ClusterSituation
from overbook.core.relief.node import condition_patch, taint_removal, wanted_condition
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError, is_status
from overbook.kube.api.kinds import Kind

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
"""How often the keeper looks for agents that no longer report."""
MOST_AT_ONCE: Final = 4
MOST_BACKOFF_SECONDS: Final = 300.0
"""The longest pause before a node is tried again that cannot be written: a policy may protect it for good."""


class NodeKeeper:
    """The task that writes the condition on Node objects and removes stale taints.

    Args:
        client: to the API server.
        situation: the state of the cluster.
        leads: returns whether this process leads.
        metrics: the metrics.
        wall_clock: seconds since the epoch.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        client: Client,
        situation: ClusterSituation,
        leads: Callable[[], bool],
        metrics: ControllerMetrics,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._situation = situation
        self._leads = leads
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._clock = clock
        self._stale: set[str] = set()
        self._pauses = Pauses(SWEEP_SECONDS, MOST_BACKOFF_SECONDS, clock)
        self._untainted: dict[str, float] = {}
        self._again: set[str] = set()
        """Nodes to look at in the next sweep, and sooner if they change."""

    async def run(self) -> None:
        """Work until cancelled."""
        await self._situation.wait_known()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep())
            for _ in range(MOST_AT_ONCE):
                tasks.create_task(self._work())

    async def _sweep(self) -> None:
        """Check periodically for agents that no longer report, which no watch can show."""
        while True:
            situation = self._situation
            try:
                await situation.listen()
            except KubeError:
                pass  # nothing was heard, and nothing follows from that
            except Exception:  # a defect must not end the leadership
                self._metrics.failures["defect"] += 1
                log.exception("the watch of the reports could not be compared")
            names = situation.asking.objects.keys() | {
                name for name, node in situation.nodes.objects.items() if node.is_tainted
            }
            stale = {name for name in names if situation.is_stale(name)}
            changed = stale ^ self._stale
            for name in sorted(stale - self._stale):
                log.warning("node %s: its agent no longer reports", name)
            self._stale = stale
            if changed:
                situation.wake()
            self._forget()
            due = self._pauses.over() | self._again
            self._again = set()
            if changed or due:
                situation.unkept.update(changed | due)
                situation.unkept_some.set()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _work(self) -> None:
        situation = self._situation
        while True:
            while not situation.unkept:
                situation.unkept_some.clear()
                await situation.unkept_some.wait()
            name = situation.unkept.pop()
            if not self._leads() or self._pauses.hold(name):
                continue
            self._pauses.begin(name)
            try:
                await self._keep(name)
            except KubeError as error:
                self._later(name, "node", error)
                log.warning("node %s: %s", name, error)
            except Exception as error:  # a defect for one node must not end the work for the others
                self._later(name, "defect", error)
                log.exception("node %s: it could not be kept right", name)
            else:
                self._pauses.succeeded(name)

    def _later(self, name: str, kind: str, error: Exception) -> None:
        """Try a node again after a pause; meanwhile the workers do others."""
        self._metrics.failures[kind] += 1
        self._pauses.failed(name, error)

    def _forget(self) -> None:
        """Forget the nodes that are gone."""
        known = self._situation.nodes.objects.keys() | self._situation.asking.objects.keys()
        self._pauses.keep_only(known)
        for name in self._untainted.keys() - known:
            del self._untainted[name]

    async def _keep(self, name: str) -> None:
        situation = self._situation
        node, obj = situation.nodes.objects.get(name), situation.asking.objects.get(name)
        if node is None:
            await self._remove(name)
            return
        stale = name in self._stale
        pressure = obj.status.pressure if obj is not None else None
        wanted = wanted_condition(pressure, stale=stale)
        patch = condition_patch(node, wanted, self._wall_clock())
        if patch is not None:
            await self._client.strategic_patch(KEPT_NODES, name, patch, subresource="status")
            self._metrics.conditions_written += 1
        operations = taint_removal(node) if stale else []
        if operations and self._may_untaint(name):
            await self._untaint(name, operations)

    def _may_untaint(self, name: str) -> bool:
        """Whether a node's taint may be removed: once in the time after which an agent is silent.

        An agent whose reports are refused, and its taints are not, would set it again each time.
        """
        again = self._untainted.get(name, float("-inf")) + self._situation.spec.relief.stale_seconds
        if self._clock() < again:
            self._pauses.rest_until(name, again)
            return False
        return True

    async def _untaint(self, name: str, operations: list[dict[str, object]]) -> None:
        try:
            await self._client.json_patch(KEPT_NODES, name, operations)
        except ApiError as error:
            if not (is_status(error, 422) or error.is_not_found):
                raise
            # The taints have changed, so that the watch brings them; or a policy refuses, and nothing comes.
            log.info("node %s: its taints have changed meanwhile, or may not be: %s", name, error)
            self._again.add(name)
            return
        self._untainted[name] = self._clock()
        self._metrics.taints_cleared += 1
        log.warning("node %s: the taint is removed, because the node's agent no longer reports", name)

    async def _remove(self, name: str) -> None:
        """Delete the ``OvercommitNode`` and the Lease of a deleted node."""
        obj = self._situation.asking.objects.get(name)
        lease = self._situation.lease_of(name)
        if obj is None and lease is None:
            return
        try:
            await self._client.get(KEPT_NODES, name)
        except ApiError as error:
            if not error.is_not_found:
                raise
        else:
            return  # the node was created again meanwhile
        if obj is not None:
            await self._delete(ASKING_NODES, name, obj.metadata.uid)
        if lease is not None:
            await self._delete(AGENT_LEASES, name, lease.metadata.uid, lease.metadata.namespace)
        log.info("node %s no longer exists; what its agent wrote is deleted", name)

    async def _delete(
        self, kind: Kind[Any], name: str, uid: str | None, namespace: str | None = None
    ) -> None:
        try:
            await self._client.delete(kind, name, namespace, uid=uid)
        except ApiError as error:
            if not is_status(error, 404, 409):
                raise
