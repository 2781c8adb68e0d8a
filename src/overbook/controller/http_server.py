"""A very small HTTP server with a few GET paths for probes and Prometheus.

Connections, request size and time are limited; each answer closes its connection.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.listen_address import split_address

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 32
MOST_REQUEST_BYTES: Final = 8192
MOST_SECONDS: Final = 10.0

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

_STATUS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_TEXT: Final = "text/plain; charset=utf-8"


class HttpServer:
    """A server that answers GET and HEAD on the given paths.

    Args:
        address: ``host:port``; the host may be in brackets (IPv6) or empty (all).
        handlers: the handlers by path.
    """

    def __init__(self, address: str, handlers: Mapping[str, Callable[[], Answer]]) -> None:
        self._address = address
        self._host, self._port = split_address(address, "--listen", "HOST:PORT, such as 127.0.0.1:9714")
        self._handlers = handlers
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen.

        Raises:
            InvalidInput: the address cannot be used.
        """
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host or None, self._port, limit=MOST_REQUEST_BYTES
            )
        except OSError as error:
            problem = f"a usable address ({error.strerror or error})"
            raise InvalidInput("--listen", self._address, problem) from error
        log.info("listening on %s:%d", self._host or "*", self.port)

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        if self._server is None:
            raise RuntimeError("not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
            for writer in self._connections:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            if len(self._connections) <= MOST_CONNECTIONS:
                async with asyncio.timeout(MOST_SECONDS):
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(_response(b"GET", (400, _TEXT, b"the request is too large\n")))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has closed the connection, or sent no request
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response(b"GET", (400, _TEXT, b"not an HTTP/1 request\n"))
        method, target, _ = words
        if method not in (b"GET", b"HEAD"):
            return _response(method, (405, _TEXT, b"only GET and HEAD\n"))
        handler = self._handlers.get(target.split(b"?", 1)[0].decode("ascii", "replace"))
        if handler is None:
            paths = ", ".join(sorted(self._handlers))
            return _response(method, (404, _TEXT, f"known paths: {paths}\n".encode()))
        return _response(method, handler())


def _response(method: bytes, answer: Answer) -> bytes:
    status, content_type, body = answer
    head = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)
