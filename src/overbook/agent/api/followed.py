"""The objects that the agent follows beside its pods: its own, its Node, namespaces, and ``Overcommit``."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from overbook.agent.bridge import Bridge
from overbook.core.api.overcommit import OVERCOMMIT_NAME, WrittenOvercommit, read_overcommit
from overbook.core.api.overcommit_node import OvercommitNode
from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from overbook.kube.api.client import Client
from overbook.kube.api.kinds import OVERCOMMIT_NODES, WRITTEN_OVERCOMMITS, Kind
from overbook.kube.api.reflector import Reflector
from overbook.node.kubelet.version import parse_minor


class NodeMetadata(KubeStruct, frozen=True):
    """The name, UID and version of a Node."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class NodeTaints(KubeStruct, frozen=True):
    """The taints in a Node's spec, with all their fields: none may be lost when the list is written back."""

    taints: tuple[dict[str, Any], ...] | None = None


class NodeVersions(KubeStruct, frozen=True):
    """The version of a Node's kubelet."""

    kubelet_version: str | None = None


class NodeReported(KubeStruct, frozen=True):
    """The part of a Node's status that the agent reads."""

    node_info: NodeVersions | None = None


class TaintedNode(KubeStruct, frozen=True):
    """The part of a Node that its taints need, and the version of its kubelet."""

    metadata: NodeMetadata = NodeMetadata()
    spec: NodeTaints = NodeTaints()
    status: NodeReported | None = None

    @property
    def kubelet_minor(self) -> int | None:
        """The minor version of the kubelet 1.x; ``None``: the Node does not say."""
        info = self.status.node_info if self.status else None
        return parse_minor(info.kubelet_version or "") if info else None


class _SwapAnnotation(KubeStruct, frozen=True):
    swap: str | None = msgspec.field(default=None, name=SWAP_ANNOTATION)


class _NamespaceMetadata(NodeMetadata, frozen=True):
    annotations: _SwapAnnotation | None = None


class _Namespace(KubeStruct, frozen=True):
    metadata: _NamespaceMetadata = _NamespaceMetadata()


TAINTED_NODES: Final = Kind("", "v1", "nodes", "Node", False, TaintedNode)
_NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, _Namespace)
"""Only names and one annotation are decoded, so that a thousand namespaces take little memory."""


class Followed:
    """Follows the objects, and updates the bridge's news when they change.

    Args:
        client: to the API server.
        node_name: this node.
        bridge: to the tick's thread.
    """

    def __init__(self, client: Client, node_name: str, bridge: Bridge) -> None:
        self._bridge = bridge
        self._name = node_name
        only = f"metadata.name={node_name}"
        self._nodes = Reflector(client, TAINTED_NODES, field_selector=only, on_change=self._node_changed)
        self._own = Reflector(client, OVERCOMMIT_NODES, field_selector=only, on_change=self._own_changed)
        self._overcommits = Reflector(
            client,
            WRITTEN_OVERCOMMITS,
            field_selector=f"metadata.name={OVERCOMMIT_NAME}",
            on_change=self._overcommit_changed,
        )
        self._namespaces = Reflector(client, _NAMESPACES, on_change=self._namespace_changed)
        self._annotated: dict[str, dict[str, str]] = {}
        self._reconnect = asyncio.Event()
        self.on_own: Callable[[], None] = lambda: None
        """Called when this node's object has changed."""
        self.on_node: Callable[[], None] = lambda: None
        """Called when the Node has changed."""

    def node(self) -> TaintedNode | None:
        """The Node object; ``None``: it does not exist, or is not known yet."""
        return self._nodes.objects.get(self._name)

    async def namespaces_known(self) -> None:
        """Wait until the annotations of all namespaces are known."""
        await self._namespaces.wait_synced()

    def reconnect(self) -> None:
        """Connect again, because the connection is dead and the watches would notice that late."""
        self._reconnect.set()

    async def run(self) -> None:
        """Follow all objects until cancelled."""
        reflectors = (self._own, self._overcommits, self._nodes, self._namespaces)
        while True:
            await until(self._reconnect, *(each.run() for each in reflectors), self._first_lists())

    async def _first_lists(self) -> None:
        """Report after the first list which objects do not exist: absence does not come as a change."""
        await self._own.wait_synced()
        self._bridge.update_own_known()
        self.on_own()
        await self._overcommits.wait_synced()
        self._tell_overcommit()

    def _own_changed(self, _: str, _old: OvercommitNode | None, new: OvercommitNode | None) -> None:
        self._bridge.update_own(
            new.status if new is not None else None,
            (new.metadata.annotations or {}) if new is not None else {},
        )
        self.on_own()

    def _overcommit_changed(
        self, _: str, _old: WrittenOvercommit | None, _new: WrittenOvercommit | None
    ) -> None:
        self._tell_overcommit()

    def _tell_overcommit(self) -> None:
        self._bridge.update_overcommit(read_overcommit(self._overcommits.objects.get(OVERCOMMIT_NAME)))

    def _node_changed(self, _: str, _old: TaintedNode | None, new: TaintedNode | None) -> None:
        self._bridge.update_node_uid((new.metadata.uid or "") if new is not None else "")
        if new is not None:
            self._bridge.update_kubelet_minor(new.kubelet_minor)
        self.on_node()

    def _namespace_changed(self, name: str, _old: _Namespace | None, new: _Namespace | None) -> None:
        annotation = new.metadata.annotations.swap if new is not None and new.metadata.annotations else None
        if annotation != self._annotated.get(name, {}).get(SWAP_ANNOTATION):
            self._annotated.pop(name, None)
            if annotation is not None:
                self._annotated[name] = {SWAP_ANNOTATION: annotation}
            self._bridge.update_namespaces(dict(self._annotated))


async def until(event: asyncio.Event, *works: Coroutine[Any, Any, object]) -> None:
    """Run several works at the same time until an event is set; then cancel them.

    An exception of one of them ends all of them and is raised.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await event.wait()
        event.clear()
        for task in tasks:
            task.cancel()
