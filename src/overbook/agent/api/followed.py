"""The objects that the agent follows beside its pods: its own, its Node, namespaces, and ``Overcommit``.

Each watch is a connection that an API server keeps for each node. So this node's object and its Node are only
watched while the node is relieved, when others write to them; on a calm node they are read now and then.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from overbook.agent.bridge import Bridge
from overbook.core.api.overcommit import OVERCOMMIT_NAME, WrittenOvercommit, read_overcommit
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY, OvercommitNode
from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.overcommit.swap import SWAP_LABEL
from overbook.core.relief.record import in_flight
from overbook.kube.api.backoff import SPREAD, Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError
from overbook.kube.api.kinds import OVERCOMMIT_NODES, WRITTEN_OVERCOMMITS, Kind
from overbook.kube.api.reflector import Reflector
from overbook.node.kubelet.version import parse_minor

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 600.0
"""The time between two looks at the objects of a calm node: a kubelet's version changes seldom."""
NO_NODE_SECONDS: Final = 10.0
"""The same while there is no Node."""


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

    @property
    def is_tainted(self) -> bool:
        """Whether the Node has Overbook's taint."""
        return any(map(is_overbooks, self.spec.taints or ()))


def is_overbooks(taint: dict[str, Any]) -> bool:
    """Whether a taint is Overbook's."""
    return taint.get("key") == TAINT_KEY and taint.get("effect") == TAINT_EFFECT


class _SwapLabel(KubeStruct, frozen=True):
    swap: str | None = msgspec.field(default=None, name=SWAP_LABEL)


class _NamespaceMetadata(NodeMetadata, frozen=True):
    labels: _SwapLabel | None = None


class _Namespace(KubeStruct, frozen=True):
    metadata: _NamespaceMetadata = _NamespaceMetadata()


TAINTED_NODES: Final = Kind("", "v1", "nodes", "Node", False, TaintedNode)
_NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, _Namespace)
"""Only names and one label are decoded. The API server sends only namespaces that have it."""


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
        self._namespaces = Reflector(
            client, _NAMESPACES, label_selector=SWAP_LABEL, on_change=self._namespace_changed
        )
        self._labelled: dict[str, dict[str, str]] = {}
        self._reconnect = asyncio.Event()
        self._relieving = False
        self._relief_changed = asyncio.Event()
        self.on_own: Callable[[], None] = lambda: None
        """Called when this node's object has changed."""
        self.on_node: Callable[[], None] = lambda: None
        """Called when the Node has changed."""

    def node(self) -> TaintedNode | None:
        """The Node object; ``None``: it does not exist, or is not known yet."""
        return self._nodes.objects.get(self._name)

    async def namespaces_known(self) -> None:
        """Wait until the labels of all namespaces are known."""
        await self._namespaces.wait_synced()

    def look_whether_relieved(self) -> None:
        """Begin or end the watches of this node's object and its Node, as the last report demands."""
        report, own, node = self._bridge.report, self._bridge.news.own, self.node()
        relieving = (
            (report is not None and (report.tainted or report.status.request is not None))
            or (own is not None and own.relief is not None and in_flight(own.relief))
            or (node is not None and node.is_tainted)
        )
        if relieving != self._relieving:
            self._relieving = relieving
            self._relief_changed.set()

    def wrote(self, written: OvercommitNode) -> None:
        """Take over this node's object from the answer to a write, while no watch does."""
        if not self._relieving and self._own.synced:
            self._own_changed("", None, written)

    def reconnect(self) -> None:
        """Connect again, because the connection is dead and the watches would notice that late."""
        self._reconnect.set()

    async def run(self) -> None:
        """Follow all objects until cancelled."""
        while True:
            await until(
                self._reconnect,
                self._overcommits.run(),
                self._namespaces.run(),
                self._first_lists(),
                self._own_and_node(),
            )

    async def _own_and_node(self) -> None:
        """Watch this node's object and its Node while the node is relieved; otherwise look now and then."""
        while True:
            works = (self._own.run(), self._nodes.run()) if self._relieving else (self._look_now_and_then(),)
            await until(self._relief_changed, *works)

    async def _look_now_and_then(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._own.read_once()
                await self._nodes.read_once()
            except KubeError as error:
                log.info("%s and its Node: %s", self._name, error)
                await asyncio.sleep(backoff.next_seconds(error))
            else:
                backoff.reset()
                seconds = LOOK_SECONDS if self.node() is not None else NO_NODE_SECONDS
                await asyncio.sleep(seconds * SPREAD.uniform(0.8, 1.2))

    async def _first_lists(self) -> None:
        """Report after the first list which objects do not exist: absence does not come as a change."""
        await self._own.wait_synced()
        self._bridge.update_own_known()
        self.on_own()
        await self._overcommits.wait_synced()
        self._tell_overcommit()

    def _own_changed(self, _: str, _old: OvercommitNode | None, new: OvercommitNode | None) -> None:
        self._bridge.update_own(new.status if new is not None else None)
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
        word = new.metadata.labels.swap if new is not None and new.metadata.labels else None
        if word != self._labelled.get(name, {}).get(SWAP_LABEL):
            self._labelled.pop(name, None)
            if word is not None:
                self._labelled[name] = {SWAP_LABEL: word}
            self._bridge.update_namespaces(dict(self._labelled))


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
