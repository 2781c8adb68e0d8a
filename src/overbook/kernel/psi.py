"""Pressure stall information: /proc/pressure/{cpu,io,memory} and a cgroup's `memory.pressure`.

    some avg10=0.12 avg60=1.34 avg300=0.00 total=123456789
    full avg10=0.00 avg60=0.20 avg300=0.00 total=3456789

"some": at least one task was stalled; "full": all of them were.
Source: kernel Documentation/accounting/psi.rst.
"""

import os
import re
from typing import Literal

import msgspec

from overbook.kernel.files import KernelFileError, read_file, shown, under

_STALL = rb" avg10=(%(p)s) avg60=(%(p)s) avg300=(%(p)s) total=([0-9]{1,20})\n" % {
    b"p": rb"[0-9]{1,3}\.[0-9]{1,4}"
}
_USUAL = re.compile(rb"some" + _STALL + rb"full" + _STALL)
_LINE = re.compile(rb"(?:some|full)" + _STALL)
_TOTALS = re.compile(rb"some [^\n]* total=([0-9]{1,20})\nfull [^\n]* total=([0-9]{1,20})\n")


class Stall(msgspec.Struct, frozen=True, gc=False):
    """The time for which tasks were stalled.

    Attributes:
        avg10: Percent of the time, 0-100, averaged over 10 s.
        avg60: The same over 60 s.
        avg300: The same over 300 s.
        total_micros: Microseconds stalled since boot, or since the cgroup was made.
    """

    avg10: float
    avg60: float
    avg300: float
    total_micros: int


class Pressure(msgspec.Struct, frozen=True, gc=False):
    """The content of one pressure file. `full` is None for the CPU before Linux 5.13."""

    some: Stall | None = None
    full: Stall | None = None


def parse_pressure(data: bytes, path: str = "pressure") -> Pressure:
    """Parse a pressure file; lines of unknown kinds are ignored.

    Raises:
        KernelFileError: A `some` or `full` line is malformed, or neither is there.
    """
    usual = _USUAL.fullmatch(data)
    if usual is not None:
        some10, some60, some300, some, full10, full60, full300, full = usual.groups()
        return Pressure(
            Stall(float(some10), float(some60), float(some300), int(some)),
            Stall(float(full10), float(full60), float(full300), int(full)),
        )
    stalls: dict[bytes, Stall] = {}
    for line in data.splitlines(keepends=True):
        kind = line[:4]
        if kind in {b"some", b"full"}:
            stalls[kind] = _parse_line(line, path)
    if not stalls:
        raise KernelFileError(
            path, f"found {shown(data)}, expected 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0'"
        )
    return Pressure(stalls.get(b"some"), stalls.get(b"full"))


def parse_stall_totals(data: bytes, path: str = "pressure") -> tuple[int | None, int | None]:
    """`some` and `full` of a pressure file in microseconds stalled, faster than `parse_pressure`.

    Raises:
        KernelFileError: As `parse_pressure`.
    """
    usual = _TOTALS.fullmatch(data)
    if usual is not None:
        return int(usual[1]), int(usual[2])
    pressure = parse_pressure(data, path)
    return (
        pressure.some.total_micros if pressure.some else None,
        pressure.full.total_micros if pressure.full else None,
    )


def read_pressure(resource: Literal["cpu", "io", "memory"], root: str | os.PathLike[str] = "/") -> Pressure:
    """The node's pressure on one resource, below `root`.

    Raises:
        MissingKernelFile: The kernel has no PSI, or it is off (boot with `psi=1`).
        KernelFileError: Unreadable, or as `parse_pressure`.
    """
    path = under(root, f"/proc/pressure/{resource}")
    return parse_pressure(read_file(path), path)


def _parse_line(line: bytes, path: str) -> Stall:
    match = _LINE.fullmatch(line)
    if match is None:
        raise KernelFileError(
            path, f"found {shown(line)}, expected 'avg10=0.00 avg60=0.00 avg300=0.00 total=0'"
        )
    avg10, avg60, avg300, total = match.groups()
    return Stall(float(avg10), float(avg60), float(avg300), int(total))
