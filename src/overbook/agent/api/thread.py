"""The thread for the API: started once, and again whenever it fails, so that it cannot die unseen."""

import asyncio
import logging
import threading
from typing import Final

from overbook.agent.api.worker import Worker
from overbook.agent.bridge import Bridge
from overbook.agent.settings import Settings
from overbook.kube.backoff import Backoff
from overbook.kube.configuration import ClusterConfig, load_config

log = logging.getLogger(__name__)

STACK_BYTES: Final = 512 << 10
"""All of the agent's memory is locked: 8 MiB of stack are not for a loop that is three calls deep."""
STOP_SECONDS: Final = 8.0
"""A stopping agent waits this long for its last words to be heard."""


class ApiThread:
    """Keeps a worker running.

    Args:
        settings: where the API server is, and what this node is called.
        bridge: to the tick's thread.
        instance: this agent's.

    Raises:
        InvalidInput: nothing says where the API server is.
    """

    def __init__(self, settings: Settings, bridge: Bridge, instance: str) -> None:
        self._config: ClusterConfig = load_config(settings.kubeconfig, settings.context)
        self._settings = settings
        self._bridge = bridge
        self._instance = instance
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it."""
        before = threading.stack_size(STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._run, name="overbook-api", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(before)

    def stop(self) -> None:
        """Let it say what lies in the bridge, and end it. What cannot be said in time stays unsaid."""
        self._stopping.set()
        self._bridge.nudge()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                log.warning("the API server does not answer; stopping without its knowledge")

    def _run(self) -> None:
        backoff = Backoff(0.5, 30.0)
        while not self._stopping.is_set():
            worker = Worker(self._config, self._settings, self._bridge, self._instance, self._stopping.is_set)
            try:
                asyncio.run(worker.run())
            except BaseException:
                # Whatever it was: the node's work goes on without this thread, but not for long.
                self._bridge.restarts += 1
                log.exception("the thread for the API failed and starts anew")
                self._stopping.wait(backoff.next_seconds())
