"""Large requests take turns.

They occupy the process at most half of the time, and small ones never wait for more than one of them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from overbook.webhook.http_protocol import HttpRequest
from overbook.webhook.tls_connection import TlsConnection

_LONGEST_PAUSE_SECONDS: Final = 0.5


class Turns:
    """The large requests that wait to be answered.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: list[tuple[TlsConnection, str, HttpRequest]] = []
        self._next: asyncio.Handle | None = None
        self._not_before = 0.0

    def add(self, connection: TlsConnection, peer: str, request: HttpRequest) -> None:
        """Add a request of a connection.

        Args:
            connection: the connection, whose state is ``Waiting``.
            peer: the address of its client.
            request: the request.
        """
        self._waiting.append((connection, peer, request))
        if self._next is None:
            self._plan()

    def _plan(self) -> None:
        pause = self._not_before - self._clock()
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(pause, self._take) if pause > 0 else loop.call_soon(self._take)

    def _take(self) -> None:
        self._next = None
        self._waiting = [
            one for one in self._waiting if one[0].http is not None and one[0].http.state == "Waiting"
        ]
        if not self._waiting:
            return
        # An address that sent one comes before one that sent a hundred.
        of_peer = Counter(peer for _, peer, _ in self._waiting)
        chosen = min(self._waiting, key=lambda one: of_peer[one[1]])
        self._waiting.remove(chosen)
        connection, _, request = chosen
        began = self._clock()
        if connection.http is not None:
            connection.http.answer(request)
            connection.flush()
        now = self._clock()
        self._not_before = now + min(_LONGEST_PAUSE_SECONDS, now - began)
        if self._waiting:
            self._plan()
