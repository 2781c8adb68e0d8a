"""This node's pods from its kubelet, while the API server does not answer."""

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec

from overbook.agent.api.pods import NodePods, as_here, by_cgroup
from overbook.agent.bridge import Bridge
from overbook.agent.settings import KubeletAccess
from overbook.core.kubernetes.pod import Pod
from overbook.core.say_once import SayOnce
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import KubeError

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 10.0
"""How long the API server has not answered before the kubelet is asked."""
EVERY_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 5.0


class _PodList(msgspec.Struct, frozen=True):
    items: tuple[Pod, ...] | None = None


class KubeletPods:
    """Replaces the watch of pods while the API server does not answer.

    The kubelet lets the API server check the agent's token and rights, and remembers the answer for some
    minutes. So it answers if only the agent cannot reach the API server, and for a while if nothing can.

    Args:
        config: the API server's configuration, with the agent's token and the certificate authority.
        access: how to reach the kubelet.
        bridge: to the tick's thread.
        pods: the watch.
    """

    def __init__(self, config: ClusterConfig, access: KubeletAccess, bridge: Bridge, pods: NodePods) -> None:
        self._access = access
        self._bridge = bridge
        self._pods = pods
        self._asked_at = 0.0
        self._standing_in = False
        complaint = "the kubelet does not list its pods: %s; the pods last known stay in use"
        self._complain = SayOnce(partial(log.warning, complaint))
        self._config = kubelet_access(config, access)

    async def run(self) -> None:
        """Ask the kubelet while the API server does not answer, until cancelled."""
        if not self._access.server:
            return
        while True:
            await asyncio.sleep(1.0)
            if self._standing_in and (self._pods.last_contact or 0.0) > self._asked_at:
                self._standing_in = False
                self._pods.publish()
                log.info("pods come from the API server again")
            now = self._bridge.contact.clock()
            silent = self._bridge.contact.unreachable_seconds() >= SILENCE_SECONDS
            if silent and now - self._asked_at >= EVERY_SECONDS:
                self._asked_at = now
                await self._ask()

    async def _ask(self) -> None:
        try:
            client = Client(self._config, agent_name="overbook-agent", timeout_seconds=REQUEST_SECONDS)
            try:
                pods = _DECODER.decode(await client.raw("GET", "/pods")).items or ()
            finally:
                await client.close()
            if not self._standing_in:
                self._standing_in = True
                log.warning("the API server does not answer; the kubelet lists %d pods", len(pods))
            self._bridge.update_pods(by_cgroup([as_here(pod) for pod in pods]), "kubelet")
        except (KubeError, msgspec.DecodeError) as error:
            self._complain(str(error))


def kubelet_access(config: ClusterConfig, access: KubeletAccess) -> ClusterConfig:
    """The configuration for the kubelet: the agent's own token, the kubelet's address."""
    own_authority = access.ca_file or access.insecure_skip_tls_verify
    return msgspec.structs.replace(
        config,
        server=access.server,
        source=f"kubelet {access.server}",
        ca_file=access.ca_file if own_authority else config.ca_file,
        ca_data="" if own_authority else config.ca_data,
        insecure_skip_tls_verify=access.insecure_skip_tls_verify,
        tls_server_name="",
    )


_DECODER: Final = msgspec.json.Decoder(_PodList)
