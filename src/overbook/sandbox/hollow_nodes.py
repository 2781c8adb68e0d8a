"""Nodes without a machine: objects that are kept alive, with pods that run by saying so.

They do what the API sees of a kubelet: register the node, renew its lease, report the pods bound to it as
running, and finish their deletion. Nothing runs. A thousand of them cost little.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from overbook.core.pod import KubeStruct, ObjectMeta
from overbook.kube.client import Client
from overbook.kube.configuration import load_config
from overbook.kube.errors import ApiError
from overbook.kube.kinds import LEASES, NODES, Kind
from overbook.kube.objects import Node, NodeCondition
from overbook.kube.reflector import Reflector
from overbook.sandbox.work_queue import WorkQueue

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40
RENEW_SECONDS: Final = 15.0

_ADDRESS: Final = "127.0.0.1"


class HollowNode(msgspec.Struct, frozen=True):
    """What a node says of itself.

    Attributes:
        name: Its name.
        cpu: CPU capacity.
        memory: Memory capacity.
        allocatable_memory: What of it pods may have; None: all of it.
        pods: How many pods it takes.
        swap_bytes: Its swap; None says nothing about it, as an old kubelet does.
        labels: Beside those of every node.
    """

    name: str
    cpu: str = "8"
    memory: str = "32Gi"
    allocatable_memory: str | None = None
    pods: int = 250
    swap_bytes: int | None = None
    labels: Mapping[str, str] = {}


class _Container(KubeStruct, frozen=True):
    name: str = ""
    image: str = ""


class _Gate(KubeStruct, frozen=True):
    condition_type: str = ""


class _PodSpec(KubeStruct, frozen=True):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()
    readiness_gates: tuple[_Gate, ...] = ()


class _PodStatus(KubeStruct, frozen=True):
    phase: str = "Pending"
    conditions: tuple[NodeCondition, ...] = ()


class _Pod(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


_PODS: Final = Kind("", "v1", "pods", "Pod", True, _Pod)


class HollowNodes:
    """Plays the kubelets of some nodes.

    Args:
        kubeconfig: Path of a kubeconfig with an administrator's rights.
        nodes: The nodes. A node object that somebody deletes stays away until somebody makes it again.
        ending_seconds: How long a pod takes to end; it may be changed at any time.
        renew_seconds: Between two renewals of a lease; a node without one is given up after 50 s.
        workers: Requests at once.
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
        self._address_numbers = itertools.count(1)
        self._ending: dict[str, float] = {}
        self._pods_queue = WorkQueue(workers)
        self._nodes_queue = WorkQueue(workers)
        self._leases = WorkQueue(2)
        self._pods = Reflector(client, _PODS, field_selector="spec.nodeName!=", on_change=self._pod_changed)
        self._objects = Reflector(client, NODES, on_change=self._node_changed)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Register the nodes, then play kubelet until cancelled.

        Args:
            ready: Called once all nodes are registered.
        """
        try:
            for node in self._nodes.values():
                await self._register(node)
            await self._play(ready)
        finally:
            await self._client.close()

    async def _play(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._objects.run())
            group.create_task(self._pods.run())
            group.create_task(self._pods_queue.run(self._look_at_pod))
            group.create_task(self._nodes_queue.run(self._look_at_node))
            group.create_task(self._leases.run(self._renew))
            loop = asyncio.get_running_loop()
            for name in self._nodes:
                loop.call_later(random.uniform(0, self._renew_seconds), self._leases.add, name)  # noqa: S311 - a spread
            await self._objects.wait_synced()
            await self._pods.wait_synced()
            ready()

    async def _register(self, node: HollowNode) -> None:
        labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
        manifest = {"metadata": {"name": node.name, "labels": labels}, "status": _node_status(node)}
        try:
            await self._client.create(NODES, manifest)
        except ApiError as error:
            if error.status != 409:  # there from an earlier run
                raise

    def _node_changed(self, name: str, _old: Node | None, new: Node | None) -> None:
        if new is not None and name in self._nodes and not _is_ready(new):
            self._nodes_queue.add(name)

    async def _look_at_node(self, name: str) -> None:
        current = self._objects.objects.get(name)
        if current is not None and not _is_ready(current):
            patch = {"status": _node_status(self._nodes[name])}
            await self._client.strategic_patch(NODES, name, patch, subresource="status")

    async def _renew(self, name: str) -> float:
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": _now()}
        try:
            await self._client.merge_patch(LEASES, name, {"spec": spec}, LEASE_NAMESPACE)
        except ApiError as error:
            if error.status != 404:
                raise
            lease = {"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec}
            await self._client.create(LEASES, lease)
        return self._renew_seconds

    def _pod_changed(self, key: str, _old: _Pod | None, new: _Pod | None) -> None:
        if new is None:
            self._ending.pop(key, None)
        elif new.spec.node_name in self._nodes:
            self._pods_queue.add(key)

    async def _look_at_pod(self, key: str) -> float | None:
        pod = self._pods.objects.get(key)
        if pod is None:
            return None
        try:
            if pod.metadata.deletion_timestamp is not None:
                return await self._end(key, pod)
            if (status := self._news(pod)) is not None:
                patch = {"metadata": {"uid": pod.metadata.uid}, "status": status}
                meta = pod.metadata
                await self._client.strategic_patch(_PODS, meta.name, patch, meta.namespace, "status")
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or another pod of that name
                raise
        return None

    async def _end(self, key: str, pod: _Pod) -> float | None:
        now = asyncio.get_running_loop().time()
        left = self._ending.setdefault(key, now) + self.ending_seconds - now
        if left > 0:
            return left
        meta = pod.metadata
        await self._client.delete(_PODS, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
        return None

    def _news(self, pod: _Pod) -> dict[str, Any] | None:
        """What to report of a pod; None where that is known already."""
        holding = {each.type for each in pod.status.conditions if each.status == "True"}
        is_ready = all(gate.condition_type in holding for gate in pod.spec.readiness_gates)
        match pod.status.phase:
            case "Pending":
                return self._running(pod, is_ready=is_ready)
            case "Running" if is_ready != ("Ready" in holding):
                return {"conditions": [_condition("Ready", holds=is_ready)]}
        return None

    def _running(self, pod: _Pod, *, is_ready: bool) -> dict[str, Any]:
        number = next(self._address_numbers)
        address = f"10.{64 + number // 65_025 % 64}.{number // 255 % 255}.{number % 255 + 1}"
        now = _now()
        held = ("PodReadyToStartContainers", "Initialized", "ContainersReady")
        return {
            "phase": "Running",
            "hostIP": _ADDRESS,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": [
                *(_condition(name, holds=True) for name in held),
                _condition("Ready", holds=is_ready),
            ],
            "containerStatuses": [
                {
                    "name": container.name,
                    "image": container.image,
                    "imageID": "",
                    "containerID": f"hollow://{pod.metadata.uid}/{container.name}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": now}},
                }
                for container in pod.spec.containers
            ],
        }


def _node_status(node: HollowNode) -> dict[str, Any]:
    capacity = {"cpu": node.cpu, "memory": node.memory, "pods": str(node.pods)}
    versions: dict[str, Any] = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion"), ""
    )
    versions |= {"containerRuntimeVersion": "hollow://1", "kubeletVersion": "hollow"}
    versions |= {"operatingSystem": "linux", "architecture": "amd64"}
    if node.swap_bytes is not None:
        versions["swap"] = {"capacity": node.swap_bytes}
    troubles = ("MemoryPressure", "DiskPressure", "PIDPressure")
    return {
        "capacity": capacity,
        "allocatable": {**capacity, "memory": node.allocatable_memory or node.memory},
        "addresses": [
            {"type": "Hostname", "address": node.name},
            {"type": "InternalIP", "address": _ADDRESS},
        ],
        "conditions": [
            *({**_condition(name, holds=False), "lastHeartbeatTime": _now()} for name in troubles),
            {**_condition("Ready", holds=True), "lastHeartbeatTime": _now()},
        ],
        "nodeInfo": versions,
    }


def _condition(name: str, *, holds: bool) -> dict[str, str]:
    return {"type": name, "status": str(holds), "reason": "HollowNode", "lastTransitionTime": _now()}


def _is_ready(node: Node) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or ())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
