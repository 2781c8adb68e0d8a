"""A very small HTTP server that lives in the agent's own event loop: a few GET paths, nothing else.

No thread that could die unseen, no library that would double the agent's memory. Connections, request
size and time are limited; each answer closes its connection.
"""

import logging
import select
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.listen_address import split_address

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 32
MOST_REQUEST_BYTES: Final = 8192
MOST_SECONDS: Final = 10.0

Answer = tuple[int, str, bytes]
"""Status, content type, body."""
Handler = Callable[[], Answer]

_STATUS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class _Connection(msgspec.Struct):
    socket: socket.socket
    since: float
    received: bytearray
    to_send: memoryview | None = None


class HttpServer:
    """Answers GET on the paths given.

    Args:
        address: ``host:port``; the host may be in brackets (IPv6) or empty (all).
        handlers: by path.
        epoll: the loop that reports readiness; :meth:`handle` is called for descriptors that :meth:`owns`.

    Raises:
        InvalidInput: the address is no address, or cannot be listened on.
    """

    def __init__(self, address: str, handlers: Mapping[str, Handler], epoll: select.epoll) -> None:
        host, port = split_address(address, "listen address", "host:port, such as 127.0.0.1:9713")
        self._handlers = handlers
        self._epoll = epoll
        self._connections: dict[int, _Connection] = {}
        family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
        try:
            self._listener = socket.create_server(
                (host, port),
                family=family,
                backlog=16,
                dualstack_ipv6=not host and socket.has_dualstack_ipv6(),
            )
        except OSError as error:
            problem = f"an address that can be listened on ({error.strerror})"
            raise InvalidInput("listen address", address, problem) from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        epoll.register(self._listener, select.EPOLLIN)

    def owns(self, fd: int) -> bool:
        """Whether a descriptor is the server's."""
        return fd == self._listener.fileno() or fd in self._connections

    def handle(self, fd: int, now: float) -> None:
        """A descriptor is ready."""
        if fd == self._listener.fileno():
            self._accept(now)
            return
        connection = self._connections[fd]
        try:
            if connection.to_send is None:
                self._receive(connection)
            if connection.to_send is not None:
                self._send(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)

    def expire(self, now: float) -> None:
        """Drop who is too slow."""
        for fd in [fd for fd, c in self._connections.items() if now - c.since > MOST_SECONDS]:
            self._drop(fd)

    def close(self) -> None:
        """Stop listening and drop everyone."""
        for fd in list(self._connections):
            self._drop(fd)
        self._listener.close()

    def _accept(self, now: float) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: the next tick is not to suffer for it
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
            request = bytes(connection.received)
            self._reply(connection, self._answer(request), head=request.startswith(b"HEAD "))
        elif len(connection.received) > MOST_REQUEST_BYTES:
            self._reply(connection, _text(400, "the request is too large"))

    def _answer(self, request: bytes) -> Answer:
        words = request.split(b"\r\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _text(400, "not an HTTP/1 request")
        if words[0] not in {b"GET", b"HEAD"}:
            return _text(405, "only GET is answered")
        handler = self._handlers.get(words[1].split(b"?", 1)[0].decode("ascii", "replace"))
        if handler is None:
            return _text(404, "known paths: " + " ".join(self._handlers))
        return handler()

    def _reply(self, connection: _Connection, answer: Answer, *, head: bool = False) -> None:
        status, kind, body = answer
        start = (
            f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        connection.to_send = memoryview(start.encode() + (b"" if head else body))
        self._epoll.modify(connection.socket, select.EPOLLOUT)

    def _send(self, connection: _Connection) -> None:
        left = connection.to_send
        if left is not None:
            connection.to_send = left[connection.socket.send(left) :]
            if not connection.to_send:
                self._drop(connection.socket.fileno())

    def _drop(self, fd: int) -> None:
        connection = self._connections.pop(fd, None)
        if connection is not None:
            self._epoll.unregister(fd)
            connection.socket.close()


def _text(status: int, message: str) -> Answer:
    return (status, "text/plain; charset=utf-8", message.encode() + b"\n")
