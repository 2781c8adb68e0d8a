"""HTTP/1.1 for one connection: requests in, answers out, all sizes bounded.

A request is answered as soon as it is complete, within the callback that received its last byte. So the
requests of one connection are answered in order, and pipelining works.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools
import msgspec

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 8 << 20
"""The largest body. The API server accepts objects of 3 MiB, which may be longer as JSON."""

MOST_HEAD_BYTES: Final = 16 << 10
"""The limit of target and header fields; each field counts 32 bytes in addition."""

_SMALL_BODY_BYTES: Final = 64 << 10
"""Bodies up to this size do not count towards the limit of all connections."""

_REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
_ANSWER: Final = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b"
TEXT: Final = b"text/plain; charset=utf-8"


class HttpAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer to a request."""

    body: bytes
    content_type: bytes = TEXT
    status: int = 200


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """A complete request.

    Attributes:
        method: ``POST``.
        target: path and query.
        content_type: the content type as sent; empty: none.
        body: the whole body.
        started: when its first byte arrived, by the server's clock.
    """

    method: bytes
    target: bytes
    content_type: bytes
    body: bytes
    started: float


Handler = Callable[[HttpRequest], HttpAnswer]


class Connections(Protocol):
    """The part of the server that its connections use.

    Attributes:
        draining: whether each answer is the last on its connection.
        handler: answers requests.
        clock: seconds.
    """

    draining: bool
    handler: Handler
    clock: Callable[[], float]

    def opened(self, connection: "HttpProtocol") -> bool:
        """Register a connection. Returns whether there is room for it."""
        ...

    def closed(self, connection: "HttpProtocol") -> None:
        """Forget a closed connection."""
        ...

    def hold(self, more_bytes: int) -> bool:
        """Reserve bytes for bodies. Returns whether there is room; a negative number releases them."""
        ...

    def answered(self, status: int) -> None:
        """Count an answer."""
        ...


class HttpProtocol(asyncio.Protocol):
    """One connection.

    Args:
        server: the connection's server.

    Attributes:
        since: when the present state began, by the server's clock.
        state: ``Idle`` between requests, ``Busy`` within one, ``Refused`` after an answer that ends the
            connection before all sent data has been read.
        stalled: whether the client does not read its answers.
    """

    def __init__(self, server: Connections) -> None:
        self._server = server
        self._clock = server.clock
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self.since = self._clock()
        self.state = "Idle"
        self.stalled = False
        self._target = b""
        self._content_type = b""
        self._expects = False
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._held_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.opened(self):
            self.refuse(503, "too many connections")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """See :class:`asyncio.Protocol`."""
        self._forget_body()
        self._transport = None
        self._server.closed(self)

    def pause_writing(self) -> None:
        """Stop reading requests until the client reads its answers."""
        self.stalled = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See :meth:`pause_writing`."""
        self.stalled = False
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self.state == "Refused":
            return
        try:
            self._parser.feed_data(data)
            if self._head_bytes > MOST_HEAD_BYTES:  # one piece of data may exceed the limit before this check
                self.refuse(431, f"at most {MOST_HEAD_BYTES} bytes of target and header fields")
        except httptools.HttpParserUpgrade:
            self.refuse(400, "this server speaks HTTP/1.1 and nothing else")
        except httptools.HttpParserError as error:
            self.refuse(400, f"not an HTTP/1.1 request: {error}")

    def on_message_begin(self) -> None:
        """Begin a request. The parser calls this and the methods below, also after a refused request."""
        if self.state == "Refused":
            return
        self.since = self._clock()
        self.state = "Busy"
        self._target = self._content_type = b""
        self._expects = False
        self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Add a piece of the target."""
        self._target += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header field."""
        length = len(name)
        self._head_bytes += length + len(value) + 32
        if length == 12 and name.lower() == b"content-type":
            self._content_type = value
        elif length == 14 and name.lower() == b"content-length":
            if int(value) > MOST_BODY_BYTES:  # the parser has checked that these are digits
                self._too_large()
        elif length == 6 and name.lower() == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Check the head before the body comes."""
        if self._head_bytes > MOST_HEAD_BYTES:
            self.refuse(431, f"at most {MOST_HEAD_BYTES} bytes of target and header fields")
        elif self._expects and self.state == "Busy" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if self.state == "Refused":
            return
        self._pieces.append(piece)
        self._body_bytes += len(piece)
        if self._body_bytes > MOST_BODY_BYTES:
            self._too_large()
        elif self._body_bytes > _SMALL_BODY_BYTES:
            if self._server.hold(len(piece)):
                self._held_bytes += len(piece)
            else:
                self.refuse(503, "too many large requests at once")

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self.state == "Refused":
            return
        method = self._parser.get_method()
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._forget_body()
        try:
            answer = self._server.handler(
                HttpRequest(method, self._target, self._content_type, body, self.since)
            )
        except Exception:
            log.exception("answering %.100r failed", self._target)
            answer = HttpAnswer(b"an error in the server, see its log\n", status=500)
        last = (
            self._server.draining
            or not self._parser.should_keep_alive()
            or self._parser.get_http_version() == "1.0"
        )
        self._write(answer, last=last, head=method == b"HEAD")
        self.since = self._clock()
        self.state = "Idle"
        if last:
            self.state = "Refused"  # ignore further data on this connection
            self.close()

    def refuse(self, status: int, why: str) -> None:
        """Answer before the whole request is read, and discard the rest until the client closes.

        Closing at once would reset the connection, and the answer would be lost.
        """
        if self.state == "Refused":
            return
        self._forget_body()
        self.state = "Refused"
        self.since = self._clock()
        self._write(HttpAnswer(f"{why}\n".encode(), status=status), last=True)

    def close(self) -> None:
        """Close the connection after all data is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, answer: HttpAnswer, *, last: bool, head: bool = False) -> None:
        self._server.answered(answer.status)
        if self._transport is None:
            return
        body = answer.body
        self._transport.write(
            _ANSWER
            % (
                answer.status,
                _REASONS[answer.status],
                answer.content_type,
                len(body),
                b"Connection: close\r\n" if last else b"",
                b"" if head else body,
            )
        )

    def _too_large(self) -> None:
        self.refuse(413, f"at most {MOST_BODY_BYTES} bytes")

    def _forget_body(self) -> None:
        self._pieces = []
        if self._held_bytes:
            self._server.hold(-self._held_bytes)
            self._held_bytes = 0
