"""Connections to the API server: opened with a timeout, kept for the next request, closed when in doubt."""

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from overbook.kube.api.configuration import Address
from overbook.kube.api.errors import ApiUnavailable
from overbook.kube.api.http import MOST_HEAD_BYTES, Body, Head, read_head

CONNECT_SECONDS: Final = 10.0
MOST_IDLE: Final = 4
MOST_IDLE_SECONDS: Final = 45.0
"""The API server closes a connection after 90 s without a request; load balancers may do so earlier."""
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_UNACKNOWLEDGED_MILLISECONDS: Final = 30_000


class Connection:
    """One connection, one request at a time.

    Args:
        reader: the incoming stream.
        writer: the outgoing stream.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._keeps_alive = True
        self._body: Body | None = None
        self.idle_since: float | None = None

    @property
    def is_fit(self) -> bool:
        """Whether another request may be sent: the last answer has ended, and nothing has arrived since."""
        if not self._keeps_alive or self._body is None or not self._body.ended:
            return False
        stray = getattr(self._reader, "_buffer", b"")  # asyncio offers no other way to see these bytes
        return not (self._writer.is_closing() or self._reader.at_eof() or stray or self._body.stray)

    async def ask(self, request: bytes) -> Head:
        """Send a request and wait for the head of the answer.

        Raises:
            HttpError: the data is no HTTP answer.
            OSError: the connection broke.
        """
        self._body = None
        self._writer.write(request)
        await self._writer.drain()
        return await read_head(self._reader)

    def body(self, head: Head) -> Body:
        """The body of the answer. The connection can be used again only after the body's end.

        Raises:
            HttpError: the end of the body cannot be determined.
        """
        self._keeps_alive = head.keeps_alive
        self._body = Body(self._reader, head)
        return self._body

    def drop(self) -> None:
        """Close the connection at once and discard what is still to come."""
        self._keeps_alive = False
        self._writer.transport.abort()


async def open_connection(
    address: Address, context: ssl.SSLContext | None, server_name: str, seconds: float = CONNECT_SECONDS
) -> Connection:
    """Connect to a server, with TLS if there is a context.

    Raises:
        ApiUnavailable: refused, unreachable, too slow, or TLS failed; the text says which.
    """
    place = address.authority
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                address.host,
                address.port,
                ssl=context,
                server_hostname=(server_name or address.host) if context else None,
                limit=MOST_HEAD_BYTES,
            )
    except TimeoutError as error:
        raise ApiUnavailable(f"{place} did not accept a connection within {seconds:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise ApiUnavailable(
            f"{place} has a certificate that is not trusted: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        raise ApiUnavailable(f"TLS with {place} failed: {error.reason or error}") from error
    except socket.gaierror as error:
        raise ApiUnavailable(f"{address.host} has no address: {error.strerror}") from error
    except (OSError, UnicodeError) as error:
        raise ApiUnavailable(f"{place} cannot be reached: {describe(error)}") from error
    _enable_keepalive(writer)
    return Connection(reader, writer)


def describe(error: BaseException) -> str:
    """A text that describes an exception."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own text names only addresses
    return str(error) or type(error).__name__


def _enable_keepalive(writer: asyncio.StreamWriter) -> None:
    """Make the kernel detect within 30 s that the other side is gone."""
    tcp_socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in _KEEPALIVE:
            tcp_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS)


class Pool:
    """Idle connections: at most :data:`MOST_IDLE`, none idle for longer than :data:`MOST_IDLE_SECONDS`.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()

    def take(self) -> Connection | None:
        """Take the connection that was used last, the least likely to be closed; ``None``: open a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit and not self._is_old(connection):
                self._in_use.add(connection)
                return connection
            connection.drop()
        return None

    def add(self, connection: Connection) -> None:
        """Add a new connection that is in use."""
        self._in_use.add(connection)

    def give_back(self, connection: Connection) -> None:
        """Take a connection back after a request, whether it succeeded or failed."""
        self._in_use.discard(connection)
        if not connection.is_fit:
            connection.drop()
            return
        connection.idle_since = self._clock()
        self._idle.append(connection)
        # The least used are in front. A burst's connections are not kept until the API server closes them.
        while len(self._idle) > MOST_IDLE or self._is_old(self._idle[0]):
            self._idle.pop(0).drop()

    def _is_old(self, connection: Connection) -> bool:
        return self._clock() - (connection.idle_since or 0.0) >= MOST_IDLE_SECONDS

    def drop_idle(self) -> None:
        """Close the idle connections, for example when the identity has changed."""
        while self._idle:
            self._idle.pop().drop()

    def drop_all(self) -> None:
        """Close all connections, also those with a request under way."""
        self.drop_idle()
        while self._in_use:
            self._in_use.pop().drop()
