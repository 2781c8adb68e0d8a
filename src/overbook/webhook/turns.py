"""Connections take turns when there is more to do than fits into one turn of the event loop.

A turn of the loop serves all connections that have sent something. With hundreds of them, or with large
reviews, it would take seconds, and the API server waits for 2 s at most. So after some milliseconds the rest
waits, and a client that sent little goes first.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from overbook.webhook.http_protocol import LARGE_BODY_BYTES
from overbook.webhook.tls_connection import TlsConnection

TURN_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.5


class Turn(NamedTuple):
    """Work that waits.

    Attributes:
        connection: the connection that it is for.
        peer: the address of its client.
        size_bytes: how much there is to read, or the size of the request.
        work: does it.
    """

    connection: TlsConnection
    peer: str
    size_bytes: int
    work: Callable[[], None]


class Turns:
    """The work that waits for its turn.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: list[Turn] = []
        self._began: float | None = None
        """When the present turn of the event loop began to serve connections."""
        self._next: asyncio.Handle | None = None
        self._not_before = 0.0
        """Large requests get at most half of the time, however many there are."""

    def is_over(self) -> bool:
        """Whether the present turn of the event loop has taken long enough."""
        now = self._clock()
        if self._began is None:
            self._began = now
            asyncio.get_running_loop().call_soon(self._end)
            return False
        return now - self._began > TURN_SECONDS

    def add(self, turn: Turn) -> None:
        """Add work."""
        self._waiting.append(turn)
        self._plan()

    def _end(self) -> None:
        self._began = None

    def _plan(self) -> None:
        if self._next is not None:
            self._next.cancel()
        pause = self._not_before - self._clock()
        loop = asyncio.get_running_loop()
        if pause <= 0 or any(turn.size_bytes <= LARGE_BODY_BYTES for turn in self._waiting):
            self._next = loop.call_soon(self._take)
        else:
            self._next = loop.call_later(pause, self._take)

    def _take(self) -> None:
        """Do the work of a client that sent the least; of several such clients the smallest piece."""
        self._next = None
        self._waiting = [turn for turn in self._waiting if turn.connection.waits]
        if not self._waiting:
            return
        sent = Counter[str]()
        for turn in self._waiting:
            sent[turn.peer] += turn.size_bytes
        large = self._clock() >= self._not_before
        chosen = min(
            (turn for turn in self._waiting if large or turn.size_bytes <= LARGE_BODY_BYTES),
            key=lambda turn: (sent[turn.peer], turn.size_bytes),
            default=None,
        )
        if chosen is not None:
            self._waiting.remove(chosen)
            began = self._clock()
            chosen.work()
            now = self._clock()
            if chosen.size_bytes > LARGE_BODY_BYTES:
                self._not_before = now + min(_LONGEST_PAUSE_SECONDS, now - began)
        if self._waiting:
            self._plan()
