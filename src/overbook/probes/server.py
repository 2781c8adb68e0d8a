"""A very small HTTP server in its owner's epoll: it answers GET and HEAD on a few paths.

It has no thread that could die unnoticed, and no library that would double the agent's memory. Connections,
request size and time are limited; each answer closes its connection. A probe finds a place also if strangers
hold all connections: see :mod:`overbook.probes.connection_limits`.
"""

import select
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.probes.answers import Handler, KeptAnswer, answered, refused
from overbook.probes.connection_limits import ConnectionLimits

MOST_CONNECTIONS: Final = 128
MOST_OF_A_PEER: Final = 16
"""The most connections of one address. A kubelet and a Prometheus need one or two each."""
MOST_REQUEST_BYTES: Final = 8192
MOST_SECONDS: Final = 10.0
_BACKLOG: Final = 512
"""New connections wait there during a tick; if it were full, a probe's would come a second later."""
_ACCEPTED_AT_ONCE: Final = 16
"""Fewer than there are places, so that those that were accepted are read before others take their places."""
_RECEIVE_BUFFER_BYTES: Final = 16 << 10
_SEND_BUFFER_BYTES: Final = 128 << 10
"""The kernel's buffers count as the pod's memory, and by default one may have megabytes."""
_RESET: Final = struct.pack("ii", 1, 0)
_TCP_INFO_BYTES: Final = 148


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


def listening_socket(
    host: str, port: int, backlog: int, receive_buffer_bytes: int, send_buffer_bytes: int
) -> socket.socket:
    """Listen on an address.

    Args:
        host: a name or an address; empty: all addresses.
        port: the port; 0: any free one.
        backlog: how many new connections wait until they are accepted.
        receive_buffer_bytes: the kernel's buffer of each connection for what comes in.
        send_buffer_bytes: the kernel's buffer of each connection for what goes out.

    Raises:
        OSError: the address cannot be used.
    """
    everywhere = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host or everywhere else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=everywhere)
    # Accepted connections inherit these.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    return listener


class _Connection(msgspec.Struct):
    socket: socket.socket
    since: float
    received: bytearray
    to_send: memoryview | None = None
    """What is left of the answer; empty: all was sent, and the client has not closed the connection yet."""
    ended: bool = False
    """Whether the client will send nothing more, and the kernel still holds a part of the answer."""


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
        self._handlers = {path: KeptAnswer(handler, time.perf_counter) for path, handler in handlers.items()}
        self._epoll = epoll
        self._connections: dict[int, _Connection] = {}
        self._limits: ConnectionLimits[int] = ConnectionLimits(MOST_CONNECTIONS, MOST_OF_A_PEER)
        try:
            self._listener = listening_socket(host, port, _BACKLOG, _RECEIVE_BUFFER_BYTES, _SEND_BUFFER_BYTES)
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
                self._end(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)

    def expire(self, now: float) -> None:
        """Close the connections that are too slow, and those whose clients have everything."""
        for fd, connection in list(self._connections.items()):
            if now - connection.since > MOST_SECONDS:
                self._drop(fd, reset=connection.to_send is not None)
            elif connection.ended and not _unsent_bytes(connection.socket):
                self._drop(fd)

    def close(self) -> None:
        """Stop listening, and close all connections."""
        for fd in list(self._connections):
            self._drop(fd)
        self._listener.close()

    def _accept(self, now: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, peer = self._listener.accept()
            except OSError:
                return  # there is no other, or no descriptor is free: the owner's loop must not fail for that
            accepted.setblocking(False)
            loser = self._limits.add(accepted.fileno(), peer[0])
            if loser is not None:
                self._drop(loser, reset=self._connections[loser].to_send is not None)
            self._connections[accepted.fileno()] = _Connection(accepted, now, bytearray())
            self._epoll.register(accepted, select.EPOLLIN)
            self.handle(accepted.fileno(), now)  # the request is often there already

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(MOST_REQUEST_BYTES)
        connection.received += data
        ended = b"\r\n\r\n" in connection.received or b"\n\n" in connection.received
        if not data and not ended:
            self._drop(connection.socket.fileno())
        elif ended:
            self._reply(connection, answered(bytes(connection.received), self._handlers))
        elif len(connection.received) > MOST_REQUEST_BYTES:
            self._reply(connection, refused("the request is too large"))

    def _reply(self, connection: _Connection, answer: bytes) -> None:
        connection.to_send = memoryview(answer)
        self._epoll.modify(connection.socket, select.EPOLLOUT)

    def _send(self, connection: _Connection) -> None:
        left = connection.to_send
        if left is not None:
            connection.to_send = left[connection.socket.send(left) :]
            if not connection.to_send:
                # The client closes first. If this end did, the answer to a request that was not read would be
                # lost, and the kernel would keep what slow clients do not read, for any number of them.
                connection.socket.shutdown(socket.SHUT_WR)
                self._epoll.modify(connection.socket, select.EPOLLIN)

    def _end(self, connection: _Connection) -> None:
        """Close a connection whose client has nothing to say, once the client has the answer."""
        fd = connection.socket.fileno()
        if _unsent_bytes(connection.socket):
            self._epoll.unregister(fd)  # it would be ready all the time
            connection.ended = True
        else:
            self._drop(fd)

    def _drop(self, fd: int, *, reset: bool = False) -> None:
        """Close a connection; if it is reset, the kernel forgets what the client has not read."""
        connection = self._connections.pop(fd, None)
        if connection is None:
            return
        self._limits.remove(fd)
        if not connection.ended:
            self._epoll.unregister(fd)
        if reset:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.socket.close()


def _unsent_bytes(connected: socket.socket) -> int:
    """What the kernel has to send, and has not sent because the client does not read."""
    information = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if len(information) < _TCP_INFO_BYTES:
        return 0
    return int.from_bytes(information[-4:], sys.byteorder)  # tcpi_notsent_bytes
