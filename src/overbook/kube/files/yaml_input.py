"""What the YAML reader reads from: text in memory, or a file that is longer than what is held in memory."""

import re
from typing import Any, BinaryIO, Final, Protocol, Self

KEPT_BYTES: Final = 1 << 20
"""So much of what libyaml has read is kept, to quote a malformed line and to go on after it."""
_SEPARATOR: Final = re.compile(r"^---(?=[ \t\r]|$)", re.MULTILINE)
_SEPARATOR_BYTES: Final = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_JOINED: Final = b"\n\xef\xbb\xbf"
"""Where two files with a byte order mark were joined."""


class YamlInput(Protocol):
    """A source of YAML. Lines are counted from 1."""

    @property
    def stream(self) -> Any:
        """What libyaml reads."""

    def line(self, number: int) -> str:
        """A line, for a message; empty: it is not in memory."""

    def line_at(self, position: int) -> int:
        """The line of a character (of text) or a byte (of a file); 0: it is not in memory."""

    def after(self, line: int) -> Self | None:
        """The input from the next ``---`` below a line on; ``None``: there is none."""


class YamlText:
    """YAML in memory.

    Args:
        text: the YAML.
        lines_before: the number of lines of the file before it.
    """

    def __init__(self, text: str, lines_before: int = 0) -> None:
        # Lines are counted by the parser, so those before the text are given to it.
        self.stream = "\n" * lines_before + text

    def line(self, number: int) -> str:
        """A line; empty: there is none."""
        lines = self.stream.split("\n", number)
        return lines[number - 1] if len(lines) >= number else ""

    def line_at(self, position: int) -> int:
        """The line of a character that libyaml counts in bytes."""
        return self.stream.encode()[:position].count(b"\n") + 1

    def after(self, line: int) -> "YamlText | None":
        """The text from the next ``---`` below a line on; ``None``: there is none."""
        offset = 0
        for _ in range(line):
            offset = self.stream.find("\n", offset) + 1
            if not offset:
                return None
        match = _SEPARATOR.search(self.stream, offset)
        if match is None:
            return None
        return YamlText(self.stream[match.start() :], self.stream.count("\n", 0, match.start()))


class YamlFile:
    """YAML of any length, of which one part is in memory.

    Args:
        start: the part that has been read already.
        rest: the file, behind that.
        lines_before: the number of lines of the file before ``start``.
    """

    def __init__(self, start: bytes, rest: BinaryIO, lines_before: int = 0) -> None:
        self._rest = rest
        self._lines_before = lines_before
        self._unread = b"\n" * lines_before + start
        self._at = 0
        self._kept = b""
        self._kept_from = 1  # the line in which the kept part begins
        self._kept_at = 0  # the number of bytes before it

    @property
    def stream(self) -> "YamlFile":
        """This object: libyaml calls :meth:`read`."""
        return self

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""
        if self._at >= len(self._unread):
            self._unread, self._at = self._rest.read(KEPT_BYTES), 0
        block = self._unread[self._at : self._at + size]
        self._at += len(block)
        if _JOINED in block:
            block = block.replace(_JOINED, b"\n")
        self._keep(block)
        return block

    def _keep(self, block: bytes) -> None:
        self._kept += block
        if len(self._kept) > 2 * KEPT_BYTES:
            dropped = self._kept[:-KEPT_BYTES]
            self._kept_from += dropped.count(b"\n")
            self._kept_at += len(dropped)
            self._kept = self._kept[-KEPT_BYTES:]

    def line(self, number: int) -> str:
        """A line; empty: it is not in memory."""
        place = number - self._kept_from
        lines = self._kept.split(b"\n", place + 1) if place >= 0 else []
        return lines[place].decode("utf-8", "replace") if len(lines) > place >= 0 else ""

    def line_at(self, position: int) -> int:
        """The line of a byte; 0: it is not in memory."""
        place = position - self._kept_at
        return self._kept_from + self._kept.count(b"\n", 0, place) if place >= 0 else 0

    def after(self, line: int) -> "YamlFile | None":
        """The file from the next ``---`` below a line on; ``None``: there is none."""
        data, first = self._kept + self._unread[self._at :], self._kept_from
        offset = 0
        for _ in range(max(0, line - first + 1)):
            offset = data.find(b"\n", offset) + 1
            if not offset:
                offset = len(data)
                break
        while True:
            match = _SEPARATOR_BYTES.search(data, offset)
            # A separator at the end may be the beginning of a longer word.
            if match is not None and match.end() < len(data):
                start = match.start()
                return YamlFile(data[start:], self._rest, first - 1 + data.count(b"\n", 0, start))
            cut = max(offset, len(data) - KEPT_BYTES)
            first += data.count(b"\n", 0, cut)
            block = self._rest.read(KEPT_BYTES)
            if not block:
                return None
            data, offset = data[cut:] + block, 0
