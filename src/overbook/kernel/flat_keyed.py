"""Files of `key value` lines, which the kernel's cgroup documentation calls flat keyed.

    anon 1241088
    file 0
    ...

The agent reads `memory.stat` of every container every second and needs a dozen of its sixty keys. A kernel
prints the same keys in the same order each time, so `FlatKeyed` remembers their line numbers and afterwards
only checks them. That takes half the time of a dict or of a search for each key.
"""

import errno
from collections.abc import Callable, Sequence
from operator import itemgetter

import msgspec

from overbook.kernel.files import KernelFileError, shown

_MOST_DIGITS = 20


class _Layout(msgspec.Struct, frozen=True, gc=False):
    """The line numbers of the wanted keys in a file."""

    last_line: int
    lines_of: Callable[[list[bytes]], tuple[bytes, ...]]
    keys: list[bytes]
    missing: tuple[int, ...]  # places of the wanted keys that this kernel does not print
    missing_lines: tuple[bytes, ...]  # how their lines would begin


class FlatKeyed:
    """A parser that picks some keys out of a flat keyed file.

    Args:
        keys: The wanted keys.
        words: The number of words in a line; 3 for /proc/meminfo, whose values are followed by a unit.
    """

    __slots__ = ("_keys", "_layout", "_words")

    def __init__(self, keys: Sequence[bytes], words: int = 2) -> None:
        self._keys = tuple(keys)
        self._words = words
        # One object, so that threads see all of it or none.
        self._layout: _Layout | None = None

    def parse(self, data: bytes, path: str) -> Sequence[int | None]:
        """The values of the wanted keys, in their order; None for a key that is missing or has no number.

        The last line is ignored when it has no line end: its number may be cut off.

        Raises:
            KernelFileError: None of the wanted keys exists.
        """
        layout = self._layout
        if layout is not None:
            # The remainder after the last wanted line stays in one piece.
            lines = data.split(b"\n", layout.last_line + 1)
            if len(lines) > layout.last_line + 1:
                words = b" ".join(layout.lines_of(lines)).split()
                texts = words[1 :: self._words]
                if (
                    words[:: self._words] == layout.keys
                    and b"".join(texts).isdigit()
                    and max(map(len, texts)) <= _MOST_DIGITS
                ):
                    values: list[int | None] = list(map(int, texts))
                    if not layout.missing:
                        return values
                    if not any(line in data for line in layout.missing_lines):
                        for place in layout.missing:
                            values.insert(place, None)
                        return values
        return self._parse_lines(data, path)

    def _parse_lines(self, data: bytes, path: str) -> list[int | None]:
        lines = data[: data.rfind(b"\n") + 1].split(b"\n")
        values: dict[bytes, int] = {}
        places: dict[bytes, int] = {}
        for place, line in enumerate(lines):
            words = line.split()
            if (
                len(words) > 1
                and words[1].isdigit()
                and len(words[1]) <= _MOST_DIGITS
                and words[0] not in values
            ):
                values[words[0]] = int(words[1])
                if len(words) == self._words:
                    places[words[0]] = place
        wanted = [values.get(key) for key in self._keys]
        if all(value is None for value in wanted):
            example = self._keys[0].decode() + " 0"
            raise KernelFileError(path, f"found {shown(data)}, expected lines such as {example!r}")
        self._learn(places)
        return wanted

    def _learn(self, places: dict[bytes, int]) -> None:
        present = [key for key in self._keys if key in places]
        if len(present) < 2:  # itemgetter of one key returns no tuple
            return
        missing = tuple(place for place, key in enumerate(self._keys) if key not in places)
        end = b" " if self._words == 2 else b""  # the keys of /proc/meminfo include their colon
        self._layout = _Layout(
            last_line=max(places[key] for key in present),
            lines_of=itemgetter(*(places[key] for key in present)),
            keys=present,
            missing=missing,
            missing_lines=tuple(b"\n" + self._keys[place] + end for place in missing),
        )


# 2^64 - 1 has twenty digits; no counter of the kernel is wider.
_MOST_DIGITS = 20


def parse_value(data: bytes, path: str = "value") -> int:
    """The number in a single-value file, 0 or more.

    Raises:
        KernelFileError: Empty, cut off (no line end), negative, or no number of at most 20 digits.
    """
    text = data[:-1]
    if text.isdigit() and len(text) <= _MOST_DIGITS and data.endswith(b"\n"):
        return int(text)
    raise KernelFileError(
        path, f"found {shown(data)}, expected one number of at most 20 digits and a line end"
    )


def parse_limit(data: bytes, path: str = "limit") -> int | None:
    """The number in a single-value file; None is `max`, no limit.

    Raises:
        KernelFileError: As `parse_value`.
    """
    return None if data == b"max\n" else parse_value(data, path)


def render_limit(value: int | None, path: str = "limit") -> bytes:
    """The text to write for a limit: the number, or `max` for None.

    Raises:
        KernelFileError: `value` is negative.
    """
    if value is None:
        return b"max\n"
    if value < 0:
        raise KernelFileError(
            path, f"cannot write {value}: a limit is 0 or more, or None for max", errno.EINVAL
        )
    return b"%d\n" % value
