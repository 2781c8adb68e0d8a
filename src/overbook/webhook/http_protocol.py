"""HTTP/1.1 for one connection: requests in, answers out, everything bounded.

A request is answered as soon as it is complete, within the callback that brought its last byte. So the
requests of one connection are answered in their order, and whoever pipelines gets what they asked for.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools
import msgspec

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 8 << 20
"""The API server takes objects of 3 MiB, and as JSON they are longer than as it received them."""

MOST_HEAD_BYTES: Final = 16 << 10
"""Target and header fields; each field counts 32 bytes more than it has."""

_SMALL_BODY_BYTES: Final = 64 << 10
"""Bodies up to here are not counted against what all connections may hold together."""

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
    """What goes back."""

    body: bytes
    content_type: bytes = TEXT
    status: int = 200


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """A complete request.

    Attributes:
        method: ``POST``.
        target: path and query.
        content_type: as sent, empty: none was.
        body: all of it.
        started: when its first byte was there, by the server's clock.
    """

    method: bytes
    target: bytes
    content_type: bytes
    body: bytes
    started: float


Handler = Callable[[HttpRequest], HttpAnswer]


class Connections(Protocol):
    """The server, as its connections see it.

    Attributes:
        draining: whether each answer is to be the last on its connection.
        handler: answers requests.
        clock: seconds.
    """

    draining: bool
    handler: Handler
    clock: Callable[[], float]

    def opened(self, connection: "HttpProtocol") -> bool:
        """Whether there is room for it."""
        ...

    def closed(self, connection: "HttpProtocol") -> None:
        """It is gone."""
        ...

    def hold(self, more_bytes: int) -> bool:
        """Whether there is room for so many more bytes of bodies; a negative number gives them back."""
        ...

    def answered(self, status: int) -> None:
        """An answer went out."""
        ...


class HttpProtocol(asyncio.Protocol):
    """One connection.

    Args:
        server: whose it is.

    Attributes:
        since: when the present state began, by the server's clock.
        state: ``Idle`` between requests, ``Busy`` within one, ``Refused`` after an answer that ends the
            connection before everything that was sent has been read.
        stalled: whether the other side does not take its answers.
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
        """Answers pile up: nothing more is read until they are taken."""
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
            if self._head_bytes > MOST_HEAD_BYTES:  # within what one piece of data can add
                self.refuse(431, f"at most {MOST_HEAD_BYTES} bytes of target and header fields")
        except httptools.HttpParserUpgrade:
            self.refuse(400, "this server speaks HTTP/1.1 and nothing else")
        except httptools.HttpParserError as error:
            self.refuse(400, f"not an HTTP/1.1 request: {error}")

    def on_message_begin(self) -> None:
        """Called by the parser, as all that follows; also for what was pipelined behind a refused request."""
        if self.state == "Refused":
            return
        self.since = self._clock()
        self.state = "Busy"
        self._target = self._content_type = b""
        self._expects = False
        self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        length = len(name)
        self._head_bytes += length + len(value) + 32
        if length == 12 and name.lower() == b"content-type":
            self._content_type = value
        elif length == 14 and name.lower() == b"content-length":
            if int(value) > MOST_BODY_BYTES:  # the parser has seen that these are digits
                self._too_large()
        elif length == 6 and name.lower() == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """The body comes next."""
        if self._head_bytes > MOST_HEAD_BYTES:
            self.refuse(431, f"at most {MOST_HEAD_BYTES} bytes of target and header fields")
        elif self._expects and self.state == "Busy" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
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
        """Answer."""
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
            answer = HttpAnswer(b"this is a defect of the server, see its log\n", status=500)
        last = (
            self._server.draining
            or not self._parser.should_keep_alive()
            or self._parser.get_http_version() == "1.0"
        )
        self._write(answer, last=last, head=method == b"HEAD")
        self.since = self._clock()
        self.state = "Idle"
        if last:
            self.state = "Refused"  # whatever comes now on this connection
            self.close()

    def refuse(self, status: int, why: str) -> None:
        """Answer without having read everything; what still comes is thrown away until the other side ends.

        Closing at once would reset the connection, and the answer would be lost with it.
        """
        if self.state == "Refused":
            return
        self._forget_body()
        self.state = "Refused"
        self.since = self._clock()
        self._write(HttpAnswer(f"{why}\n".encode(), status=status), last=True)

    def close(self) -> None:
        """End the connection when what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
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
