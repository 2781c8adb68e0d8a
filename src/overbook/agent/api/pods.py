"""This node's pods, from a watch of just them."""

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
"""Changes come in bursts, the first two hundred at once: they are told together."""

NAMESPACES_SECONDS: Final = 5.0


class NodePods:
    """Leaves the pods that may have cgroups here in the bridge.

    Args:
        client: to the API server.
        node_name: this node; pods of others are never asked for.
        bridge: to the tick's thread.
        namespaces_known: waits until it is known what their namespaces say of them. Without it limits would
            be written at the start that are changed a moment later.
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
    def heard_at(self) -> float | None:
        """When the watch last heard anything, on the monotonic clock."""
        return self._reflector.last_contact

    def reconnect(self) -> None:
        """The connection proved dead: do not wait until the watch notices."""
        self._reconnect.set()

    async def run(self) -> None:
        """Follow them until cancelled."""
        while True:
            await until(self._reconnect, self._reflector.run(), self._told_first())

    def tell(self) -> None:
        """Leave what the watch knows."""
        self._timer = None
        if self._complete:
            self._bridge.update_pods(by_cgroup(self._known.values()))

    async def _told_first(self) -> None:
        """A node without pods is known, too."""
        await self._reflector.wait_synced()
        with contextlib.suppress(TimeoutError):  # better pods without their namespaces than none
            async with asyncio.timeout(NAMESPACES_SECONDS):
                await self._namespaces_known()
        self._complete = True
        self.tell()

    def _changed(self, key: str, _: Pod | None, new: Pod | None) -> None:
        if new is None:
            self._known.pop(key, None)
        else:
            pod = as_here(new)
            if self._known.get(key) == pod:
                return  # it differs in nothing that is looked at: whoever holds the old one may go on
            self._known[key] = pod
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.tell)


def as_here(pod: Pod) -> Pod:
    """A pod by the UID of its cgroup, and without its version, which changes when nothing else does."""
    metadata = msgspec.structs.replace(pod.metadata, uid=pod.cgroup_uid, resource_version=None)
    return msgspec.structs.replace(pod, metadata=metadata)


def by_cgroup(pods: Iterable[Pod]) -> Mapping[str, Pod]:
    """Those of the pods that may have cgroups here, by UID."""
    return {pod.metadata.uid: pod for pod in pods if pod.metadata.uid and not pod.has_ended}
