"""Text for people, JSON and YAML for programs."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

BOLD, RED, YELLOW = "1", "31", "33"


def add_output_option(parser: argparse.ArgumentParser, *more: str) -> None:
    """``--output``; ``more``: other forms than the usual ones."""
    forms = ["table", *more, "json", "yaml"]
    parser.add_argument("-o", "--output", choices=forms, default="table", help="default: table")


def write_structured(value: Any, form: str) -> None:
    """Write a value to standard output as JSON or YAML, its field names in camelCase."""
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
    """The text in colour or bold, where standard output is a terminal and nobody objects (``NO_COLOR``)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def columns(
    rows: Sequence[tuple[str, ...]],
    right: frozenset[int] = frozenset(),
    indent: str = "",
    *,
    pad_last: bool = False,
) -> list[str]:
    """Aligned lines; ``right`` names the columns that hold numbers, ``pad_last``: something follows."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = indent + "  ".join(cells)
        lines.append(line if pad_last else line.rstrip())
    return lines
