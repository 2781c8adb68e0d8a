"""This node's pods, from a watch of them alone."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import msgspec

from overbook.agent.api.followed import until
from overbook.agent.bridge import Bridge
from overbook.core.kubernetes.pod import Pod
from overbook.kube.api.client import Client
from overbook.kube.api.kinds import PODS
from overbook.kube.api.reflector import Reflector

GATHER_SECONDS: Final = 0.05
"""How long changes are gathered: they come in bursts, the first with all pods of the node."""

NAMESPACES_SECONDS: Final = 5.0


class NodePods:
    """Writes the pods that may have cgroups here into the bridge.

    Args:
        client: to the API server.
        node_name: this node; pods of other nodes are never requested.
        bridge: to the tick's thread.
        namespaces_known: waits until the namespaces' labels are known. Without it limits would be
            written at the start and changed a moment later.
    """

    def __init__(
        self,
        client: Client,
        node_name: str,
        bridge: Bridge,
        namespaces_known: Callable[[], Awaitable[None]],
    ) -> None:
        self._bridge = bridge
        self._namespaces_known = namespaces_known
        self._complete = False
        self._reflector = Reflector(
            client, PODS, field_selector=f"spec.nodeName={node_name}", on_change=self._changed
        )
        self._known: dict[str, Pod] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._reconnect = asyncio.Event()

    @property
    def last_contact(self) -> float | None:
        """When the watch last received anything, on the monotonic clock; ``None``: never."""
        return self._reflector.last_contact

    def reconnect(self) -> None:
        """Connect again, because the connection is dead and the watch would notice that late."""
        self._reconnect.set()

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        while True:
            await until(self._reconnect, self._reflector.run(), self._first_list())

    def publish(self) -> None:
        """Write the pods that the watch knows into the bridge."""
        self._timer = None
        if self._complete:
            self._bridge.update_pods(by_cgroup(self._known.values()))

    async def _first_list(self) -> None:
        """Publish the first list even if it is empty: a node may have no pods."""
        await self._reflector.wait_synced()
        with contextlib.suppress(TimeoutError):  # pods without their namespaces are better than none
            async with asyncio.timeout(NAMESPACES_SECONDS):
                await self._namespaces_known()
        self._complete = True
        self.publish()

    def _changed(self, key: str, _: Pod | None, new: Pod | None) -> None:
        if new is None:
            self._known.pop(key, None)
        else:
            pod = as_here(new)
            if self._known.get(key) == pod:
                return  # nothing that the agent reads has changed, so the old object stays valid
            self._known[key] = pod
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.publish)


def as_here(pod: Pod) -> Pod:
    """A pod with the UID of its cgroup, and without its version, which changes more often than the rest."""
    metadata = msgspec.structs.replace(pod.metadata, uid=pod.cgroup_uid, resource_version=None)
    return msgspec.structs.replace(pod, metadata=metadata)


def by_cgroup(pods: Iterable[Pod]) -> Mapping[str, Pod]:
    """The pods that may have cgroups here, by UID."""
    return {pod.metadata.uid: pod for pod in pods if pod.metadata.uid and not pod.has_ended}
