"""The agent's notices, sent as events about its Node and its pods."""

from typing import NoReturn

from overbook.agent.bridge import Bridge, Notice
from overbook.core.api.overcommit_node import AGENT_MANAGER
from overbook.kube.api.client import Client
from overbook.kube.api.events import EventRecorder
from overbook.kube.api.objects import ObjectReference


class EventSender:
    """Takes notices from the bridge and sends them as events while the API server answers.

    Args:
        client: to the API server.
        node_name: this node.
        bridge: holds the notices.
    """

    def __init__(self, client: Client, node_name: str, bridge: Bridge) -> None:
        self._name = node_name
        self._bridge = bridge
        self._recorder = EventRecorder(client, component=AGENT_MANAGER, host=node_name)
        self._dropped = 0

    def take(self) -> None:
        """Take the notices from the bridge."""
        while self._bridge.notices:
            notice = self._bridge.notices.popleft()
            self._recorder.record(
                self._regarding(notice),
                notice.reason,
                notice.message,
                type="Warning" if notice.warning else "Normal",
                same_as=notice.reason if notice.repeats else "",
            )
        self._bridge.waiting = self._recorder.pending
        self._bridge.dropped += self._recorder.dropped - self._dropped
        self._dropped = self._recorder.dropped

    async def run(self) -> NoReturn:
        """Send the events until cancelled."""
        self.take()
        await self._recorder.run()

    def _regarding(self, notice: Notice) -> ObjectReference:
        if notice.pod is None:
            # `kubectl describe node` looks for the node's name in place of its UID.
            return ObjectReference(api_version="v1", kind="Node", name=self._name, uid=self._name)
        uid, namespace, name = notice.pod
        return ObjectReference(api_version="v1", kind="Pod", namespace=namespace, name=name, uid=uid)
