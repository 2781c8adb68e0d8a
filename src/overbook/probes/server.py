"""A very small HTTP server in its owner's epoll: it answers GET and HEAD on a few paths.

It has no thread that could die unnoticed, and no library that would double the agent's memory. Connections,
request size and time are limited; each answer closes its connection.
"""

import select
import socket
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.probes.answers import Handler, answered, refused

MOST_CONNECTIONS: Final = 32
MOST_REQUEST_BYTES: Final = 8192
MOST_SECONDS: Final = 10.0


def split_address(address: str, where: str, example: str) -> tuple[str, int]:
    """Split ``host:port``; the host may be in brackets (IPv6) or empty (all).

    Args:
        address: the address as configured.
        where: the setting that the address is from, for errors.
        example: a valid address, for errors.

    Raises:
        InvalidInput: the address has no port, or one out of range.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise InvalidInput(where, address, example)
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Connection(msgspec.Struct):
    socket: socket.socket
    since: float
    received: bytearray
    to_send: memoryview | None = None
    refused: bool = False
    """Whether the answer was sent before the whole request was read: the rest of the request is discarded."""


class ProbeServer:
    """Answers GET and HEAD on the paths given.

    Args:
        address: ``host:port``; the host may be in brackets (IPv6) or empty (all).
        handlers: the handlers by path.
        epoll: the owner's epoll; the owner calls :meth:`handle` for ready descriptors that :meth:`owns`
            names.
        where: the setting that the address is from, for errors.
        example: a valid address, for errors.

    Raises:
        InvalidInput: the address is not valid, or the server cannot listen on it.
    """

    def __init__(
        self, address: str, handlers: Mapping[str, Handler], epoll: select.epoll, where: str, example: str
    ) -> None:
        host, port = split_address(address, where, example)
        self._handlers = handlers
        self._epoll = epoll
        self._connections: dict[int, _Connection] = {}
        everywhere = not host and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host or everywhere else socket.AF_INET
        try:
            self._listener = socket.create_server(
                (host, port),
                family=family,
                backlog=16,
                dualstack_ipv6=everywhere,
            )
        except OSError as error:
            problem = f"an address that can be listened on ({error.strerror})"
            raise InvalidInput(where, address, problem) from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        epoll.register(self._listener, select.EPOLLIN)

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def owns(self, fd: int) -> bool:
        """Whether a descriptor belongs to the server."""
        return fd == self._listener.fileno() or fd in self._connections

    def handle(self, fd: int, now: float) -> None:
        """Serve a descriptor that is ready."""
        if fd == self._listener.fileno():
            self._accept(now)
            return
        connection = self._connections[fd]
        try:
            if connection.to_send is None:
                self._receive(connection)
            if connection.to_send:
                self._send(connection)
            elif connection.to_send is not None and not connection.socket.recv(MOST_REQUEST_BYTES):
                self._drop(fd)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)

    def expire(self, now: float) -> None:
        """Close the connections that are too slow."""
        for fd in [fd for fd, c in self._connections.items() if now - c.since > MOST_SECONDS]:
            self._drop(fd)

    def close(self) -> None:
        """Stop listening, and close all connections."""
        for fd in list(self._connections):
            self._drop(fd)
        self._listener.close()

    def _accept(self, now: float) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return  # the client is gone, or no descriptor is free: the owner's loop must not fail for that
        if len(self._connections) >= MOST_CONNECTIONS:
            accepted.close()
            return
        accepted.setblocking(False)
        self._connections[accepted.fileno()] = _Connection(accepted, now, bytearray())
        self._epoll.register(accepted, select.EPOLLIN)

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(MOST_REQUEST_BYTES)
        connection.received += data
        ended = b"\r\n\r\n" in connection.received or b"\n\n" in connection.received
        if not data and not ended:
            self._drop(connection.socket.fileno())
        elif ended:
            self._reply(connection, answered(bytes(connection.received), self._handlers))
        elif len(connection.received) > MOST_REQUEST_BYTES:
            connection.refused = True
            self._reply(connection, refused("the request is too large"))

    def _reply(self, connection: _Connection, answer: bytes) -> None:
        connection.to_send = memoryview(answer)
        self._epoll.modify(connection.socket, select.EPOLLOUT)

    def _send(self, connection: _Connection) -> None:
        left = connection.to_send
        if left is not None:
            connection.to_send = left[connection.socket.send(left) :]
            if not connection.to_send and connection.refused:
                # Closing at once would reset the connection, and the answer would be lost with it.
                connection.socket.shutdown(socket.SHUT_WR)
                self._epoll.modify(connection.socket, select.EPOLLIN)
            elif not connection.to_send:
                self._drop(connection.socket.fileno())

    def _drop(self, fd: int) -> None:
        connection = self._connections.pop(fd, None)
        if connection is not None:
            self._epoll.unregister(fd)
            connection.socket.close()
