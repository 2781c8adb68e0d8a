"""The controller's part of Node objects: the condition, and the removal of taints without an agent."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from overbook.controller.kinds import ASKING_NODES, KEPT_NODES
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.situation import ClusterSituation
from overbook.core.relief.node import condition_patch, taint_removal, wanted_condition
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError, is_status

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
"""How often the keeper looks for agents that no longer report."""
MOST_AT_ONCE: Final = 4
RETRY_SECONDS: Final = 5.0


class NodeKeeper:
    """The task that writes the condition on Node objects and removes stale taints.

    Args:
        client: to the API server.
        situation: the state of the cluster.
        leads: returns whether this process leads.
        metrics: the metrics.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        situation: ClusterSituation,
        leads: Callable[[], bool],
        metrics: ControllerMetrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._situation = situation
        self._leads = leads
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._stale: set[str] = set()

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
            names = situation.asking.objects.keys() | {
                name for name, node in situation.nodes.objects.items() if node.is_tainted
            }
            stale = {name for name in names if situation.is_stale(name)}
            changed = stale ^ self._stale
            for name in sorted(stale - self._stale):
                log.warning("node %s: its agent no longer reports", name)
            self._stale = stale
            situation.unkept.update(changed)
            if changed:
                situation.unkept_some.set()
                situation.wake()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _work(self) -> None:
        situation = self._situation
        while True:
            while not situation.unkept:
                situation.unkept_some.clear()
                await situation.unkept_some.wait()
            name = situation.unkept.pop()
            if not self._leads():
                continue
            try:
                await self._keep(name)
            except KubeError as error:
                self._metrics.failures["node"] += 1
                log.warning("node %s: %s", name, error)
                await asyncio.sleep(RETRY_SECONDS)
                situation.unkept.add(name)

    async def _keep(self, name: str) -> None:
        situation = self._situation
        node, obj = situation.nodes.objects.get(name), situation.asking.objects.get(name)
        if node is None:
            if obj is not None:
                await self._remove(name, obj.metadata.uid)
            return
        stale = name in self._stale
        pressure = obj.status.pressure if obj is not None else None
        wanted = wanted_condition(pressure, stale=stale)
        patch = condition_patch(node, wanted, self._wall_clock()) if wanted is not None else None
        if patch is not None:
            await self._client.strategic_patch(KEPT_NODES, name, patch, subresource="status")
            self._metrics.conditions_written += 1
        operations = taint_removal(node) if stale else []
        if operations:
            await self._untaint(name, operations)

    async def _untaint(self, name: str, operations: list[dict[str, object]]) -> None:
        try:
            await self._client.json_patch(KEPT_NODES, name, operations)
        except ApiError as error:
            if not is_status(error, 404, 422):
                raise
            # The taints have changed; the watch triggers the next attempt.
            log.info("node %s: its taints have changed meanwhile", name)
            return
        self._metrics.taints_cleared += 1
        log.warning("node %s: the taint is removed, because the node's agent no longer reports", name)

    async def _remove(self, name: str, uid: str | None) -> None:
        """Delete the ``OvercommitNode`` of a deleted node, for the case that it has no owner reference."""
        try:
            await self._client.get(KEPT_NODES, name)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            return  # the node was created again meanwhile
        try:
            await self._client.delete(ASKING_NODES, name, uid=uid)
        except ApiError as error:
            if not is_status(error, 404, 409):
                raise
        log.info("node %s no longer exists; its OvercommitNode is deleted", name)
