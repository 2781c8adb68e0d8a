"""What a kernel can do is found on real kernels: the doctor names it, and the agent goes on with the rest."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from overbook.kernel.swaps import read_swaps
from overbook.kernel.vmstat import read_vmstat
from tests.emulated.modules import load_modules
from tests.emulated.programs import Observed, doctor, observe, plain_pod
from tests.emulated.real_pods import MI, RealPods, wait_until

UNCOUNTED = pytest.mark.node(memory="384Mi", swap="256Mi", kernel="older", boot="swapaccount=0")
UNCONTROLLED = pytest.mark.node(memory="384Mi", swap="256Mi", kernel="newer", boot="cgroup_disable=memory")
COMPRESSED = pytest.mark.node(
    memory="512Mi", swap="512Mi", kernel="newer", boot="zswap.enabled=1 hugepages=64"
)


def test_all(): ...


@UNCOUNTED
def test_swap_that_is_not_counted_is_broken_and_no_fix_is_one_that_cannot_help(
    tmp_path: pathlib.Path,
) -> None:
    print(os.uname().release)
    print(doctor("--percent", "150"))
    pods = RealPods(tmp_path)
    pods.start("vm")
    print(
        observe(
            tmp_path,
            pods.manifests,
            lambda seen: len(seen.samples) > 6,
            "--mode",
            "Enforce",
            "--no-lock-memory",
        )
    )
    assert 0


@UNCONTROLLED
def test_unc(tmp_path: pathlib.Path) -> None:
    print(os.uname().release)
    print(doctor("--percent", "150"))
    (tmp_path / "pods").mkdir()
    plain_pod(tmp_path / "pods", "vm")
    print(
        observe(
            tmp_path,
            tmp_path / "pods",
            lambda seen: len(seen.samples) > 6,
            "--mode",
            "Enforce",
            "--no-lock-memory",
        )
    )
    assert 0


@COMPRESSED
def test_comp(tmp_path: pathlib.Path) -> None:
    print(doctor("--percent", "150"))
    pods = RealPods(tmp_path)
    vm = pods.start("vm", request="64Mi", hot=200)
    pods.go("vm")
    wait_until(lambda: vm.cgroup.read_memory_current() > 190 * MI, 60)
    vm.cgroup.reclaim(64 * MI)
    print(read_vmstat())
    print(observe(tmp_path, pods.manifests, lambda seen: len(seen.samples) > 6, "--no-lock-memory"))
    print(
        subprocess.run(
            ["grep", "-E", "zsw|pswp|swpout", "/proc/vmstat"], capture_output=True, text=True
        ).stdout
    )
    print(
        subprocess.run(
            "swapoff -a; grep -E 'zsw|pswp' /proc/vmstat; cat /proc/meminfo",
            shell=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    assert 0
