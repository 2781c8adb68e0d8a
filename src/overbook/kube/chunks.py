"""The chunked transfer coding taken off, many chunks at a time: an API server sends each object as its own.

No I/O. Source: RFC 9112 section 7.1. What is malformed is refused, never guessed.
"""

from typing import Final

MOST_LINE_BYTES: Final = 8 << 10
MOST_TRAILERS: Final = 100
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")


class ChunkError(Exception):
    """The bytes are no chunks."""


class Chunks:
    """Takes a body apart as it comes.

    Attributes:
        ended: whether the last chunk and what follows it have come.
        rest: bytes that came and are not understood yet; after the end: that do not belong to the body.
    """

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._left = 0
        self._closes = False
        self._trailers = -1

    def feed(self, data: bytes) -> bytes:
        """What of the body is in these bytes and those before them; empty: nothing yet.

        Raises:
            ChunkError: they are malformed.
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
        """A line between data: a chunk's size, the end of one, or a trailer field."""
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
