"""Known keys of meminfo, vmstat, memory.stat, memory.events and cpu.stat are read, others ignored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.flat_keyed import FlatKeyed
from overbook.kernel.meminfo import parse_meminfo, read_meminfo
from overbook.kernel.memory_stat import MemoryEvents, parse_memory_events
from overbook.kernel.vmstat import parse_vmstat, read_vmstat
from overbook_sandbox.fakes.kernel_files import make_node, memory_stat_file
from tests.kernel.whole_cgroup import (
    CpuStat,
    MemorySwapEvents,
    parse_cpu_stat,
    parse_memory_stat,
    parse_memory_swap_events,
)

PARSERS: list[Callable[[bytes], object]] = [
    parse_meminfo,
    parse_vmstat,
    parse_memory_stat,
    parse_memory_events,
    parse_memory_swap_events,
    parse_cpu_stat,
]


def test_meminfo_is_in_bytes() -> None:
    data = (
        b"MemTotal:       16384 kB\nMemFree:            1 kB\nMemAvailable:    8192 kB\nNew:  3 kB\n"
        b"SwapCached:         2 kB\nActive(file):       3 kB\nInactive(file):     4 kB\n"
        b"AnonPages:          5 kB\nShmem:              6 kB\nSwapTotal:          7 kB\n"
        b"SwapFree:           8 kB\nHugePages_Total:       0\n"
    )

    for _ in range(2):  # the second time through the learned layout
        meminfo = parse_meminfo(data)

        assert (meminfo.mem_total_bytes, meminfo.mem_free_bytes) == (16384 * 1024, 1024)
        assert (meminfo.swap_cached_bytes, meminfo.active_file_bytes) == (2 * 1024, 3 * 1024)
        assert (meminfo.inactive_file_bytes, meminfo.anon_pages_bytes) == (4 * 1024, 5 * 1024)
        assert (meminfo.shmem_bytes, meminfo.swap_total_bytes, meminfo.swap_free_bytes) == (6144, 7168, 8192)


def test_meminfo_without_swap_lines_has_none_for_them() -> None:
    meminfo = parse_meminfo(b"MemTotal: 1 kB\nSwapTotal: x kB\n")

    assert meminfo.mem_total_bytes == 1024
    assert meminfo.swap_total_bytes is None
    assert meminfo.swap_free_bytes is None


@pytest.mark.parametrize(
    "data", [b"", b"MemFree: 1 kB\n", b"MemTotal: x kB\nMemFree: 1 kB\n", b"MemTotal: 1", b"\0"]
)
def test_meminfo_without_total_is_an_error(data: bytes) -> None:
    with pytest.raises(KernelFileError, match="MemTotal"):
        parse_meminfo(data)


def test_vmstat_of_a_new_and_of_an_old_kernel_is_parsed() -> None:
    new = parse_vmstat(b"nr_free_pages 9\npswpin 1\npswpout 2\npgmajfault 3\noom_kill 4\nzswpin 5\n")
    old = parse_vmstat(b"pswpin 1\npswpout 2\nworkingset_refault 7\n")

    zero = parse_vmstat(b"pswpin 1\nswpin_zero 6\nswpout_zero 7\n")
    assert (zero.swpin_zero, zero.swpout_zero, zero.zswpout) == (6, 7, None)
    assert (new.pswpin, new.pswpout, new.pgmajfault, new.oom_kill, new.zswpin) == (1, 2, 3, 4, 5)
    assert (old.pswpin, old.oom_kill, old.workingset_refault_anon) == (1, None, None)


def test_memory_stat_of_linux_6_12_is_parsed() -> None:
    data = memory_stat_file(anon=10, file=20, shmem=3, pgmajfault=4, pswpin=5, pswpout=6).encode()

    for _ in range(2):
        stat = parse_memory_stat(data)

        assert (stat.anon_bytes, stat.file_bytes, stat.shmem_bytes) == (10, 20, 3)
        assert (stat.pgmajfault, stat.pswpin, stat.pswpout) == (4, 5, 6)
        assert stat.workingset_refault_anon == 0


def test_memory_stat_of_linux_6_1_has_no_swap_traffic() -> None:
    lines = memory_stat_file(anon=10, workingset_refault_anon=2).splitlines(keepends=True)
    data = "".join(line for line in lines if not line.startswith("pswp")).encode()

    for _ in range(3):
        stat = parse_memory_stat(data)

        assert (stat.anon_bytes, stat.workingset_refault_anon, stat.pswpin, stat.pswpout) == (
            10,
            2,
            None,
            None,
        )


def test_small_files_are_parsed() -> None:
    assert parse_memory_events(
        b"low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n"
    ) == MemoryEvents(0, 1, 2, 3, 4, 5)
    assert parse_memory_swap_events(b"high 0\nmax 1\nfail 2\n") == MemorySwapEvents(0, 1, 2)
    assert parse_cpu_stat(b"usage_usec 9\nuser_usec 1\nsystem_usec 2\n") == CpuStat(9)
    assert parse_cpu_stat(b"usage_usec 9\nnr_periods 1\nnr_throttled 2\nthrottled_usec 3\n") == CpuStat(
        9, 1, 2, 3
    )


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("data", [b"", b"\n", b"max\n", b"anon", b"anon -1\n", b"unknown 1\n", b"\xff\xfe\n"])
def test_a_file_without_any_known_line_is_an_error(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(KernelFileError, match="found"):
        parse(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a 1\nb 2\nc 3\n", [1, 2, 3]),
        (b"a 1\nb 2\nc 3", [1, 2, None]),  # cut off
        (b"a 1\nb 2\n", [1, 2, None]),
        (b"x 0\na 1\nb 2\nc 3\n", [1, 2, 3]),
        (b"c 3\nb 2\na 1\n", [1, 2, 3]),
        (b"a -1\nb 2\nc 3\n", [None, 2, 3]),
        (b"a 1_0\nb +2\nc 3\n", [None, None, 3]),
        (b"a\nb 2\nc 3\n", [None, 2, 3]),
        (b"a 18446744073709551615\nb 2\nc 3\n", [2**64 - 1, 2, 3]),
        (b"a %s\nb 2\nc 3\n" % (b"9" * 21), [None, 2, 3]),
        (b"a %s\nb 2\nc 3\n" % (b"9" * 5000), [None, 2, 3]),
        (b"a 1\na 9\nb 2\nc 3\n", [1, 2, 3]),
        (b"a 1\nb 2\nx 0\nc 3\n", [1, 2, 3]),
    ],
)
def test_a_layout_learned_from_one_file_misreads_no_other(data: bytes, expected: list[int | None]) -> None:
    fresh = FlatKeyed((b"a", b"b", b"c"))
    taught = FlatKeyed((b"a", b"b", b"c"))
    taught.parse(b"a 7\nb 8\nc 9\n", "taught")
    taught_without_c = FlatKeyed((b"a", b"b", b"c"))
    taught_without_c.parse(b"a 7\nb 8\nx 9\n", "taught")

    assert list(fresh.parse(data, "x")) == expected
    assert list(taught.parse(data, "x")) == expected
    assert list(taught_without_c.parse(data, "x")) == expected


def test_files_are_read_from_an_injected_root(tmp_path: Path) -> None:
    make_node(
        tmp_path,
        mem_total_bytes=4 << 30,
        swap_total_bytes=1 << 30,
        swap_free_bytes=1 << 20,
        vmstat={"pswpin": 7},
    )

    assert read_meminfo(tmp_path).mem_total_bytes == 4 << 30
    assert read_meminfo(tmp_path).swap_free_bytes == 1 << 20
    assert read_vmstat(tmp_path).pswpin == 7


def test_a_missing_file_is_told_from_a_malformed_one(tmp_path: Path) -> None:
    with pytest.raises(MissingKernelFile, match=r"/proc/meminfo: cannot open"):
        read_meminfo(tmp_path)

    make_node(tmp_path)
    (tmp_path / "proc/meminfo").write_bytes(b"")
    with pytest.raises(KernelFileError, match="found an empty file") as raised:
        read_meminfo(tmp_path)
    assert not isinstance(raised.value, MissingKernelFile)


def test_huge_pages_and_zswap_are_read() -> None:
    text = b"MemTotal: 64 kB\nHugePages_Total: 3\nHugetlb: 48 kB\nZswap: 5 kB\n"
    found = parse_meminfo(text)
    assert (found.hugetlb_bytes, found.zswap_bytes) == (48 * 1024, 5 * 1024)
    assert parse_meminfo(b"MemTotal: 64 kB\n").hugetlb_bytes is None
