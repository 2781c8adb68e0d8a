"""The controller's process: leader election, endpoints, signals."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from overbook.controller.journal import ReliefJournal
from overbook.controller.leader import Leadership
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.settings import LEASE_NAME, ControllerSettings
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.lease import LeaderElection
from overbook.kube.api.transport import TURNS
from overbook.probes import answers
from overbook.probes.answers import Handler
from overbook.probes.in_event_loop import ProbesInEventLoop

log = logging.getLogger(__name__)

AGENT_NAME: Final = "overbook-controller"
URGENT_SECONDS: Final = 30.0
"""The timeout of the other steps of a relief: a pod is read, a record is written."""
EVICTION_SECONDS: Final = 35.0
"""The timeout of an eviction, whose webhooks may take 30 s."""
EVICTION_TURNS: Final = 64
"""The most evictions at once: far more than budgets usually allow, so that none waits for another one's
webhook."""
SILENT_SECONDS: Final = 60.0
"""After this time without an answer from the API server, the process is not ready."""


class Controller:
    """The controller's process: it takes part in the leader election, and works while it leads.

    Args:
        settings: the controller's settings.
        config: the API server's address and the credentials.
    """

    def __init__(self, settings: ControllerSettings, config: ClusterConfig) -> None:
        self._settings = settings
        self._config = config
        self._metrics = ControllerMetrics()
        self._journal = ReliefJournal()
        self._leader: Leadership | None = None
        self._clients: list[Client] = []
        self._ready_since: float | None = None

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; then release the lease."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        ports = self._ports()
        for port in ports:
            port.start()
        work = asyncio.create_task(self._elect())
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            log.info("stopping")
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.wait((work,))
            for port in ports:
                port.close()
            for client in self._clients:
                await client.close()

    async def _elect(self) -> None:
        self._ready_since = time.monotonic()
        if not self._settings.leader_elect:
            await self._lead(lambda: True)
            return
        election = LeaderElection(
            self._client(timeout_seconds=5.0),
            name=LEASE_NAME,
            namespace=self._settings.namespace,
            identity=self._settings.identity or f"{socket.gethostname()}_{os.getpid()}",
        )
        await election.run(lambda: self._lead(lambda: election.leads))

    async def _lead(self, leads: Callable[[], bool]) -> None:
        client = self._client()
        urgent = self._client(timeout_seconds=URGENT_SECONDS)
        evictions = self._client(timeout_seconds=EVICTION_SECONDS, turns=EVICTION_TURNS)
        leader = Leadership(
            client,
            urgent,
            evictions,
            self._settings,
            leads=leads,
            journal=self._journal,
            metrics=self._metrics,
        )
        self._leader = leader
        self._metrics.leads = True
        try:
            await leader.run()
        finally:
            self._metrics.leads = False
            self._leader = None
            for used in (client, urgent, evictions):
                self._clients.remove(used)
                await used.close()
            gc.collect()

    def _client(self, *, timeout_seconds: float = 30.0, turns: int = TURNS) -> Client:
        client = Client(self._config, agent_name=AGENT_NAME, timeout_seconds=timeout_seconds, turns=turns)
        self._clients.append(client)
        return client

    def _hears(self) -> bool:
        """Whether the API server has answered lately. A follower reads the lease regularly."""
        answers_at = [client.last_answer for client in self._clients]
        times = [moment for moment in (*answers_at, self._ready_since) if moment is not None]
        return bool(times) and time.monotonic() - max(times) < SILENT_SECONDS

    def _ports(self) -> list[ProbesInEventLoop]:
        """The port of metrics, decisions and health, and the one of health alone, where they are wanted."""
        health: dict[str, Handler] = {
            # The loop that answers is the loop that works: an answer is the proof. An outage of the API
            # server is no reason to restart: each start would lose what is known, after a longer wait.
            "/healthz": lambda: answers.health(""),
            "/readyz": lambda: answers.health(self._not_ready()),
        }
        status: dict[str, Handler] = {
            **health,
            "/metrics": lambda: answers.metrics(
                self._metrics.render(None if self._leader is None else self._leader.situation)
            ),
            "/decisions": lambda: answers.json(self._journal.as_json()),
        }
        settings, example = self._settings, "HOST:PORT, such as 127.0.0.1:9714"
        wanted = [(settings.listen, status, "--listen"), (settings.probe_listen, health, "--probe-listen")]
        return [
            ProbesInEventLoop(address, handlers, where, example)
            for address, handlers, where in wanted
            if address
        ]

    def _not_ready(self) -> str:
        """Why the process cannot work now; empty: it leads and has read all objects, or may be elected."""
        if self._ready_since is None:
            return "not started yet"
        if not self._hears():
            return "the API server does not answer"
        if self._leader is not None and not self._leader.situation.known:
            return "not all objects have been read yet"
        return ""
