"""The files of one cgroup have typed reads and writes."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.cpu_max import CpuMax
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, remove_cgroup
from tests.kernel.whole_cgroup import WholeCgroup

READS: dict[str, Callable[[WholeCgroup], object]] = {
    "memory.current": WholeCgroup.read_memory_current,
    "memory.swap.current": WholeCgroup.read_memory_swap_current,
    "memory.swap.max": WholeCgroup.read_memory_swap_max,
    "memory.max": WholeCgroup.read_memory_max,
    "memory.stat": WholeCgroup.read_memory_stat,
    "memory.events": WholeCgroup.read_memory_events,
    "memory.swap.events": WholeCgroup.read_memory_swap_events,
    "memory.pressure": WholeCgroup.read_memory_pressure,
    "cpu.stat": WholeCgroup.read_cpu_stat,
    "cpu.weight": WholeCgroup.read_cpu_weight,
    "cpu.max": WholeCgroup.read_cpu_max,
    "cgroup.events": WholeCgroup.populated,
    "cgroup.procs": WholeCgroup.read_procs,
}
LIMITS = {"memory.swap.max", "memory.max"}


@pytest.fixture(params=[100, 0], ids=["kept open", "opened each time"])
def kept(request: pytest.FixtureRequest) -> KeptFiles:
    return KeptFiles(request.param)


def directory(root: Path) -> Path:
    return root / "sys/fs/cgroup/guest"


def test_the_files_of_a_container_are_read(tmp_path: Path, kept: KeptFiles) -> None:
    files = container_files(
        memory_current=1 << 30,
        memory_max=2 << 30,
        memory_swap_current=4096,
        memory_swap_max=8192,
        memory_stat={"anon": 7, "pswpin": 8},
        some_micros=9,
        pids=[11, 12],
    )
    make_cgroup(tmp_path, "guest", files)

    with WholeCgroup("guest", tmp_path, kept=kept) as cgroup:
        for _ in range(2):
            assert cgroup.read_memory_current() == 1 << 30
            assert cgroup.read_memory_max() == 2 << 30
            assert cgroup.read_memory_swap_current() == 4096
            assert cgroup.read_memory_swap_max() == 8192
            assert (cgroup.read_memory_stat().anon_bytes, cgroup.read_memory_stat().pswpin) == (7, 8)
            some = cgroup.read_memory_pressure().some
            assert some is not None
            assert some.total_micros == 9
        assert cgroup.read_memory_events().oom_kill == 0
        assert cgroup.read_memory_swap_events().fail == 0
        assert cgroup.read_cpu_stat().usage_micros == 1000000
        assert cgroup.read_cpu_weight() == 100
        assert cgroup.read_cpu_max() == CpuMax(None, 100_000)
        assert cgroup.read_procs() == (11, 12)
        assert cgroup.populated()
        assert cgroup.exists()
    assert not cgroup.exists()
    assert kept.count == 0


def test_kept_files_show_new_values(tmp_path: Path, kept: KeptFiles) -> None:
    make_cgroup(tmp_path, "guest")

    with WholeCgroup("guest", tmp_path, kept=kept) as cgroup:
        cgroup.read_memory_swap_max()
        for value in (None, 123456789, 0):
            cgroup.write_memory_swap_max(value)
            assert cgroup.read_memory_swap_max() == value


@pytest.mark.parametrize("name", READS)
def test_a_missing_file_is_named(tmp_path: Path, kept: KeptFiles, name: str) -> None:
    make_cgroup(tmp_path, "guest")
    (directory(tmp_path) / name).unlink()

    with (
        WholeCgroup("guest", tmp_path, kept=kept) as cgroup,
        pytest.raises(MissingKernelFile, match=f"/sys/fs/cgroup/guest/{name}: "),
    ):
        READS[name](cgroup)


@pytest.mark.parametrize(
    "content",
    [b"max\n", b"", b"12", b"-1\n", b"garbage\n", b"9" * 4000 + b"\n", b"\xff\0\n", b"0x10\n", b"1 2 3\n"],
)
@pytest.mark.parametrize("name", [name for name in READS if name != "cgroup.procs"])
def test_malformed_content_names_the_file(tmp_path: Path, kept: KeptFiles, name: str, content: bytes) -> None:
    make_cgroup(tmp_path, "guest")
    with WholeCgroup("guest", tmp_path, kept=kept) as cgroup:
        READS[name](cgroup)
        (directory(tmp_path) / name).write_bytes(content)

        if name in LIMITS and content == b"max\n":
            assert READS[name](cgroup) is None
            return
        with pytest.raises(KernelFileError, match=f"/sys/fs/cgroup/guest/{name}: found ") as raised:
            READS[name](cgroup)
        assert not isinstance(raised.value, MissingKernelFile)
        assert raised.value.errno is None


def test_a_file_that_is_far_too_long_is_refused(tmp_path: Path, kept: KeptFiles) -> None:
    make_cgroup(tmp_path, "guest")
    (directory(tmp_path) / "memory.stat").write_bytes(b"anon 1\n" * 100_000)

    with (
        WholeCgroup("guest", tmp_path, kept=kept) as cgroup,
        pytest.raises(KernelFileError, match="longer than 65536"),
    ):
        cgroup.read_memory_stat()


def test_a_memory_stat_of_more_than_a_page_is_read(tmp_path: Path, kept: KeptFiles) -> None:
    make_cgroup(tmp_path, "guest")
    (directory(tmp_path) / "memory.stat").write_bytes(
        b"anon 1\nfile 2\n" + b"filler 1\n" * 1000 + b"pgmajfault 3\n"
    )

    with WholeCgroup("guest", tmp_path, kept=kept) as cgroup:
        for _ in range(3):
            assert cgroup.read_memory_stat().pgmajfault == 3


def test_limits_and_weights_are_written(tmp_path: Path) -> None:
    make_cgroup(tmp_path, "guest")

    with WholeCgroup("guest", tmp_path) as cgroup:
        cgroup.write_memory_max(1 << 30)
        cgroup.write_cpu_weight(10000)
        cgroup.write_cpu_max(CpuMax(50_000, 200_000))
        assert cgroup.reclaim(1 << 20)

        assert cgroup.read_memory_max() == 1 << 30
        assert cgroup.read_cpu_weight() == 10000
        assert cgroup.read_cpu_max() == CpuMax(50_000, 200_000)
        assert (directory(tmp_path) / "memory.reclaim").read_bytes() == b"1048576\n"
        cgroup.write_memory_max(None)
        cgroup.write_cpu_max(CpuMax(None))
        assert (directory(tmp_path) / "memory.max").read_bytes() == b"max\n"
        assert (directory(tmp_path) / "cpu.max").read_bytes() == b"max 100000\n"


@pytest.mark.parametrize(
    "write",
    [
        lambda cgroup: cgroup.write_memory_max(-1),
        lambda cgroup: cgroup.write_memory_swap_max(-1),
        lambda cgroup: cgroup.write_cpu_weight(0),
        lambda cgroup: cgroup.write_cpu_weight(10001),
        lambda cgroup: cgroup.write_cpu_max(CpuMax(999)),
        lambda cgroup: cgroup.write_cpu_max(CpuMax(None, 999)),
        lambda cgroup: cgroup.write_cpu_max(CpuMax(None, 1_000_001)),
        lambda cgroup: cgroup.reclaim(-1),
    ],
)
def test_a_value_out_of_range_never_reaches_the_kernel(
    tmp_path: Path, write: Callable[[WholeCgroup], object]
) -> None:
    make_cgroup(tmp_path, "guest")
    before = {path.name: path.read_bytes() for path in directory(tmp_path).iterdir()}

    with WholeCgroup("guest", tmp_path) as cgroup, pytest.raises(KernelFileError, match="cannot") as raised:
        write(cgroup)

    assert raised.value.errno == errno.EINVAL
    assert {path.name: path.read_bytes() for path in directory(tmp_path).iterdir()} == before


def test_a_write_never_makes_a_file(tmp_path: Path) -> None:
    make_cgroup(tmp_path, "guest", {"cgroup.procs": ""})

    with WholeCgroup("guest", tmp_path) as cgroup:
        for write in (lambda: cgroup.write_memory_swap_max(0), lambda: cgroup.reclaim(1)):
            with pytest.raises(MissingKernelFile):
                write()
    assert [path.name for path in directory(tmp_path).iterdir()] == ["cgroup.procs"]


@pytest.mark.parametrize("path", ["../../etc", "/etc", "a/../../b", "a\0b", "missing"])
def test_a_path_that_is_no_cgroup_is_refused(tmp_path: Path, path: str) -> None:
    make_cgroup(tmp_path, "guest")

    with pytest.raises(KernelFileError):
        WholeCgroup(path, tmp_path)


def test_a_closed_cgroup_reads_nothing(tmp_path: Path) -> None:
    make_cgroup(tmp_path, "guest")
    cgroup = WholeCgroup("guest", tmp_path)
    cgroup.close()
    cgroup.close()

    for read in READS.values():
        with pytest.raises(MissingKernelFile, match="closed"):
            read(cgroup)
    with pytest.raises(MissingKernelFile, match="closed"):
        cgroup.write_memory_swap_max(0)
    with pytest.raises(MissingKernelFile, match="closed"):
        cgroup.memory_pressure_trigger("some", 1, 1_000_000)


def test_a_recreated_cgroup_of_the_same_name_is_another_one(tmp_path: Path, kept: KeptFiles) -> None:
    make_cgroup(tmp_path, "guest", container_files(memory_current=1))
    with WholeCgroup("guest", tmp_path, kept=kept) as old:
        assert old.read_memory_current() == 1

        remove_cgroup(tmp_path, "guest")
        make_cgroup(tmp_path, "guest", container_files(memory_current=2))

        assert not old.exists()
        for name, read in READS.items():
            with pytest.raises(MissingKernelFile, match=name):
                read(old)
        with pytest.raises(MissingKernelFile):
            old.write_memory_swap_max(0)
        with pytest.raises(MissingKernelFile):
            old.kill()
        with WholeCgroup("guest", tmp_path, kept=kept) as new:
            assert new.read_memory_current() == 2
            assert new.inode != old.inode
    assert kept.count == 0
