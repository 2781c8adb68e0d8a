"""One run of the thread for the API: one client, and a task for each thing that is followed or written."""

import asyncio
from functools import partial
from typing import Final

from overbook import __version__
from overbook.agent.api.events import EventSender
from overbook.agent.api.followed import Followed
from overbook.agent.api.heartbeat import Heartbeat
from overbook.agent.api.kubelet import KubeletPods
from overbook.agent.api.kubelet_configz import KubeletConfigz
from overbook.agent.api.pods import NodePods
from overbook.agent.api.publisher import Publisher
from overbook.agent.api.tainter import Tainter
from overbook.agent.api.thread import Stopping
from overbook.agent.bridge import Bridge
from overbook.agent.settings import AgentSettings
from overbook.core.api.group import node_namespace
from overbook.core.api.heartbeat import HEARTBEAT_SECONDS
from overbook.core.api.overcommit_node import AGENT_MANAGER, OvercommitNode
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.find_cluster import load_config

REQUEST_SECONDS: Final = 5.0
"""An API server that needs longer for one small object counts as not answering."""
LAST_WRITES_SECONDS: Final = 6.0


class Worker:
    """Works with the API server until stopped.

    Args:
        settings: how to reach the API server, the name of this node, and how often to report.
        bridge: to the tick's thread.
        instance: this agent's instance.

    Raises:
        InvalidInput: no setting says where the API server is.
    """

    def __init__(self, settings: AgentSettings, bridge: Bridge, instance: str) -> None:
        self._config: ClusterConfig = load_config(settings.kubeconfig, settings.context)
        self._settings = settings
        self._bridge = bridge
        self._instance = instance

    async def run(self, stopping: Stopping) -> None:
        """Run all tasks; when stopped, write the last report and the taint before returning.

        Args:
            stopping: whether to stop; called whenever the bridge nudges.
        """
        loop = asyncio.get_running_loop()
        nudged = asyncio.Event()
        client = Client(
            self._config, agent_name=f"{AGENT_MANAGER}/{__version__}", timeout_seconds=REQUEST_SECONDS
        )
        try:
            self._bridge.attach(partial(loop.call_soon_threadsafe, nudged.set))
            await self._work(client, nudged, stopping)
        finally:
            self._bridge.attach(None)
            await client.close()

    async def _work(self, client: Client, nudged: asyncio.Event, stopping: Stopping) -> None:
        name, bridge = self._settings.node_name, self._bridge
        followed = Followed(client, name, bridge)
        pods = NodePods(client, name, bridge, followed.namespaces_known)
        publisher = Publisher(client, name, self._instance, bridge, self._settings.heartbeat_seconds)
        heartbeat = Heartbeat(
            client,
            node_namespace(self._settings.own_namespace),
            name,
            self._instance,
            bridge,
            min(HEARTBEAT_SECONDS, self._settings.heartbeat_seconds),
            publisher.attempts,
        )
        tainter = Tainter(client, name, bridge)
        events = EventSender(client, name, bridge)
        kubelet = KubeletPods(self._config, self._settings.kubelet, bridge, pods)
        configz = KubeletConfigz(self._config, self._settings.kubelet, bridge)

        def own_changed() -> None:
            publisher.wake()
            followed.look_whether_relieved()

        def node_changed() -> None:
            tainter.wake()
            followed.look_whether_relieved()

        def wrote(written: OvercommitNode) -> None:
            followed.wrote(written)
            heartbeat.wake()

        followed.on_own, followed.on_node, publisher.on_written = own_changed, node_changed, wrote
        publisher.attempts.on_silence = heartbeat.attempts.on_silence = (followed.reconnect, pods.reconnect)
        followed.look_whether_relieved()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each)
                for each in (
                    followed.run(),
                    pods.run(),
                    publisher.run(),
                    heartbeat.run(),
                    tainter.run(followed.node),
                    events.run(),
                    kubelet.run(),
                    configz.run(),
                )
            ]
            while not stopping():
                await nudged.wait()
                nudged.clear()
                publisher.wake()
                heartbeat.wake()
                tainter.wake()
                followed.look_whether_relieved()
                events.take()
            for task in tasks:
                task.cancel()
        try:
            async with asyncio.timeout(LAST_WRITES_SECONDS):
                await asyncio.gather(publisher.write_last(), tainter.write_last())
        except TimeoutError:
            return  # ApiThread.stop logs it
