"""The files /proc/swaps and /proc/pressure are parsed, and triggers are set."""

from pathlib import Path

import pytest

from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.pressure_trigger import PressureTrigger
from overbook.kernel.psi import Pressure, Stall, parse_pressure, read_pressure
from overbook.kernel.swaps import SwapArea, parse_swaps, read_swaps
from overbook_sandbox.fakes.kernel_files import make_node

HEADER = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", ()),
        (
            b"/dev/vda2                               partition\t1048572\t\t12\t\t-2\n",
            (SwapArea("/dev/vda2", "partition", 1048572 * 1024, 12 * 1024, -2),),
        ),
        (b"/my\\040swap file 8 4 10\n", (SwapArea("/my swap", "file", 8192, 4096, 10),)),
        (b"/a\\134b\\011 file 8 4 10\n", (SwapArea("/a\\b\t", "file", 8192, 4096, 10),)),
        (b"/swap\\040(deleted) file 8 4 -3\n", (SwapArea("/swap", "file", 8192, 4096, -3, deleted=True),)),
        (b"/swap (deleted) file 8 4 -3\n", (SwapArea("/swap", "file", 8192, 4096, -3, deleted=True),)),
        (b"/\\377 file 8 4 -3\n", (SwapArea("/\\xff", "file", 8192, 4096, -3),)),
    ],
)
def test_swap_areas_are_parsed(lines: bytes, expected: tuple[SwapArea, ...]) -> None:
    assert parse_swaps(HEADER + lines) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage\n",
        HEADER + b"/dev/vda2 partition 1048572 0\n",
        HEADER + b"/dev/vda2 partition -1 0 0\n",
        HEADER + b"/dev/vda2 partition 1048572 0 -2",
        HEADER + b"/dev/vda2 partition 99999999999999999999 0 -2\n",
    ],
)
def test_a_swap_area_is_never_left_out(data: bytes) -> None:
    with pytest.raises(KernelFileError, match=r"^/proc/swaps: "):
        parse_swaps(data)


def test_swap_areas_are_read_on_nodes_with_and_without_swap(tmp_path: Path) -> None:
    make_node(tmp_path / "with", swap_total_bytes=1 << 30, swap_free_bytes=1 << 29)
    make_node(tmp_path / "without", swap_total_bytes=0)

    assert [(area.size_bytes, area.used_bytes) for area in read_swaps(tmp_path / "with")] == [
        (1 << 30, 1 << 29)
    ]
    assert read_swaps(tmp_path / "without") == ()


SOME = b"some avg10=0.12 avg60=1.34 avg300=100.00 total=123456789\n"
FULL = b"full avg10=0.00 avg60=0.20 avg300=0.00 total=18446744073709551615\n"
SOME_STALL = Stall(0.12, 1.34, 100.0, 123456789)
FULL_STALL = Stall(0.0, 0.2, 0.0, 2**64 - 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SOME + FULL, Pressure(SOME_STALL, FULL_STALL)),
        (FULL + SOME, Pressure(SOME_STALL, FULL_STALL)),
        (SOME, Pressure(SOME_STALL, None)),
        (b"most avg10=x\n" + SOME + b"new line\n" + FULL, Pressure(SOME_STALL, FULL_STALL)),
    ],
)
def test_pressure_is_parsed(data: bytes, expected: Pressure) -> None:
    assert parse_pressure(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"max\n",
        SOME[:-1],
        SOME + FULL[:20],
        SOME.replace(b"0.12", b"-0.12"),
        SOME.replace(b"0.12", b"nan"),
        b"some\n",
    ],
)
def test_malformed_pressure_is_refused(data: bytes) -> None:
    with pytest.raises(KernelFileError, match="expected"):
        parse_pressure(data)


def test_pressure_is_missing_on_a_node_without_psi(tmp_path: Path) -> None:
    make_node(tmp_path, some_micros=5)
    assert read_pressure("memory", tmp_path) == Pressure(Stall(0, 0, 0, 5), Stall(0, 0, 0, 0))

    with pytest.raises(MissingKernelFile):
        read_pressure("memory", tmp_path / "elsewhere")


def test_a_trigger_tells_the_kernel_what_to_watch(tmp_path: Path) -> None:
    path = tmp_path / "memory.pressure"
    path.write_bytes(b"")

    with PressureTrigger(str(path), "some", 150_000, 1_000_000) as trigger:
        assert trigger.fileno() >= 0

    assert trigger.fileno() == -1
    assert path.read_bytes() == b"some 150000 1000000\0"
    trigger.close()


@pytest.mark.parametrize(
    ("stall", "window"), [(0, 1_000_000), (2_000_000, 1_000_000), (1, 499_999), (1, 10_000_001)]
)
def test_a_trigger_out_of_range_is_refused_with_the_range(tmp_path: Path, stall: int, window: int) -> None:
    with pytest.raises(KernelFileError, match="the window must be 500000 to 10000000 us"):
        PressureTrigger(str(tmp_path / "memory.pressure"), "full", stall, window)


def test_a_trigger_without_psi_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingKernelFile, match=r"memory\.pressure"):
        PressureTrigger(str(tmp_path / "memory.pressure"), "full", 1, 1_000_000)
