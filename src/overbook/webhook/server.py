"""A listening server: its connections, their time limits, and a shutdown that loses no request."""

import asyncio
import logging
import ssl
import time
from typing import Final

from overbook.webhook.http_protocol import Handler, HttpProtocol

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 1024
MOST_HELD_BYTES: Final = 64 << 20
"""The limit of large bodies that are being received, on all connections together."""

IDLE_SECONDS: Final = 180.0
"""Longer than the API server's own 90 s, because it is better if the client closes the connection."""

REQUEST_SECONDS: Final = 10.0
"""The limit from a request's first byte to its last; the API server waits at most 30 s, usually 10."""

LINGER_SECONDS: Final = 5.0
_HANDSHAKE_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 1.0
_BACKLOG: Final = 1024


class Server:
    """A server that listens, and keeps its connections within limits.

    Args:
        handler: answers requests.
        idle_seconds: how long a connection may wait for its next request.
        request_seconds: how long a request may take to arrive.

    Attributes:
        draining: whether each answer is the last on its connection.
        responses: the number of answers by HTTP status.
        port: the port on which it listens.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        idle_seconds: float = IDLE_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self.handler = handler
        self.clock = time.perf_counter
        self.draining = False
        self.responses: dict[int, int] = {}
        self.port = 0
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self._connections: set[HttpProtocol] = set()
        self._held_bytes = 0
        self._listener: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Start to listen.

        Args:
            host: the address; empty: all addresses.
            port: the port; 0: any free one.
            context: the TLS context; ``None``: without TLS.

        Raises:
            OSError: the address cannot be used.
        """
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: HttpProtocol(self),
            host or None,
            port,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if context else None,
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._sweep = loop.call_later(_SWEEP_SECONDS, self._drop_slow)

    async def stop(self, grace_seconds: float = REQUEST_SECONDS) -> None:
        """Accept no new connections, answer the requests that have begun, and stop.

        Args:
            grace_seconds: how long requests that have begun may take.
        """
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        end = self.clock() + grace_seconds
        while self._connections and self.clock() < end:
            for connection in [one for one in self._connections if one.state == "Idle"]:
                connection.close()
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def opened(self, connection: HttpProtocol) -> bool:
        """See :class:`Connections`."""
        self._connections.add(connection)
        return len(self._connections) <= MOST_CONNECTIONS

    def closed(self, connection: HttpProtocol) -> None:
        """See :class:`Connections`."""
        self._connections.discard(connection)

    def hold(self, more_bytes: int) -> bool:
        """See :class:`Connections`."""
        if self._held_bytes + more_bytes > MOST_HELD_BYTES:
            return False
        self._held_bytes += more_bytes
        return True

    def answered(self, status: int) -> None:
        """See :class:`Connections`."""
        self.responses[status] = self.responses.get(status, 0) + 1

    def _drop_slow(self) -> None:
        now = self.clock()
        for connection in list(self._connections):
            took = now - connection.since
            if connection.stalled and took > self._request_seconds:
                connection.abort()
            elif connection.state == "Idle":
                if took > self._idle_seconds:
                    connection.close()
            elif connection.state == "Busy":
                if took > self._request_seconds:
                    connection.refuse(408, f"the request was not complete after {self._request_seconds:g} s")
            elif took > LINGER_SECONDS:
                connection.abort()
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._drop_slow)
