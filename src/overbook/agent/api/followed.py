"""What the agent follows beside its pods: its own object, its Node, namespaces, and ``Overcommit``."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from overbook.agent.bridge import Bridge
from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit
from overbook.core.api.overcommit_node import OvercommitNode
from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from overbook.kube.api.client import Client
from overbook.kube.api.kinds import OVERCOMMIT_NODES, OVERCOMMITS, Kind
from overbook.kube.api.reflector import Reflector


class NodeMetadata(KubeStruct, frozen=True):
    """Who a node is, and as of when."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class NodeTaints(KubeStruct, frozen=True):
    """Of a node's spec. A taint is kept as it is: none of its fields may be lost when it is written back."""

    taints: tuple[dict[str, Any], ...] | None = None


class TaintedNode(KubeStruct, frozen=True):
    """A node, as far as it is tainted."""

    metadata: NodeMetadata = NodeMetadata()
    spec: NodeTaints = NodeTaints()


class _SwapAnnotation(KubeStruct, frozen=True):
    swap: str | None = msgspec.field(default=None, name=SWAP_ANNOTATION)


class _NamespaceMetadata(NodeMetadata, frozen=True):
    annotations: _SwapAnnotation | None = None


class _Namespace(KubeStruct, frozen=True):
    metadata: _NamespaceMetadata = _NamespaceMetadata()


TAINTED_NODES: Final = Kind("", "v1", "nodes", "Node", False, TaintedNode)
_NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, _Namespace)
"""Of a thousand namespaces all but names and one annotation is left out before it takes memory."""


class Followed:
    """Keeps the bridge's news up to date.

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
            OVERCOMMITS,
            field_selector=f"metadata.name={OVERCOMMIT_NAME}",
            on_change=self._overcommit_changed,
        )
        self._namespaces = Reflector(client, _NAMESPACES, on_change=self._namespace_changed)
        self._annotated: dict[str, dict[str, str]] = {}
        self._reconnect = asyncio.Event()
        self.on_own: Callable[[], None] = lambda: None
        """Called when this node's object changed."""
        self.on_node: Callable[[], None] = lambda: None
        """Called when the Node changed."""

    def node(self) -> TaintedNode | None:
        """The Node object; ``None``: there is none, or it is not known yet."""
        return self._nodes.objects.get(self._name)

    async def namespaces_known(self) -> None:
        """Wait until the annotations of all namespaces are known."""
        await self._namespaces.wait_synced()

    def reconnect(self) -> None:
        """The connection proved dead: do not wait until the watches notice."""
        self._reconnect.set()

    async def run(self) -> None:
        """Follow everything until cancelled."""
        reflectors = (self._own, self._overcommits, self._nodes, self._namespaces)
        while True:
            await until(self._reconnect, *(each.run() for each in reflectors), self._told_first())

    async def _told_first(self) -> None:
        """An object that is not there is no change: say that it is known not to be."""
        await self._own.wait_synced()
        self._bridge.update_own_known()
        self.on_own()
        await self._overcommits.wait_synced()
        self._bridge.update_overcommit_known()

    def _own_changed(self, _: str, _old: OvercommitNode | None, new: OvercommitNode | None) -> None:
        self._bridge.update_own(
            new.status if new is not None else None,
            (new.metadata.annotations or {}) if new is not None else {},
        )
        self.on_own()

    def _overcommit_changed(self, _: str, _old: Overcommit | None, new: Overcommit | None) -> None:
        self._bridge.update_overcommit(new.spec if new is not None else None)

    def _node_changed(self, _: str, _old: TaintedNode | None, new: TaintedNode | None) -> None:
        self._bridge.update_node_uid((new.metadata.uid or "") if new is not None else "")
        self.on_node()

    def _namespace_changed(self, name: str, _old: _Namespace | None, new: _Namespace | None) -> None:
        said = new.metadata.annotations.swap if new is not None and new.metadata.annotations else None
        if said != self._annotated.get(name, {}).get(SWAP_ANNOTATION):
            self._annotated.pop(name, None)
            if said is not None:
                self._annotated[name] = {SWAP_ANNOTATION: said}
            self._bridge.update_namespaces(dict(self._annotated))


async def until(event: asyncio.Event, *works: Coroutine[Any, Any, object]) -> None:
    """Have works done at the same time until an event comes; then they are cancelled.

    What one of them raises ends all of them and is raised.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await event.wait()
        event.clear()
        for task in tasks:
            task.cancel()
