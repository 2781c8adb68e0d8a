"""A work queue by key, as controllers use it: read the state, do the next step, repeat after changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from overbook.kube.api.errors import KubeError

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5

Handle = Callable[[str], Awaitable[float | None]]
"""Handles a key; returns the seconds until it must be called again, or None."""


class WorkQueue:
    """A queue of keys to handle. A key is never handled twice at the same time.

    Args:
        workers: The number of keys that are handled at once.
    """

    def __init__(self, workers: int = 8) -> None:
        self._workers = workers
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()

    def add(self, key: str) -> None:
        """Add a key to the queue."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.put_nowait(key)

    async def run(self, handle: Handle) -> None:
        """Handle keys until cancelled.

        Args:
            handle: Handles one key. After a KubeError it is called again half a second later.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(handle))

    async def _work(self, handle: Handle) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._waiting.get()
            self._queued.discard(key)
            self._busy.add(key)
            try:
                again_seconds = await handle(key)
            except KubeError as error:
                log.info("%s: %s", key, error)
                again_seconds = RETRY_SECONDS
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif again_seconds is not None:
                loop.call_later(again_seconds, self.add, key)
