"""What this node's kubelet says of its configuration: the one in force, every file and flag in it."""

import asyncio
import logging
from functools import partial
from typing import Any, Final

import msgspec

from overbook.agent.api.kubelet import REQUEST_SECONDS, kubelet_access
from overbook.agent.bridge import Bridge
from overbook.agent.settings import KubeletAccess
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import kubelet_configuration
from overbook.core.say_once import SayOnce
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import ApiUnavailable, KubeError

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60.0
"""It has another one only after a restart."""
TRIES: Final = 5
AGAIN_SECONDS: Final = 2.0
"""At the start, when a kubelet is busy, and nothing is written before it is known or given up."""


class _Configz(msgspec.Struct, frozen=True):
    kubeletconfig: dict[str, Any]


class KubeletConfigz:
    """Asks for ``/configz`` at the start and each minute, and leaves the answer in the bridge.

    Args:
        config: the API server's, for our token and for who signs certificates.
        access: where the kubelet is.
        bridge: to the tick's thread.
    """

    def __init__(self, config: ClusterConfig, access: KubeletAccess, bridge: Bridge) -> None:
        self._server = access.server
        self._config = kubelet_access(config, access)
        self._bridge = bridge
        self._complain = SayOnce(partial(log.info, "the kubelet does not tell its configuration: %s"))

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
        """Ask once; whether it answered, were it a refusal.

        What was known stays where there is no answer: the kubelet may just restart.
        """
        client = Client(self._config, agent_name="overbook-agent", timeout_seconds=REQUEST_SECONDS)
        try:
            told = _DECODER.decode(await client.raw("GET", "/configz")).kubeletconfig
            configuration = kubelet_configuration([told])
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
