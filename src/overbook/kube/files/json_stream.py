"""JSON of any length, read object by object: documents back to back, and the items of lists one at a time.

Only one object and one block of the input are in memory. The items of a list that ``kubectl`` printed are
found by their indentation, which is fast; those of any other list by counting brackets.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.kube.files.json_documents import malformed

BLOCK_BYTES: Final = 1 << 20
LONGEST_OBJECT_BYTES: Final = 64 << 20
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""A whole string, one that is cut off (its group is empty), or a bracket."""
_SPACE: Final = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*+")
_BETWEEN: Final = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf|(?<![^\n])(?:---|\.\.\.)[ \t]*+(?=[\r\n]|\Z))*+")
_SCALAR: Final = re.compile(rb"[^,}\]\s]*+")
_INDENT: Final = re.compile(rb"\[\r?\n( +)\{")


class Reader(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


class StreamedObject(msgspec.Struct, frozen=True, gc=False):
    """An object of the stream.

    Attributes:
        document: the position of its document, from 1.
        line: the first line of its document, from 1.
        item: its position in a list, from 1; 0: it is a document of its own.
        value: a mapping, or a :class:`Pod`.
    """

    document: int
    line: int
    item: int
    value: Any


class _Buffer:
    """The unread part of the input that is in memory."""

    def __init__(self, reader: Reader, name: str, start: bytes, lines_before: int) -> None:
        self._reader = reader
        self.name = name
        self.data = start
        self.at = 0
        self._lines_before = lines_before
        self._ended = False

    @property
    def line(self) -> int:
        return self._lines_before + self.data.count(b"\n", 0, self.at) + 1

    def more(self, size: int = BLOCK_BYTES) -> bool:
        """Read another block. Returns whether there was any."""
        if self._ended:
            return False
        if len(self.data) - self.at > LONGEST_OBJECT_BYTES:
            raise InvalidInput(
                f"{self.name}, line {self.line}", "an object of more than 64 MiB", "smaller objects"
            )
        block = self._reader.read(size)
        self._ended = not block
        self._lines_before += self.data.count(b"\n", 0, self.at)
        self.data = self.data[self.at :] + block
        self.at = 0
        return bool(block)

    def skip(self, pattern: "re.Pattern[bytes]" = _SPACE) -> bytes:
        """Skip what lies between values. Returns the next byte; empty at the end."""
        while True:
            match = pattern.match(self.data, self.at)
            end = match.end() if match else self.at
            # A separator at the end of the block may be cut.
            if len(self.data) - end > 8 or not self.more():
                break
        match = pattern.match(self.data, self.at)
        self.at = match.end() if match else self.at
        return self.data[self.at : self.at + 1]

    def value(self) -> bytes:
        """The next value as text, which is skipped."""
        if not self.skip():
            self.refuse("truncated")
        while True:
            end = _end(self.data, self.at)
            if end is not None and (end < len(self.data) or not self.more()):
                break
            # A long value is looked at again from its beginning, so each time more of it is read.
            if end is None and not self.more(max(BLOCK_BYTES, len(self.data) - self.at)):
                self.refuse("truncated")
        text = self.data[self.at : end]
        self.at += len(text)
        return text

    def expect(self, wanted: bytes) -> bytes:
        found = self.skip()
        if not found or found not in wanted:
            self.refuse("truncated" if not found else f"expected one of '{wanted.decode()}' (byte {self.at})")
        self.at += 1
        return found

    def refuse(self, problem: str) -> None:
        error = malformed(self.data, self.name, problem, self._lines_before)
        raise error


def _end(data: bytes, start: int) -> int | None:
    """The end of the value that begins at ``start``; ``None``: it is not whole."""
    first = data[start : start + 1]
    if first not in (b"{", b"[", b'"'):
        match = _SCALAR.match(data, start)
        return match.end() if match else start
    depth = 0
    for token in _TOKEN.finditer(data, start):
        mark = data[token.start()]
        if mark == 0x22:
            if not token[1]:
                return None
            if not depth:
                return token.end()
        elif mark in (0x7B, 0x5B):
            depth += 1
        else:
            depth -= 1
            if not depth:
                return token.end()
    return None


def document_ends(data: bytes) -> Iterator[int]:
    """Where each of the JSON documents ends that stand back to back; the last one ends with the text."""
    at = 0
    while True:
        start = _SPACE.match(data, at)
        end = _end(data, start.end() if start else at)
        if end is None or end <= at or not data[end:].strip():
            yield len(data)
            return
        yield end
        at = end


class JsonStream:
    """The objects of a JSON stream; the items of lists are read one at a time.

    Args:
        reader: the rest of the input.
        name: the file, for messages.
        start: the part of the input that has been read already.
        refuse: gets the error of an item that is not valid; reading goes on with the next one.
        lines_before: the number of lines of the file before ``start``.

    Attributes:
        documents: the number of documents that have begun.
        line: the first line of the last one, from 1.
    """

    def __init__(
        self,
        reader: Reader,
        name: str,
        start: bytes,
        refuse: Callable[[InvalidInput], None],
        lines_before: int = 0,
    ) -> None:
        self.documents = 0
        self.line = lines_before + 1
        self._buffer = _Buffer(reader, name, start, lines_before)
        self._refuse = refuse

    def objects(self) -> Iterator[StreamedObject]:
        """The objects.

        Raises:
            InvalidInput: the input is not JSON; what follows cannot be read.
        """
        while self._buffer.skip(_BETWEEN):
            self.documents += 1
            self.line = self._buffer.line
            yield from self._document()

    def _document(self) -> Iterator[StreamedObject]:
        buffer, document, line = self._buffer, self.documents, self.line
        if buffer.skip() != b"{":
            yield StreamedObject(document, line, 0, _decoded(buffer, buffer.value()))
            return
        buffer.at += 1
        fields: dict[str, Any] = {}
        items = False
        while buffer.skip() != b"}":
            key = _decoded(buffer, buffer.value())
            buffer.expect(b":")
            if key == "items" and buffer.skip() == b"[":
                items = True
                for item, value in enumerate(_items(buffer, fields, self._refuse), 1):
                    yield StreamedObject(document, line, item, value)
            else:
                buffer.skip()
                fields[str(key)] = _decoded(buffer, buffer.value())
            if buffer.expect(b",}") == b"}":
                break
        else:
            buffer.at += 1
        if not items:
            yield StreamedObject(document, line, 0, fields)


def _items(buffer: _Buffer, fields: dict[str, Any], refuse: Callable[[InvalidInput], None]) -> Iterator[Any]:
    """The items of a list, its opening bracket included."""
    while len(buffer.data) - buffer.at < 4096 and buffer.more():
        pass
    indented = _INDENT.match(buffer.data, buffer.at)
    between = b"\n" + indented[1] + b"},\n" + indented[1] + b"{" if indented else b""
    buffer.at += 1
    kind = str(fields.get("kind", "")).removesuffix("List")
    version = fields.get("apiVersion")
    while buffer.skip() != b"]":
        text = _indented(buffer, between) if between else None
        value = None if text is None else _item(text, kind, version)
        if value is None:
            text = buffer.value()
            value = _item(text, kind, version)
            if value is None:
                value = _decoded(buffer, text, refuse)
        else:
            buffer.at += len(text or b"")
        if value is not _REFUSED:
            yield value
        if buffer.expect(b",]") == b"]":
            return
    buffer.at += 1


_REFUSED: Final = object()


def _indented(buffer: _Buffer, between: bytes) -> bytes | None:
    """The text of an item up to where the next one begins by the indentation; ``None``: that is not found."""
    end = buffer.data.find(between, buffer.at)
    while end < 0 and len(buffer.data) - buffer.at < BLOCK_BYTES and buffer.more():
        end = buffer.data.find(between, buffer.at)
    return None if end < 0 else buffer.data[buffer.at : end + between.index(b",")]


def _item(text: bytes, kind: str, version: Any) -> Any:
    """An item as a pod or a mapping; ``None``: the text is not one JSON object."""
    try:
        pod = _POD.decode(text)
        if pod.kind == "Pod" and pod.api_version == "v1":
            return pod
        if pod.kind is None and kind == "Pod" and version == "v1":
            return pod
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, dict) and kind and "kind" not in value:
        value = {"kind": kind, "apiVersion": version, **value}
    return value if value is not None else _REFUSED


def _decoded(buffer: _Buffer, text: bytes, refuse: Callable[[InvalidInput], None] | None = None) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        problem = "too many levels of nesting"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = str(error).partition(" (byte ")[0]
        if "truncated" in problem:
            problem = "it is cut off"
    found = text[:80].decode("utf-8", "replace")
    wrong = InvalidInput(f"{buffer.name}, line {buffer.line}", found, f"JSON ({problem})")
    if refuse is None:
        raise wrong
    refuse(wrong)
    return _REFUSED


_POD: Final = msgspec.json.Decoder(Pod)
