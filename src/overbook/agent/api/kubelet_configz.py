"""The configuration that this node's kubelet reports: the one in force, from all its files and flags."""

import asyncio
import logging
from functools import partial
from typing import Any, Final

import msgspec

from overbook.agent.api.kubelet import REQUEST_SECONDS, kubelet_access
from overbook.agent.bridge import Bridge
from overbook.agent.settings import KubeletAccess
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import reported_configuration
from overbook.core.say_once import SayOnce
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import ApiUnavailable, KubeError

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60.0
"""The time between two questions: a configuration changes only when the kubelet restarts."""
TRIES: Final = 5
AGAIN_SECONDS: Final = 2.0
"""The time between the first questions: the agent writes no limit before they are answered or given up."""


class _Configz(msgspec.Struct, frozen=True):
    kubeletconfig: dict[str, Any]


class KubeletConfigz:
    """Asks for ``/configz`` at the start and each minute, and leaves the answer in the bridge.

    Args:
        config: the API server's configuration, with the agent's token and the certificate authority.
        access: how to reach the kubelet.
        bridge: to the tick's thread.
    """

    def __init__(self, config: ClusterConfig, access: KubeletAccess, bridge: Bridge) -> None:
        self._server = access.server
        self._config = kubelet_access(config, access)
        self._bridge = bridge
        self._complain = SayOnce(partial(log.info, "the kubelet does not report its configuration: %s"))

    async def run(self) -> None:
        """Ask until cancelled."""
        tries = 0
        while self._server:
            tries += 1
            if await self._ask() or tries == TRIES:
                self._bridge.update_kubelet_asked()
            known = self._bridge.news.kubelet_asked
            await asyncio.sleep(EVERY_SECONDS if known else AGAIN_SECONDS)

    async def _ask(self) -> bool:
        """Ask once; returns whether the kubelet answered, even with a refusal.

        Without an answer the configuration last known stays: the kubelet may be restarting.
        """
        client = Client(self._config, agent_name="overbook-agent", timeout_seconds=REQUEST_SECONDS)
        try:
            reported = _DECODER.decode(await client.raw("GET", "/configz")).kubeletconfig
            configuration = reported_configuration(reported)
        except (KubeError, msgspec.DecodeError, InvalidInput) as error:
            self._complain(str(error))
            return not isinstance(error, ApiUnavailable)
        else:
            self._complain.over()
            self._bridge.update_kubelet(configuration)
            return True
        finally:
            await client.close()


_DECODER: Final = msgspec.json.Decoder(_Configz)
