"""The output of commands: text for people, JSON and YAML for programs."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

BOLD, RED, YELLOW = "1", "31", "33"
_OWN_CODES = re.compile(rf"(\x1b\[(?:0|{BOLD}|{RED}|{YELLOW})m)")


def add_output_option(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add ``--output``; ``more``: forms in addition to the usual ones."""
    forms = ["table", *more, "json", "yaml"]
    parser.add_argument("-o", "--output", choices=forms, default="table", help="format (default: table)")


def write_structured(value: Any, form: str) -> None:
    """Write a value to standard output as JSON or YAML, with field names in camelCase."""
    import msgspec

    if form == "json":
        sys.stdout.flush()
        encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
        sys.stdout.buffer.write(encoded + b"\n")
        return
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    yaml.dump(
        msgspec.to_builtins(value),
        sys.stdout,
        Dumper=dumper,
        sort_keys=False,
        allow_unicode=True,
    )


def painted(text: str, code: str) -> str:
    """The text in colour or bold, if standard output is a terminal and ``NO_COLOR`` is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def harmless(line: str) -> str:
    """A line of text without what a terminal would obey, but for the codes of :func:`painted`.

    Sentences come from objects of the cluster, which others write.
    """
    if line.isprintable():
        return line
    parts = _OWN_CODES.split(line)
    parts[::2] = ["".join(each if each.isprintable() else "\ufffd" for each in part) for part in parts[::2]]
    return "".join(parts)


def columns(
    rows: Sequence[tuple[str, ...]],
    right: frozenset[int] = frozenset(),
    indent: str = "",
    *,
    pad_last: bool = False,
) -> list[str]:
    """Aligned lines; ``right``: the columns with numbers; ``pad_last``: pad the last column, too."""
    return list(column_lines(rows, right, indent, pad_last=pad_last))


def column_lines(
    rows: Sequence[tuple[str, ...]],
    right: frozenset[int] = frozenset(),
    indent: str = "",
    *,
    pad_last: bool = False,
) -> Iterator[str]:
    """The same lines one after the other, for long tables."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = indent + "  ".join(cells)
        yield line if pad_last else line.rstrip()
