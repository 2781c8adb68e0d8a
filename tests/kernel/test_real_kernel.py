"""Only a kernel can answer these: they run as root in the emulated node, with cgroup2 and swap."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.psi import read_pressure
from overbook.kernel.swaps import read_swaps
from overbook.kernel.vmstat import read_vmstat
from tests.kernel.whole_cgroup import WholeCgroup

pytestmark = pytest.mark.node

MOUNT = Path("/sys/fs/cgroup")
MIB = 1 << 20
# Touches memory, says so, then touches all of it again and again, or only waits.
TOUCH = """
import sys, time
memory = bytearray(int(sys.argv[1]))
def touch():
    for page in range(0, len(memory), 4096):
        memory[page] = (memory[page] + 1) % 256
touch()
print("ready", flush=True)
while True:
    touch() if sys.argv[2] == "hot" else time.sleep(1)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


class Guest:
    """A guest is a cgroup of its own, and the processes started in it."""

    def __init__(self, name: str) -> None:
        self.directory = MOUNT / name
        self.directory.mkdir()
        self.cgroup = WholeCgroup(name)
        self.processes: list[subprocess.Popen[str]] = []

    def run(self, size_bytes: int, manner: str = "cold", *, wait: bool = True) -> subprocess.Popen[str]:
        join = f'echo $$ > {self.directory}/cgroup.procs && exec "$@"'
        process = subprocess.Popen(  # our own words  # noqa: S603 - no shell; the argv is ours
            ["/bin/sh", "-c", join, "sh", sys.executable, "-c", TOUCH, str(size_bytes), manner],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        if wait:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return process

    def remove(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.cgroup.close()
        for directory in sorted(MOUNT.glob(f"{self.directory.name}/**/"), reverse=True):
            with suppress(FileNotFoundError):
                wait_until(lambda where=directory: gone(where))  # type: ignore[misc]


def gone(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return not directory.exists()
    return True


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    made = Guest(f"test-{os.getpid()}-{abs(hash(request.node.name)) % 10**6}")
    yield made
    made.remove()


def test_the_nodes_own_files_are_read() -> None:
    assert {"cpu", "io", "memory"} <= check_cgroup2().controllers
    meminfo = read_meminfo()
    assert meminfo.swap_total_bytes is not None
    page = 4096
    assert abs(sum(area.size_bytes for area in read_swaps()) - meminfo.swap_total_bytes) <= page
    assert read_vmstat().pswpin is not None
    assert read_pressure("memory").full is not None
    with WholeCgroup("") as root:
        assert root.read_memory_stat().anon_bytes is not None


def test_every_file_of_a_cgroup_is_understood(guest: Guest) -> None:
    guest.run(8 * MIB)
    cgroup = guest.cgroup

    for _ in range(2):
        assert cgroup.read_memory_current() >= 8 * MIB
        anon_bytes = cgroup.read_memory_stat().anon_bytes
        assert anon_bytes is not None
        assert anon_bytes >= 8 * MIB
        assert cgroup.read_memory_swap_current() >= 0
        assert cgroup.read_memory_swap_max() is None
        assert cgroup.read_memory_pressure().some is not None
    assert cgroup.read_memory_max() is None
    assert cgroup.read_memory_events().oom_kill == 0
    assert cgroup.read_memory_swap_events().fail is not None
    assert (cgroup.read_cpu_stat().usage_micros or 0) > 0
    assert cgroup.read_cpu_weight() == 100
    assert cgroup.read_cpu_max().quota_micros is None
    assert cgroup.read_procs() == (guest.processes[0].pid,)
    assert cgroup.populated()


def test_reclaim_moves_memory_to_swap(guest: Guest) -> None:
    guest.run(64 * MIB)
    before = guest.cgroup.read_memory_current()

    guest.cgroup.reclaim(32 * MIB)

    assert guest.cgroup.read_memory_swap_current() >= 16 * MIB
    assert guest.cgroup.read_memory_current() <= before - 16 * MIB


def test_reclaim_of_more_than_there_is_reports_so(guest: Guest) -> None:
    guest.run(8 * MIB)
    guest.cgroup.write_memory_swap_max(0)

    assert guest.cgroup.reclaim(512 * MIB) is False


def test_memory_swap_max_is_respected(guest: Guest) -> None:
    guest.run(64 * MIB)
    guest.cgroup.write_memory_swap_max(8 * MIB)
    assert guest.cgroup.read_memory_swap_max() == 8 * MIB

    assert guest.cgroup.reclaim(48 * MIB) is False

    assert 4 * MIB <= guest.cgroup.read_memory_swap_current() <= 8 * MIB


def test_a_pressure_trigger_wakes_epoll(guest: Guest) -> None:
    # The smallest trigger that the kernel takes, and a guest that swaps without end.
    guest.cgroup.write_memory_max(24 * MIB)
    with guest.cgroup.memory_pressure_trigger("some", 10_000, 1_000_000) as trigger, select.epoll() as epoll:
        epoll.register(trigger.fileno(), select.EPOLLPRI)
        guest.run(48 * MIB, "hot", wait=False)

        events = epoll.poll(60)

        assert events
        assert events[0][0] == trigger.fileno()
        assert events[0][1] & select.EPOLLPRI
    some = guest.cgroup.read_memory_pressure().some
    assert some is not None
    assert some.total_micros > 0


def test_kill_ends_every_process_below_as_well(guest: Guest) -> None:
    outer = guest.run(MIB)
    inner_directory = guest.directory / "container"
    inner_directory.mkdir()
    inner = guest.run(MIB)
    (inner_directory / "cgroup.procs").write_text(f"{inner.pid}\n")
    assert set(guest.cgroup.read_procs(recursive=True)) == {outer.pid, inner.pid}

    guest.cgroup.kill()

    assert [outer.wait(30), inner.wait(30)] == [-signal.SIGKILL] * 2
    wait_until(lambda: not guest.cgroup.populated())


def test_signal_all_reaches_real_processes(guest: Guest) -> None:
    processes = [guest.run(MIB) for _ in range(3)]

    assert guest.cgroup.signal_all(signal.SIGTERM) == 3

    assert [process.wait(30) for process in processes] == [-signal.SIGTERM] * 3


def test_a_removed_cgroup_differs_from_its_successor(guest: Guest) -> None:
    guest.cgroup.read_memory_current()  # from now on a kept file
    inode = guest.cgroup.inode
    guest.directory.rmdir()
    assert not guest.cgroup.exists()
    guest.directory.mkdir()

    assert not guest.cgroup.exists()
    for read in (guest.cgroup.read_memory_current, guest.cgroup.read_memory_stat, guest.cgroup.read_procs):
        with pytest.raises(MissingKernelFile):
            read()
    with pytest.raises(MissingKernelFile):
        guest.cgroup.write_memory_swap_max(0)
    with WholeCgroup(guest.cgroup.path) as successor:
        assert successor.exists()
        assert successor.inode != inode


def test_the_kernel_refuses_a_file_of_no_controller(guest: Guest) -> None:
    inner = guest.directory / "inner"  # its parent has enabled no controller for it
    inner.mkdir()

    with WholeCgroup(f"{guest.cgroup.path}/inner") as cgroup:
        with pytest.raises(MissingKernelFile):
            cgroup.write_memory_swap_max(0)
        assert cgroup.exists()
    with WholeCgroup("") as root, pytest.raises(KernelFileError):
        root.kill()


def test_a_scan_follows_a_real_tree() -> None:
    base = MOUNT / "kubepods"
    pod = base / "burstable" / "pod0f2c1d7e-5a4b-4c3d-8e9f-a0b1c2d3e4f5"
    first, second = pod / ("a" * 64), pod / ("b" * 64)
    made = [directory for directory in (base, base / "burstable", pod, first) if not directory.exists()]
    for directory in made:
        directory.mkdir()
    scanner = PodScanner()

    def found() -> list[str]:
        pods = [each for each in scanner.scan() if each.uid == pod.name.removeprefix("pod")]
        return [container.id for each in pods for container in each.containers]

    try:
        assert found() == ["a" * 64]
        same = next(each for each in scanner.scan() if each.uid in pod.name)
        assert any(each is same for each in scanner.scan())
        assert same.inode == pod.stat().st_ino

        first.rmdir()
        second.mkdir()  # the same number of directories as before
        assert found() == ["b" * 64]
        (second / "container").mkdir()
        leaf = scanner.scan()
        assert any(c.leaf_path.endswith("/container") for each in leaf for c in each.containers)
        (second / "container").rmdir()
        first.mkdir()
        assert found() == ["a" * 64, "b" * 64]
        assert scanner.scan() == PodScanner().scan()
    finally:
        for directory in (second / "container", second, *reversed(made)):
            with suppress(FileNotFoundError):
                directory.rmdir()
