"""What a kernel can do is found on real kernels: the doctor names it, and the agent goes on with the rest."""

import json
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.swaps import read_swaps
from overbook.kernel.vmstat import read_vmstat
from tests.emulated.modules import load_modules
from tests.emulated.programs import OVERBOOK, doctor, observe, plain_pod
from tests.emulated.real_pods import MI, RealPods, wait_until
from tests.emulated.sick_node import NEWER, run

UNCOUNTED = pytest.mark.node(memory="384Mi", swap="256Mi", kernel="older", boot="swapaccount=0")
UNCONTROLLED = pytest.mark.node(memory="384Mi", swap="256Mi", kernel="newer", boot="cgroup_disable=memory")
HUGE_BYTES = 64 * 2 * MI
SAMPLES = 4
"""Enough samples for rates."""


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[RealPods]:
    made = RealPods(tmp_path)
    yield made
    made.remove()


def vmstat(name: str) -> int:
    lines = pathlib.Path("/proc/vmstat").read_text().splitlines()
    return int(dict(line.split() for line in lines).get(name, "0"))


@UNCOUNTED
def test_a_kernel_that_does_not_count_swap_is_named(pods: RealPods, tmp_path: pathlib.Path) -> None:
    vm = pods.start("vm")
    assert not pathlib.Path("/sys/fs/cgroup", vm.cgroup.path, "memory.swap.max").exists()

    report = doctor("--percent", "150")
    seen = observe(tmp_path, pods.manifests, lambda seen: len(seen.samples) > SAMPLES, "--mode", "Enforce")

    assert report.status == 1
    assert "swapaccount=1" in report.findings["SwapNotCounted"]["mend"]
    assert not any("tune apply" in finding["mend"] for finding in report.findings.values())
    assert "no swap limit can be kept" in seen.said
    assert "swapaccount=1" in seen.said


@UNCONTROLLED
def test_a_kernel_without_the_memory_controller_is_named(tmp_path: pathlib.Path) -> None:
    manifests = tmp_path / "pods"
    manifests.mkdir()
    cgroup, process = plain_pod(manifests, "vm")
    try:
        assert not (cgroup / "memory.current").exists()

        report = doctor("--percent", "150")
        seen = observe(tmp_path, manifests, lambda seen: len(seen.samples) > SAMPLES, "--mode", "Enforce")
    finally:
        process.kill()
        process.wait()

    assert report.status == 1
    assert "cgroup_" in report.findings["MemoryNotCounted"]["mend"]
    assert "the kernel does not count memory for each cgroup" in seen.said
    assert "cannot open" not in seen.said


@NEWER
def test_zswap_is_shown_and_its_traffic_is_counted(pods: RealPods, tmp_path: pathlib.Path) -> None:
    vm = pods.start("vm", request="64Mi", hot=200)
    pods.go("vm")
    wait_until(lambda: vm.cgroup.read_memory_current() > 190 * MI, 60)
    vm.cgroup.reclaim(64 * MI)
    stored = read_vmstat().zswpout
    assert stored is not None
    assert stored * 4096 > 48 * MI
    assert vmstat("pswpout") < stored // 10

    report = doctor("--percent", "150")
    seen = observe(tmp_path, pods.manifests, lambda seen: len(seen.samples) > SAMPLES)

    assert "zswap" in " ".join([*report.fine.values(), *report.fine, *map(str, report.findings.values())])
    counted = [number for sample in seen.samples[1:] for number in numbers(sample)]
    assert any(stored <= number <= vmstat("zswpout") for number in counted), seen.samples[1]


def numbers(sample: object) -> Iterator[int]:
    """Yield all whole numbers of a recorded sample."""
    if isinstance(sample, int):
        yield sample
    elif isinstance(sample, (dict, list)):
        for part in sample.values() if isinstance(sample, dict) else sample:
            yield from numbers(part)


@NEWER
def test_huge_pages_are_no_memory_that_pods_get() -> None:
    total = read_meminfo().mem_total_bytes
    argv = [*OVERBOOK, "node", "reserve", "--output", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert json.loads(done.stdout)["proposed"]["enforcedBytes"] <= total - HUGE_BYTES


@NEWER
def test_zram_before_a_disk_is_recognised_with_its_priorities(tmp_path: pathlib.Path) -> None:
    load_modules(tmp_path)
    zram = pathlib.Path("/sys/block/zram0/disksize")
    zram.write_text(str(64 * MI))
    run("mkswap", "/dev/zram0")
    run("swapon", "--priority", "100", "/dev/zram0")
    (disk,) = (area for area in read_swaps() if area.filename != "/dev/zram0")
    try:
        assert {area.filename: area.priority for area in read_swaps()}["/dev/zram0"] == 100
        before = doctor("--percent", "150")
        run("swapoff", disk.filename)
        run("swapon", "--priority", "200", disk.filename)
        after = doctor("--percent", "150")
    finally:
        run("swapoff", "/dev/zram0")
        pathlib.Path("/sys/block/zram0/reset").write_text("1")

    assert "zram" in before.sentence("CompressedSwap")
    assert f"zram is filled before {disk.filename}" in before.sentence("SwapTiers")
    assert "compresses them again" in before.sentence("ZswapBeforeZram")
    assert f"{disk.filename} (priority 200) is filled before /dev/zram0" in after.sentence("SwapOrder")
