"""The thread for the API, whose work starts again whenever it fails: the thread cannot die unnoticed."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from overbook.agent.bridge import Bridge
from overbook.agent.small_thread import SmallThread
from overbook.kube.api.backoff import Backoff

log = logging.getLogger(__name__)

CALM_SECONDS: Final = 60.0
"""Work that went on for so long before it failed is started again after the first pause."""
STOP_SECONDS: Final = 8.0
"""How long a stopping agent waits until its last report is sent."""

Stopping = Callable[[], bool]
Work = Callable[[Stopping], Coroutine[Any, Any, None]]
"""The thread's work, in an asyncio loop of its own, until the given function returns True."""


class ApiThread:
    """Runs the work, and starts it again when it fails.

    Args:
        bridge: to the tick's thread; its nudge wakes the work when it is to stop.
        work: the work.
        backoff: how long to wait after a failure.
    """

    def __init__(self, bridge: Bridge, work: Work, backoff: Backoff | None = None) -> None:
        self._bridge = bridge
        self._work = work
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._stopping = threading.Event()
        self._thread = SmallThread(target=self._run, name="overbook-api", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread send the last report, and end it. A report that is not sent in time is lost."""
        self._stopping.set()
        self._bridge.nudge()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("the API server does not answer; stopping without the last report")

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                asyncio.run(self._work(self._stopping.is_set))
            except BaseException:
                # Whatever it was: the tick continues without this thread, which is soon started again.
                self._bridge.restarts += 1
                log.exception("the thread for the API failed and is started again")
                if time.monotonic() - began >= CALM_SECONDS:
                    self._backoff.reset()
                self._stopping.wait(self._backoff.next_seconds())
