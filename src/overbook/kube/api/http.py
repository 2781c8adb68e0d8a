"""HTTP/1.1 as bytes: write a request, read an answer's head and body. All sizes are bounded.

Source: RFC 9112. Malformed data is refused, never guessed: after a wrong guess about the end of a body, its
bytes would be read as the next answer.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

MOST_HEAD_BYTES: Final = 64 << 10
"""The largest head; also the limit of a stream's buffer, and so of each line."""
MOST_HEADERS: Final = 100
MOST_INTERIM_ANSWERS: Final = 5
PIECE_BYTES: Final = 256 << 10
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_UNRESERVED: Final = frozenset(b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


MOST_LINE_BYTES: Final = 8 << 10
MOST_TRAILERS: Final = 100
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")


class ChunkError(Exception):
    """The bytes are not a chunked body."""


class Chunks:
    """A decoder of a chunked body, fed as the bytes arrive.

    Attributes:
        ended: whether the last chunk and the trailer have arrived.
        rest: bytes that are not decoded yet; after the end, bytes that do not belong to the body.
    """

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._left = 0
        self._closes = False
        self._trailers = -1

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes and return the part of the body in them; empty: nothing yet.

        Raises:
            ChunkError: the bytes are malformed.
        """
        raw = self.rest + data if self.rest else data
        at, size = 0, len(raw)
        pieces: list[bytes] = []
        while not self.ended:
            if self._left:
                piece = raw[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._closes = self._left == 0
                continue
            end = raw.find(b"\r\n", at, at + MOST_LINE_BYTES)
            if end < 0:
                if size - at >= MOST_LINE_BYTES:
                    raise ChunkError("a line without an end in a chunked body")
                break
            self._line(raw[at:end])
            at = end + 2
        self.rest = raw[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, line: bytes) -> None:
        """Handle a line between data: a chunk's size, the end of a chunk, or a trailer field."""
        if self._closes:
            if line:
                raise ChunkError("a chunk longer than its size")
            self._closes = False
        elif self._trailers >= 0:
            self.ended = not line
            self._trailers += 1
            if self._trailers > MOST_TRAILERS:
                raise ChunkError(f"more than {MOST_TRAILERS} trailer fields")
        else:
            digits = line.partition(b";")[0].strip(b" \t")
            if not digits or len(digits) > 15 or not _HEXADECIMAL.issuperset(digits):
                raise ChunkError(f"not a chunk's size: {digits[:40]!r}")
            self._left = int(digits, 16)
            self._trailers = -1 if self._left else 0


class HttpError(Exception):
    """The bytes are not HTTP, end too early, or are too many."""


class NothingCame(HttpError):  # noqa: N818 - named after the problem
    """The connection ended before the first byte of an answer."""


class Head(msgspec.Struct, frozen=True):
    """An answer's status and header fields, with names in lower case."""

    status: int
    fields: dict[str, str]

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return "close" not in self.fields.get("connection", "").lower()


def percent_encoded(text: str) -> str:
    """A path segment or a query value with all characters escaped except unreserved ones (RFC 3986)."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def query_string(values: Iterable[tuple[str, str]]) -> str:
    """The query ``?a=b&c=d`` of all pairs that have a value; empty if there is none."""
    pairs = "&".join(f"{percent_encoded(name)}={percent_encoded(value)}" for name, value in values if value)
    return f"?{pairs}" if pairs else ""


def request_bytes(method: str, target: str, fields: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The bytes of a whole request.

    Raises:
        HttpError: a field contains a line break, which would begin another field.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if body or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise HttpError("a line break within a header field")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read the head of the final answer; interim answers (1xx) are skipped.

    Raises:
        NothingCame: the stream ended before the head began.
        HttpError: the head is malformed, too large, or incomplete.
    """
    for _ in range(MOST_INTERIM_ANSWERS):
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise NothingCame("the connection ended without an answer") from error
            raise HttpError("the connection ended within the header") from error
        except asyncio.LimitOverrunError as error:
            raise HttpError(f"a header of more than {MOST_HEAD_BYTES >> 10} KiB") from error
        head = parse_head(raw)
        if head.status >= 200:
            return head
        if head.status == 101:
            break
    raise HttpError("interim answers where a final one was expected")


def parse_head(raw: bytes) -> Head:
    """Parse a head, which includes the empty line at its end.

    Raises:
        HttpError: the head is malformed.
    """
    first, *lines = raw[:-4].split(b"\r\n")
    version, _, rest = first.partition(b" ")
    code, _, _ = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(code) != 3 or not code.isdigit() or code < b"100":
        raise HttpError(f"not an HTTP/1.1 status line: {first[:60]!r}")
    if len(lines) > MOST_HEADERS:
        raise HttpError(f"more than {MOST_HEADERS} header fields")
    fields: dict[str, str] = {}
    if version == b"HTTP/1.0":
        fields["connection"] = "close"
    for line in lines:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not raw_name or not _TOKEN.issuperset(raw_name) or b"\n" in raw_value:
            raise HttpError(f"not a header field: {line[:60]!r}")
        name, value = raw_name.decode("ascii").lower(), raw_value.strip(b" \t").decode("latin-1")
        if name in fields and name in ("content-length", "transfer-encoding") and fields[name] != value:
            raise HttpError(f"two different values of {name}")
        fields[name] = f"{fields[name]}, {value}" if name in fields and name == "connection" else value
    return Head(int(code), fields)


class Body:
    """The body of an answer, decoded while it arrives.

    Args:
        reader: the stream, positioned after the head.
        head: the answer's head.

    Raises:
        HttpError: the end of the body cannot be determined.
    """

    def __init__(self, reader: asyncio.StreamReader, head: Head) -> None:
        self._reader = reader
        self._chunks: Chunks | None = None
        self._left: int | None = 0
        self.ended = False
        coding = head.fields.get("transfer-encoding")
        length = head.fields.get("content-length")
        if head.status in (204, 304):
            self.ended = True
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise HttpError(f"a body of unknown length (transfer-encoding {coding[:40]!r})")
            self._chunks = Chunks()
        elif length is not None:
            if not length.isascii() or not length.isdigit() or len(length) > 15:
                raise HttpError(f"not a content-length: {length[:40]!r}")
            self._left = int(length)
            self.ended = self._left == 0
        elif head.status < 400:
            # The body would end with the connection, and could not be told from one that was cut off.
            raise HttpError("a body without a length")
        else:  # an error of the HTTP layer, for example plain HTTP on a TLS port
            self._left = None

    @property
    def stray(self) -> bool:
        """Whether bytes arrived after the body's end."""
        return self.ended and self._chunks is not None and bool(self._chunks.rest)

    async def read(self) -> bytes:
        """Read the next piece, of at most :data:`PIECE_BYTES`; empty at the end.

        Raises:
            HttpError: the body is malformed or ends too early.
        """
        if self._chunks is not None:
            return await self._read_chunks(self._chunks)
        if self.ended:
            return b""
        piece = await self._reader.read(PIECE_BYTES if self._left is None else min(self._left, PIECE_BYTES))
        if self._left is None:
            self.ended = not piece
        elif not piece:
            raise HttpError(f"the connection ended {self._left} bytes before the end of the body")
        else:
            self._left -= len(piece)
            self.ended = self._left == 0
        return piece

    async def _read_chunks(self, chunks: Chunks) -> bytes:
        """Read bytes until they contain a part of the body, and return that part."""
        piece = b""
        while not piece and not self.ended:
            data = await self._reader.read(PIECE_BYTES)
            if not data:
                raise HttpError("the connection ended within the body")
            try:
                piece = chunks.feed(data)
            except ChunkError as error:
                raise HttpError(str(error)) from error
            self.ended = chunks.ended
        return piece
