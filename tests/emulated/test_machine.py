import mmap
import os
import pathlib
import subprocess
import sys
import time

import pytest

CGROUP = pathlib.Path("/sys/fs/cgroup")
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30

pytestmark = pytest.mark.node


def meminfo(key: str) -> int:
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, value, *_ = line.replace(":", "").split()
        if name == key:
            return int(value) * 1024
    raise KeyError(key)


def test_the_root_cgroup_hands_memory_down() -> None:
    assert "memory" in (CGROUP / "cgroup.controllers").read_text().split()
    assert {"memory", "cpu", "io", "pids"} <= set((CGROUP / "cgroup.subtree_control").read_text().split())


def test_pressure_is_reported() -> None:
    assert pathlib.Path("/proc/pressure/memory").read_text().startswith("some avg10=")


def test_swap_is_on_and_as_large_as_in_the_spec() -> None:
    _, disk = pathlib.Path("/proc/swaps").read_text().splitlines()
    assert disk.startswith("/dev/vda")
    assert meminfo("SwapTotal") == GIBIBYTE - os.sysconf("SC_PAGE_SIZE")  # the first page is the header


def test_the_node_has_the_memory_of_its_spec() -> None:
    assert meminfo("MemTotal") == pytest.approx(GIBIBYTE, rel=0.02)


def test_swap_use_of_a_cgroup_stops_at_its_limit() -> None:
    cgroup = CGROUP / "limited"
    cgroup.mkdir()
    (cgroup / "memory.max").write_text(str(64 * MEBIBYTE))
    (cgroup / "memory.swap.max").write_text(str(32 * MEBIBYTE))
    touch = f"""
import mmap, os, pathlib
pathlib.Path({str(cgroup / "cgroup.procs")!r}).write_text(str(os.getpid()))
n = {128 * MEBIBYTE}
m = mmap.mmap(-1, n)
for start in range(0, n, {MEBIBYTE}):
    m[start : start + {MEBIBYTE} : 4096] = bytes(256)
    print(pathlib.Path({str(cgroup / "memory.swap.current")!r}).read_text().strip(), flush=True)
"""
    toucher = subprocess.run([sys.executable, "-c", touch], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - no shell; the argv is ours
    swapped = [int(line) for line in toucher.stdout.split()]
    assert toucher.returncode == -9  # the kernel's OOM killer
    assert 24 * MEBIBYTE < max(swapped) <= 32 * MEBIBYTE
    assert "oom_kill 1" in (cgroup / "memory.events").read_text().splitlines()
    remove(cgroup)


def test_pages_reclaimed_on_request_come_back_from_swap() -> None:
    cgroup = CGROUP / "reclaimed"
    cgroup.mkdir()
    home = CGROUP / "cgroup.procs"
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    memory = mmap.mmap(-1, 16 * MEBIBYTE)
    memory[0::4096] = bytes(range(256)) * 16
    (cgroup / "memory.reclaim").write_text(str(12 * MEBIBYTE))
    assert int((cgroup / "memory.swap.current").read_text()) > 8 * MEBIBYTE
    assert memory[0::4096] == bytes(range(256)) * 16
    home.write_text(str(os.getpid()))
    memory.close()
    remove(cgroup)


@pytest.mark.node(memory="512Mi", swap="0", psi=False, cgroup="v1")
def test_an_older_node_has_no_cgroup2_pressure_or_swap() -> None:
    assert (CGROUP / "memory" / "memory.limit_in_bytes").exists()
    assert not pathlib.Path("/proc/pressure").exists()
    assert meminfo("SwapTotal") == 0


def remove(cgroup: pathlib.Path) -> None:
    for _ in range(100):
        try:
            cgroup.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{cgroup} stays busy")
