"""The sources of manifests: files, directories and standard input, each read once."""

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from overbook.core.errors import InvalidInput

MAX_JSON_BYTES: Final = 64 << 20
AT_ONCE_BYTES: Final = 16 << 20
"""The most that is read at once; what is longer is read object by object, if it is JSON."""
MAX_YAML_BYTES: Final = 10 << 20
STANDARD_INPUT: Final = "-"
_SUFFIXES: Final = (".json", ".yaml", ".yml")


class Source(msgspec.Struct, frozen=True, gc=False):
    """The content of one source of manifests.

    Attributes:
        name: the name that the user gave, for messages.
        data: the content, or as much of it as is read at once.
        rest: where the content goes on, if there is more of it. It is open until the next source is taken.
    """

    name: str
    data: bytes
    rest: BinaryIO | None = None


def read_sources(paths: list[str], standard_input: BinaryIO | None = None) -> Iterator[Source]:
    """The content of each path, in order; ``-`` means standard input, a directory means its manifest files.

    Args:
        paths: files, directories or ``-``.
        standard_input: the stream for ``-``; default: this process's.

    Raises:
        InvalidInput: a directory holds no manifest.
        OSError: a file cannot be read.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            yield _begun(standard_input or sys.stdin.buffer, "standard input")
            continue
        for name in manifest_files(path) if os.path.isdir(path) else [path]:
            with open(name, "rb") as file:
                yield _begun(file, name)


def manifest_files(directory: str) -> list[str]:
    """The ``.json``, ``.yaml`` and ``.yml`` files in a directory, sorted; no hidden ones, no subdirectories.

    Raises:
        InvalidInput: there is no such file.
        OSError: the directory cannot be listed.
    """
    with os.scandir(directory) as entries:
        files = sorted(
            entry.path
            for entry in entries
            if entry.name.endswith(_SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )
    if not files:
        raise InvalidInput("directory", directory, "at least one .json, .yaml or .yml file in it")
    return files


def read_source(path: str) -> Source:
    """Read one file.

    Raises:
        InvalidInput: the file is too large.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return Source(path, _bounded(file, path))


def _begun(file: BinaryIO, name: str) -> Source:
    data = file.read(AT_ONCE_BYTES)
    # One more block shows whether that was all.
    more = file.read(1) if len(data) == AT_ONCE_BYTES else b""
    return Source(name, data + more, file if more else None)


def _bounded(file: BinaryIO, name: str) -> bytes:
    # One byte more than allowed is read, so that an endless device or pipe is noticed.
    data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise InvalidInput(name, "more than 64 MiB", "at most 64 MiB a file; split it")
    return data
