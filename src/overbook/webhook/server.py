"""A listening server: its connections, their time limits, and a shutdown that loses no request."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final

from overbook.probes.connection_limits import ConnectionLimits
from overbook.probes.server import listening_socket
from overbook.webhook.held_bytes import HeldBytes
from overbook.webhook.http_protocol import Handler
from overbook.webhook.limits import SHIPPED_MEMORY_BYTES, ServerLimits, limits_for
from overbook.webhook.tls_connection import TlsConnection
from overbook.webhook.turns import Turn, Turns

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 180.0
"""Longer than the API server's own 90 s, because it is better if the client closes the connection."""

REQUEST_SECONDS: Final = 10.0
"""The limit from a request's first byte to its last; the API server waits at most 30 s, usually 10."""

LINGER_SECONDS: Final = 5.0
_HANDSHAKE_SECONDS: Final = 10.0
_NEWCOMER_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 1.0
_BACKLOG: Final = 1024
_BUFFER_BYTES: Final = 64 << 10
"""Of the kernel, for each connection and direction; it takes twice as much, and counts it as the pod's."""


class Server:
    """A server that listens, and keeps its connections within limits.

    A new connection is always accepted: see :mod:`overbook.probes.connection_limits`.

    Args:
        handler: answers requests.
        limits: how many connections there may be, and how much they may hold.
        idle_seconds: how long a connection may wait for its next request.
        request_seconds: how long a request may take to arrive, and its answer to be read.

    Attributes:
        draining: whether each answer is the last on its connection.
        responses: the number of answers by HTTP status.
        dropped: the number of connections that were closed for others.
        port: the port on which it listens.
    """

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits = limits_for(SHIPPED_MEMORY_BYTES),  # noqa: B008 - it cannot change
        *,
        idle_seconds: float = IDLE_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self.handler = handler
        self.clock = time.perf_counter
        self.draining = False
        self.responses: dict[int, int] = {}
        self.dropped = 0
        self.port = 0
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self._held: HeldBytes[TlsConnection] = HeldBytes(limits.held_bytes)
        self._limits: ConnectionLimits[TlsConnection] = ConnectionLimits(limits.connections, limits.of_a_peer)
        self._connections: dict[TlsConnection, str] = {}
        """All open connections, with the addresses of their clients."""
        self._turns = Turns(self.clock)
        self._listener: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Start to listen.

        Args:
            host: the address; empty: all addresses.
            port: the port; 0: any free one.
            context: the TLS context.

        Raises:
            OSError: the address cannot be used.
        """
        loop = asyncio.get_running_loop()
        listening = listening_socket(host, port, _BACKLOG, _BUFFER_BYTES, _BUFFER_BYTES)
        self._listener = await loop.create_server(
            lambda: TlsConnection(self, context), sock=listening, backlog=_BACKLOG
        )
        self.port = listening.getsockname()[1]
        self._sweep = loop.call_later(_SWEEP_SECONDS, self._drop_slow)

    async def stop(self, grace_seconds: float = REQUEST_SECONDS) -> None:
        """Accept no new connections, answer the requests that have begun, and stop.

        Args:
            grace_seconds: how long requests that have begun may take.
        """
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        began = self.clock()
        while self._has_begun(self.clock() - began) and self.clock() - began < grace_seconds:
            for connection in list(self._connections):
                idle = connection.http is not None and connection.http.state == "Idle"
                if idle and not connection.waits:
                    connection.close()
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()

    def _has_begun(self, seconds: float) -> bool:
        """Whether there are connections with a request, or new ones that may still send one."""
        return any(one.http is not None or seconds < _NEWCOMER_SECONDS for one in self._connections)

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def opened(self, connection: TlsConnection, peer: str) -> None:
        """See :class:`Listener`."""
        self._connections[connection] = peer
        loser = self._limits.add(connection, peer)
        if loser is not None:
            self._drop(loser)

    def closed(self, connection: TlsConnection) -> None:
        """See :class:`Listener`."""
        self._connections.pop(connection, None)
        self._limits.remove(connection)
        self._held.release(connection)

    def hold(self, connection: TlsConnection, more_bytes: int) -> bool:
        """See :class:`Connections`."""
        if more_bytes < 0:
            self._held.release(connection, -more_bytes)
            return True
        losers = self._held.add(connection, more_bytes)
        for loser in losers or ():
            self._drop(loser)
        return losers is not None

    def is_busy(self) -> bool:
        """See :class:`Connections`."""
        return self._turns.is_over()

    def later(self, connection: TlsConnection, size_bytes: int, work: Callable[[], None]) -> None:
        """See :class:`Connections`."""
        self._turns.add(Turn(connection, self._connections.get(connection, ""), size_bytes, work))

    def answered(self, connection: TlsConnection, status: int) -> None:
        """See :class:`Connections`."""
        self.responses[status] = self.responses.get(status, 0) + 1
        if status == 200:
            self._limits.answered(connection)

    def _drop(self, loser: TlsConnection) -> None:
        """Close a connection for another one."""
        self.dropped += 1
        loser.abort()

    def _drop_slow(self) -> None:
        now = self.clock()
        for connection in list(self._connections):
            self._check(connection, now)
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._drop_slow)

    def _check(self, connection: TlsConnection, now: float) -> None:
        """End what takes too long. To wait until a client has read what it does not read would be no end."""
        http = connection.http
        if http is None:
            if now - connection.opened_at > _HANDSHAKE_SECONDS:
                connection.abort()
            return
        took = now - http.since
        if http.state == "Refused":
            if took > LINGER_SECONDS:
                connection.abort()
        elif connection.has_unsent and took > self._request_seconds:
            connection.abort()
        elif http.state == "Idle":
            if took > self._idle_seconds:
                connection.close()
        elif took > self._request_seconds:
            http.refuse(408, f"the request was not complete after {self._request_seconds:g} s")
            connection.flush()
