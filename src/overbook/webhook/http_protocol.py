"""HTTP/1.1 for one connection: requests in, answers out, all sizes bounded.

A small request is answered as soon as it is complete, within the callback that received its last byte; a
large one when it is its turn. So the requests of one connection are answered in order. A few may be sent
ahead of their answers (pipelining), but nothing is read while an answer waits for its client.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, Protocol

import httptools
import msgspec

if TYPE_CHECKING:
    from overbook.webhook.tls_connection import TlsConnection

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 8 << 20
"""The largest body. The API server accepts objects of 3 MiB, which may be longer as JSON."""

MOST_HEAD_BYTES: Final = 16 << 10
"""The limit of target and header fields; each field counts 32 bytes in addition."""

MOST_AHEAD: Final = 32
"""The most requests in one piece of at most 16 KiB."""

LARGE_BODY_BYTES: Final = 16 << 10
"""Requests with larger bodies take turns, because each can occupy the process for milliseconds."""

_SMALL_BODY_BYTES: Final = 16 << 10
"""Bodies up to this size do not count towards the limit of all connections."""

_MOST_EXTRA_BYTES: Final = 2 * MOST_HEAD_BYTES
"""The limit of all that is not body: the parser shows a field only when it is complete."""

State = Literal["Idle", "Busy", "Waiting", "Refused"]

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
        body: the whole body, as bytes or a bytearray.
        started: when its first byte arrived, by the server's clock.
    """

    method: bytes
    target: bytes
    content_type: bytes
    body: bytes | bytearray
    started: float


Handler = Callable[[HttpRequest], HttpAnswer]


class Connections(Protocol):
    """The part of the server that its requests use.

    Attributes:
        draining: whether each answer is the last on its connection.
        handler: answers requests.
        clock: seconds.
    """

    draining: bool
    handler: Handler
    clock: Callable[[], float]

    def hold(self, connection: "TlsConnection", more_bytes: int) -> bool:
        """Reserve bytes for a connection. Returns whether there is room; a negative number releases them."""
        ...

    def is_busy(self) -> bool:
        """Whether the others should have their turn before anything more is done for a connection."""
        ...

    def later(self, connection: "TlsConnection", size_bytes: int, work: Callable[[], None]) -> None:
        """Do some work for a connection when it is its turn."""
        ...

    def answered(self, connection: "TlsConnection", status: int) -> None:
        """Count an answer."""
        ...


class HttpProtocol:
    """The requests and answers of one connection.

    Args:
        server: the connection's server.
        wire: carries the bytes.

    Attributes:
        since: when the present state began, by the server's clock.
        state: ``Idle`` between requests, ``Busy`` within one, ``Waiting`` while a large one waits for its
            turn, ``Refused`` after an answer that ends the connection.
    """

    def __init__(self, server: Connections, wire: "TlsConnection") -> None:
        self._server = server
        self._wire = wire
        self._clock = server.clock
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self.since = self._clock()
        self.state: State = "Idle"
        self._last = False
        self._ahead = 0
        self._target = b""
        self._content_type = b""
        self._expects = False
        self._head_bytes = 0
        self._received_bytes = 0
        self._body: bytes | bytearray = b""
        self._body_bytes = 0
        self._held_bytes = 0

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the client, at most a few kilobytes."""
        if self.state == "Refused" or self._parser is None:
            return
        self._ahead = 0
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refuse(400, "this server speaks HTTP/1.1 and nothing else")
        except httptools.HttpParserError as error:
            self.refuse(400, f"not an HTTP/1.1 request: {error}")
        else:
            self._check_head()

    def lost(self) -> None:
        """Forget a connection that is closed."""
        self.ignore()
        self._parser = None  # it refers to this object, and would keep it until the next garbage collection

    def ignore(self) -> None:
        """Answer nothing more on this connection."""
        self._forget_body()
        if self.state != "Refused":
            self.state = "Refused"
            self.since = self._clock()

    def _check_head(self) -> None:
        extra = self._received_bytes - self._body_bytes
        if self._head_bytes > MOST_HEAD_BYTES or (self.state == "Busy" and extra > _MOST_EXTRA_BYTES):
            self.refuse(431, f"at most {MOST_HEAD_BYTES} bytes of target and header fields")

    def on_message_begin(self) -> None:
        """Begin a request. The parser calls this and the methods below, also after a refused request."""
        if self.state == "Refused":
            return
        self._ahead += 1
        if self.state == "Waiting" or self._ahead > MOST_AHEAD:
            self.refuse(503, "wait for the answers before sending more requests")
            return
        self.since = self._clock()
        self.state = "Busy"
        self._target = self._content_type = b""
        self._expects = False
        self._head_bytes = self._body_bytes = self._received_bytes = 0

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
        elif self._expects and self.state == "Busy":
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if self.state == "Refused":
            return
        if not self._body:
            self._body = piece
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        self._body_bytes += len(piece)
        if self._body_bytes > MOST_BODY_BYTES:
            self._too_large()
        elif self._body_bytes > _SMALL_BODY_BYTES:
            if self._server.hold(self._wire, len(piece)):
                self._held_bytes += len(piece)
            else:
                self.refuse(503, "too many large requests at once")

    def on_message_complete(self) -> None:
        """Answer the request, or have it wait for its turn."""
        parser = self._parser
        if self.state == "Refused" or parser is None:
            return
        method = parser.get_method()
        self._last = not parser.should_keep_alive() or parser.get_http_version() == "1.0"
        request = HttpRequest(method, self._target, self._content_type, self._body, self.since)
        if self._body_bytes <= LARGE_BODY_BYTES:
            self.answer(request)
        else:
            self.state = "Waiting"
            self.since = self._clock()
            self._server.later(self._wire, self._body_bytes, lambda: self._answer_in_turn(request))

    def _answer_in_turn(self, request: HttpRequest) -> None:
        if self.state == "Waiting":
            self.answer(request)
            self._wire.flush()

    def answer(self, request: HttpRequest) -> None:
        """Answer a complete request."""
        try:
            answer = self._server.handler(request)
        except Exception:
            log.exception("answering %.100r failed", request.target)
            answer = HttpAnswer(b"an error in the server, see its log\n", status=500)
        self._forget_body()
        last = self._last or self._server.draining
        self._write(answer, last=last, head=request.method == b"HEAD")
        self.since = self._clock()
        self.state = "Idle"
        if last:
            self.state = "Refused"  # ignore further data on this connection
            self._wire.close()

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

    def _write(self, answer: HttpAnswer, *, last: bool, head: bool = False) -> None:
        self._server.answered(self._wire, answer.status)
        body = answer.body
        self._wire.write(
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
        self._body = b""
        if self._held_bytes:
            self._server.hold(self._wire, -self._held_bytes)
            self._held_bytes = 0
