"""Nodes without a machine: Node objects that are kept alive, with pods that only report to run.

To the API they look like kubelets: they register the node, renew its lease, report its pods as running, and
finish their deletion. Nothing runs. A thousand of them need few resources.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from overbook.kube.api.backoff import SPREAD
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import LEASES, NODES
from overbook.kube.api.objects import Node
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.hollow_status import (
    PODS,
    HollowNode,
    HollowPod,
    is_ready,
    manifest,
    node_status,
    now,
    pod_status,
)
from overbook_sandbox.cluster.work_queue import WorkQueue

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40
RENEW_SECONDS: Final = 20.0


class HollowNodes:
    """The simulated kubelets of some nodes.

    Args:
        kubeconfig: The path of a kubeconfig with an administrator's rights.
        nodes: The nodes. A Node object that is deleted is not made again.
        ending_seconds: How long a pod takes to end; it may be changed at any time.
        renew_seconds: The time between two renewals of a lease; without one a node is given up after 50 s.
        workers: The number of requests at once.
    """

    def __init__(
        self,
        kubeconfig: str,
        nodes: Iterable[HollowNode],
        *,
        ending_seconds: float = 0.0,
        renew_seconds: float = RENEW_SECONDS,
        workers: int = 8,
    ) -> None:
        client = Client(load_config(kubeconfig), agent_name="hollow-nodes")
        self.ending_seconds = ending_seconds
        self._renew_seconds = renew_seconds
        self._client = client
        self._nodes = {node.name: node for node in nodes}
        self._workers = workers
        self._numbers = itertools.count(1)
        self._ending: dict[str, float] = {}
        self._pods_queue = WorkQueue(workers)
        self._nodes_queue = WorkQueue(workers)
        self._leases = WorkQueue(workers)
        self._pods = Reflector(client, PODS, field_selector="spec.nodeName!=", on_change=self._pod_changed)
        self._objects = Reflector(client, NODES, on_change=self._node_changed)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Register the nodes, then simulate their kubelets until cancelled.

        Args:
            ready: Called once all nodes are registered.
        """
        try:
            unregistered = iter(self._nodes.values())
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._register(unregistered))
            await self._simulate(ready)
        finally:
            await self._client.close()

    async def _simulate(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._objects.run())
            group.create_task(self._pods.run())
            group.create_task(self._pods_queue.run(self._handle_pod))
            group.create_task(self._nodes_queue.run(self._handle_node))
            group.create_task(self._leases.run(self._renew))
            loop = asyncio.get_running_loop()
            for name in self._nodes:
                loop.call_later(SPREAD.uniform(0, self._renew_seconds), self._leases.add, name)
            await self._objects.wait_synced()
            await self._pods.wait_synced()
            ready()

    async def _register(self, nodes: Iterator[HollowNode]) -> None:
        for node in nodes:
            try:
                await self._client.create(NODES, manifest(node))
            except ApiError as error:
                if error.status != 409:  # it exists from an earlier run
                    raise

    def _node_changed(self, name: str, _old: Node | None, new: Node | None) -> None:
        if new is not None and name in self._nodes and not is_ready(new):
            self._nodes_queue.add(name)

    async def _handle_node(self, name: str) -> None:
        current = self._objects.objects.get(name)
        if current is not None and not is_ready(current):
            patch = {"status": node_status(self._nodes[name])}
            await self._client.strategic_patch(NODES, name, patch, subresource="status")

    async def _renew(self, name: str) -> float:
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now()}
        try:
            await self._client.merge_patch(LEASES, name, {"spec": spec}, LEASE_NAMESPACE)
        except ApiError as error:
            if error.status != 404:
                raise
            lease = {"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec}
            await self._client.create(LEASES, lease)
        return self._renew_seconds

    def _pod_changed(self, key: str, _old: HollowPod | None, new: HollowPod | None) -> None:
        if new is None:
            self._ending.pop(key, None)
        elif new.spec.node_name in self._nodes:
            self._pods_queue.add(key)

    async def _handle_pod(self, key: str) -> float | None:
        pod = self._pods.objects.get(key)
        if pod is None:
            return None
        try:
            if pod.metadata.deletion_timestamp is not None:
                return await self._end(key, pod)
            if (status := pod_status(pod, next(self._numbers))) is not None:
                patch = {"metadata": {"uid": pod.metadata.uid}, "status": status}
                meta = pod.metadata
                await self._client.strategic_patch(PODS, meta.name, patch, meta.namespace, "status")
        except ApiError as error:
            if error.status not in (404, 409):  # deleted, or another pod of that name
                raise
        return None

    async def _end(self, key: str, pod: HollowPod) -> float | None:
        now = asyncio.get_running_loop().time()
        left = self._ending.setdefault(key, now) + self.ending_seconds - now
        if left > 0:
            return left
        meta = pod.metadata
        await self._client.delete(PODS, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
        return None
