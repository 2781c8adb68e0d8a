"""Open descriptors are bounded, and running out of them makes reading slower, not wrong."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook_sandbox.fakes.kernel_files import make_cgroup
from tests.kernel.whole_cgroup import WholeCgroup


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def read_all(cgroup: WholeCgroup) -> None:
    cgroup.read_memory_current()
    cgroup.read_memory_stat()
    cgroup.read_memory_swap_current()
    cgroup.read_memory_swap_max()
    cgroup.read_memory_pressure()


def test_kept_files_stay_within_the_budget_of_all_cgroups(tmp_path: Path) -> None:
    kept = KeptFiles(7)
    cgroups = [
        WholeCgroup(make_cgroup(tmp_path, f"guest{number}"), tmp_path, kept=kept) for number in range(4)
    ]
    before = open_files()

    for _ in range(3):
        for cgroup in cgroups:
            read_all(cgroup)

    assert kept.count == 7
    assert open_files() == before + 7
    for cgroup in cgroups:
        cgroup.close()
    assert kept.count == 0
    assert open_files() == before - 4


def test_default_budget_is_half_of_the_process_limit() -> None:
    kept = KeptFiles()
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    granted = 0
    while granted <= soft and kept.take():
        granted += 1

    assert granted == soft // 2
    kept.give_back()
    assert kept.take()


@pytest.fixture
def no_descriptors_left() -> Iterator[None]:
    """Let the process open three more files and no other."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = [os.dup(0) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(fds) + 1, hard))
    taken: list[int] = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for fd in fds:
        os.close(fd)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for fd in taken:
        os.close(fd)


def test_kept_files_make_room_when_descriptors_run_out(tmp_path: Path, no_descriptors_left: None) -> None:
    del no_descriptors_left
    make_cgroup(tmp_path, "guest")
    kept = KeptFiles(100)

    with WholeCgroup("guest", tmp_path, kept=kept) as cgroup:  # one of three
        for _ in range(3):
            read_all(cgroup)
            assert cgroup.read_memory_events().oom_kill == 0
        assert kept.count <= 2


def test_the_error_without_any_descriptor_names_what_to_raise(
    tmp_path: Path, no_descriptors_left: None
) -> None:
    del no_descriptors_left
    make_cgroup(tmp_path, "guest")
    taken = [os.dup(0) for _ in range(2)]
    with WholeCgroup("guest", tmp_path, kept=KeptFiles(0)) as cgroup:
        with pytest.raises(KernelFileError, match="raise RLIMIT_NOFILE") as raised:
            cgroup.read_memory_current()
        assert not isinstance(raised.value, MissingKernelFile)
        for fd in taken:
            os.close(fd)
        assert cgroup.read_memory_current() > 0
