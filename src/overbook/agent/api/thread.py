"""The thread for the API: its work begins anew whenever it fails, so that it cannot die unseen."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from overbook.agent.bridge import Bridge
from overbook.agent.small_thread import SmallThread
from overbook.kube.api.backoff import Backoff

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 8.0
"""A stopping agent waits this long for its last words to be heard."""

Stopping = Callable[[], bool]
Work = Callable[[Stopping], Coroutine[Any, Any, None]]
"""What the thread does in a loop of its own until the given function says that it is to stop."""


class ApiThread:
    """Keeps the work going.

    Args:
        bridge: to the tick's thread; its nudge wakes the work when it is to stop.
        work: what is done.
        backoff: how long to wait after a failure.
    """

    def __init__(self, bridge: Bridge, work: Work, backoff: Backoff | None = None) -> None:
        self._bridge = bridge
        self._work = work
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._stopping = threading.Event()
        self._thread = SmallThread(target=self._run, name="overbook-api", daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """Let it say what lies in the bridge, and end it. What cannot be said in time stays unsaid."""
        self._stopping.set()
        self._bridge.nudge()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("the API server does not answer; stopping without its knowledge")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._work(self._stopping.is_set))
            except BaseException:
                # Whatever it was: the node's work goes on without this thread, but not for long.
                self._bridge.restarts += 1
                log.exception("the thread for the API failed and starts anew")
                self._stopping.wait(self._backoff.next_seconds())
