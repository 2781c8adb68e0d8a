"""Work by key, as controllers do it: look at what is, do the next step, look again when something changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from overbook.kube.api.errors import KubeError

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5

Look = Callable[[str], Awaitable[float | None]]
"""Looks at a key and does what there is to do; returns in how many seconds to look again, or None."""


class WorkQueue:
    """Keys that wait to be looked at. One key is never looked at twice at the same time.

    Args:
        workers: How many are looked at at once.
    """

    def __init__(self, workers: int = 8) -> None:
        self._workers = workers
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()

    def add(self, key: str) -> None:
        """Have a key looked at soon."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.put_nowait(key)

    async def run(self, look: Look) -> None:
        """Look at keys until cancelled.

        Args:
            look: Looks at one. After a KubeError it is called again half a second later.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(look))

    async def _work(self, look: Look) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._waiting.get()
            self._queued.discard(key)
            self._busy.add(key)
            try:
                again_seconds = await look(key)
            except KubeError as error:
                log.info("%s: %s", key, error)
                again_seconds = RETRY_SECONDS
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif again_seconds is not None:
                loop.call_later(again_seconds, self.add, key)
