"""Connections to the API server: opened within a time, kept for the next request, dropped when in doubt."""

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
        reader: what comes.
        writer: what goes.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._keeps_alive = True
        self._body: Body | None = None
        self.idle_since: float | None = None

    @property
    def is_fit(self) -> bool:
        """Whether another request may be sent: the last answer ended, and nothing came since."""
        if not self._keeps_alive or self._body is None or not self._body.ended:
            return False
        stray = getattr(self._reader, "_buffer", b"")  # asyncio offers no other way to see them
        return not (self._writer.is_closing() or self._reader.at_eof() or stray or self._body.stray)

    async def ask(self, request: bytes) -> Head:
        """Send a request and wait for the head of its answer.

        Raises:
            HttpError: what came is no answer.
            OSError: the connection broke.
        """
        self._body = None
        self._writer.write(request)
        await self._writer.drain()
        return await read_head(self._reader)

    def body(self, head: Head) -> Body:
        """The body of the answer. Only after its end the connection is fit for another request.

        Raises:
            HttpError: where it ends cannot be told.
        """
        self._keeps_alive = head.keeps_alive
        self._body = Body(self._reader, head)
        return self._body

    def drop(self) -> None:
        """Close it without a word: whatever is still to come is not wanted."""
        self._keeps_alive = False
        self._writer.transport.abort()


async def open_connection(
    address: Address, context: ssl.SSLContext | None, server_name: str, seconds: float = CONNECT_SECONDS
) -> Connection:
    """Connect, with TLS where there is a context.

    Raises:
        ApiUnavailable: refused, unreachable, not there in time, or TLS failed; the text says which.
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
    _watch_the_line(writer)
    return Connection(reader, writer)


def describe(error: BaseException) -> str:
    """What happened, in words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own words are of addresses
    return str(error) or type(error).__name__


def _watch_the_line(writer: asyncio.StreamWriter) -> None:
    """Have the kernel find out that the other side is gone: within 30 s."""
    line = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in _KEEPALIVE:
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS)


class Pool:
    """Connections between requests: at most :data:`MOST_IDLE`, none older than :data:`MOST_IDLE_SECONDS`.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()

    def take(self) -> Connection | None:
        """The one used last, since it is the least likely to have been closed; ``None``: open another."""
        while self._idle:
            connection = self._idle.pop()
            idle_seconds = self._clock() - (connection.idle_since or 0.0)
            if connection.is_fit and idle_seconds < MOST_IDLE_SECONDS:
                self._in_use.add(connection)
                return connection
            connection.drop()
        return None

    def add(self, connection: Connection) -> None:
        """A new one, in use."""
        self._in_use.add(connection)

    def give_back(self, connection: Connection) -> None:
        """A request is over, well or badly."""
        self._in_use.discard(connection)
        if not connection.is_fit:
            connection.drop()
            return
        connection.idle_since = self._clock()
        self._idle.append(connection)
        while len(self._idle) > MOST_IDLE:
            self._idle.pop(0).drop()

    def drop_idle(self) -> None:
        """The idle ones are of an identity that is no longer ours."""
        while self._idle:
            self._idle.pop().drop()

    def drop_all(self) -> None:
        """All of them, requests under way included."""
        self.drop_idle()
        while self._in_use:
            self._in_use.pop().drop()
