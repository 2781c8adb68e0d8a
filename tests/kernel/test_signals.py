"""Signals reach every process of a cgroup, and no other."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.signals import signal_processes
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup

Processes = list[subprocess.Popen[bytes]]


@pytest.fixture
def sleepers() -> Iterator[Processes]:
    processes = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(3)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def make_guest(root: Path, pids: list[int]) -> None:
    files = container_files(pids=pids)
    del files["cgroup.kill"]  # as before Linux 5.14
    make_cgroup(root, "guest", files)


def test_signal_all_reaches_the_cgroups_below(tmp_path: Path, sleepers: Processes) -> None:
    make_guest(tmp_path, [sleepers[0].pid])
    make_cgroup(tmp_path, "guest/container", container_files(pids=[sleepers[1].pid]))

    with Cgroup("guest", tmp_path) as cgroup:
        assert cgroup.read_procs() == (sleepers[0].pid,)
        assert set(cgroup.read_procs(recursive=True)) == {sleepers[0].pid, sleepers[1].pid}
        assert cgroup.signal_all(signal.SIGTERM) == 2

    assert [process.wait(10) for process in sleepers[:2]] == [-signal.SIGTERM] * 2
    assert sleepers[2].poll() is None


def test_kill_without_cgroup_kill_signals_each_process(tmp_path: Path, sleepers: Processes) -> None:
    make_guest(tmp_path, [process.pid for process in sleepers])

    with Cgroup("guest", tmp_path) as cgroup:
        cgroup.kill()

    assert [process.wait(10) for process in sleepers] == [-signal.SIGKILL] * 3


def test_kill_with_cgroup_kill_writes_that_file(tmp_path: Path, sleepers: Processes) -> None:
    make_cgroup(tmp_path, "guest", container_files(pids=[sleepers[0].pid]))

    with Cgroup("guest", tmp_path) as cgroup:
        cgroup.kill()

    assert (tmp_path / "sys/fs/cgroup/guest/cgroup.kill").read_bytes() == b"1\n"
    assert sleepers[0].poll() is None


def test_a_pid_that_left_the_cgroup_meanwhile_is_not_hit(sleepers: Processes) -> None:
    member, recycled = sleepers[0].pid, sleepers[1].pid
    readings = iter([(member, recycled), (member,), (member,)])

    assert signal_processes(lambda: next(readings), signal.SIGTERM, "cgroup.procs") == 1

    assert sleepers[0].wait(10) == -signal.SIGTERM
    assert sleepers[1].poll() is None


def test_processes_that_come_later_are_reached_as_well(sleepers: Processes) -> None:
    first, second, third = (process.pid for process in sleepers)
    readings = iter([(first,), (first, second), (first, second, third)] + [(first, second, third)] * 5)

    assert signal_processes(lambda: next(readings), signal.SIGTERM, "cgroup.procs") == 3


def test_an_ended_process_is_no_error(sleepers: Processes) -> None:
    ended = sleepers[0]
    ended.kill()
    ended.wait()

    assert signal_processes(lambda: (ended.pid, sleepers[1].pid), signal.SIGTERM, "cgroup.procs") == 1


def test_a_process_of_another_pid_namespace_is_reported(tmp_path: Path, sleepers: Processes) -> None:
    make_guest(tmp_path, [0, sleepers[0].pid])

    with Cgroup("guest", tmp_path) as cgroup:
        assert cgroup.read_procs() == (sleepers[0].pid,)
        with pytest.raises(KernelFileError, match=r"reached 1 processes.*hostPID: true"):
            cgroup.signal_all(signal.SIGTERM)

    assert sleepers[0].wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("path", ["", ".", "./"])
def test_the_root_cgroup_is_never_signalled(tmp_path: Path, sleepers: Processes, path: str) -> None:
    make_cgroup(tmp_path, "", {"cgroup.procs": f"{sleepers[0].pid}\n"})

    with Cgroup(path, tmp_path) as root:
        with pytest.raises(KernelFileError, match="root cgroup"):
            root.kill()
        with pytest.raises(KernelFileError, match="root cgroup"):
            root.signal_all(signal.SIGKILL)
    assert sleepers[0].poll() is None


@pytest.mark.parametrize("content", ["abc\n", "-1\n", "12\n13", "99999999999\n", "1 2\n"])
def test_malformed_procs_signal_no_process(tmp_path: Path, content: str) -> None:
    make_cgroup(tmp_path, "guest", {"cgroup.procs": content})

    with (
        Cgroup("guest", tmp_path) as cgroup,
        pytest.raises(KernelFileError, match="one pid a line") as raised,
    ):
        cgroup.signal_all(signal.SIGTERM)
    assert not isinstance(raised.value, MissingKernelFile)
