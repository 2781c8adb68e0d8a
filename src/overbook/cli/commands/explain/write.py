"""The report of ``explain`` as JSON or YAML; that of many pods is written in pieces."""

import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from overbook.cli.output import write_structured
from overbook.explain.report import Explanation

_MANY: Final = 2_000
_PIECE: Final = 500


def write_report(report: Explanation, form: str) -> None:
    """Write the report to standard output."""
    if form != "json" or len(report.pods) <= _MANY:
        write_structured(report, form)
        return
    sys.stdout.flush()
    for text in _pieces(report):
        sys.stdout.buffer.write(text)


def _pieces(report: Explanation) -> Iterator[bytes]:
    """The same text as that of the whole report, without holding all of it in memory."""
    before = b"{\n"
    for field in msgspec.structs.fields(Explanation):
        value: Any = getattr(report, field.name)
        if not field.required and not value:
            continue
        yield before + f'  "{field.encode_name}": '.encode()
        before = b",\n"
        if isinstance(value, tuple) and value:
            yield from _list(value)
        else:
            yield _indented(value)
    yield b"\n}\n"


def _list(values: tuple[Any, ...]) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(values), _PIECE):
        # Without the brackets around the piece, and the last line break.
        yield (b"," if start else b"") + _indented(values[start : start + _PIECE])[1:-4]
    yield b"\n  ]"


def _indented(value: Any) -> bytes:
    formatted = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return formatted.replace(b"\n", b"\n  ")
