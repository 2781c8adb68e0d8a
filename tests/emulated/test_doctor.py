import json
import pathlib
from collections.abc import Iterator

import pytest

from overbook.kernel.zoneinfo import read_zoneinfo
from overbook.node.tune.watermark import Watermarks, scale_factor
from tests.emulated import sick_node
from tests.emulated.sick_node import (
    DISK,
    KUBELET,
    LEFTOVERS,
    MIB,
    PERCENT,
    SYSTEM,
    Doctor,
    Kubelet,
    overbook,
    run,
    type_in,
)

pytestmark = pytest.mark.node(memory="768Mi", swap="2Gi")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with sick_node.machine(tmp_path_factory.mktemp("modules")):
        yield


@pytest.mark.usefixtures("machine")
def test_the_doctors_fixes_repair_a_broken_node() -> None:
    for path in LEFTOVERS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    pathlib.Path("/proc/sys/vm/swappiness").write_text("0")
    pathlib.Path("/proc/sys/vm/panic_on_oom").write_text("1")
    kubelet = Kubelet(SYSTEM / "kubelet.service", fail_swap_on=True)
    refused = overbook("node", "swap", "apply", "--percent", str(PERCENT))
    assert refused.returncode == 1
    doctor = Doctor()

    wrong = {"SwapNotProvisioned", "NoSwap", "KubeletRefusesSwap", "OriginalAgentLeftovers", "PanicOnOom"}
    assert doctor.look() == wrong
    told = overbook("node", "doctor")
    assert told.returncode == 1
    assert told.stdout.startswith("what is wrong, worst first\n  broken  ")

    assert "failSwapOn: false" in doctor.fixes["KubeletRefusesSwap"]
    kubelet.stop()
    kubelet = Kubelet(SYSTEM / "kubelet.service", fail_swap_on=False)
    assert doctor.look() == wrong - {"KubeletRefusesSwap"}

    type_in(doctor.fixes["NoSwap"])
    # Only now, with swap, there is something that system and kernel can do wrong with it.
    pathlib.Path("/proc/sys/vm/watermark_scale_factor").write_text("10")
    tuned = {"SystemSwaps", "Swappiness", "WatermarkBelowEviction", "PanicOnOom"}
    assert doctor.look() == tuned | {"OriginalAgentLeftovers"}
    assert not doctor.broken

    type_in(doctor.fixes["OriginalAgentLeftovers"])
    assert doctor.look() == tuned
    assert {doctor.fixes[word] for word in tuned} == {"overbook node tune apply"}
    type_in("overbook node tune apply")
    assert doctor.look() == set()

    healthy = overbook("node", "doctor")
    assert healthy.returncode == 0
    assert healthy.stdout.startswith("nothing is wrong")
    assert "reconcile writes the swap limits" in " ".join(healthy.stdout.split())
    kubelet.stop()
    doctor.look()
    assert "NoKubelet" in doctor.fixes


@pytest.mark.usefixtures("machine")
def test_a_kubelet_that_cannot_see_its_own_limit_is_found() -> None:
    kubelet = Kubelet(pathlib.Path("/sys/fs/cgroup"), fail_swap_on=False)
    KUBELET.write_text('{"failSwapOn": false, "memorySwap": {"swapBehavior": "LimitedSwap"}}')
    doctor = Doctor()
    try:
        assert "KubeletLimitsNothing" in doctor.look()
        assert "a cgroup of its own" in doctor.fixes["KubeletLimitsNothing"]
    finally:
        kubelet.stop()

    kubelet = Kubelet(SYSTEM / "kubelet.service", fail_swap_on=False)
    KUBELET.write_text('{"failSwapOn": false, "memorySwap": {"swapBehavior": "LimitedSwap"}}')
    try:
        assert {"KubeletLimitsNothing", "KubeletGivesSwapToAll"} & doctor.look() == {"KubeletGivesSwapToAll"}
        assert "KubeletGivesSwapToAll" not in doctor.look("Burstable")
    finally:
        kubelet.stop()


@pytest.mark.usefixtures("machine")
def test_swap_on_a_loop_device_and_on_zram_is_recognised() -> None:
    image = DISK / "image"
    image.write_bytes(bytes(16 * MIB))
    loop = run("losetup", "--find", "--show", str(image)).stdout.strip()
    pathlib.Path("/sys/block/zram0/disksize").write_text(str(16 * MIB))
    for device in (loop, "/dev/zram0"):
        run("mkswap", device)
        run("swapon", device)
    doctor = Doctor()

    assert "LoopSwap" in doctor.look()
    assert "CompressedSwap" in doctor.fixes
    assert doctor.fixes["LoopSwap"].startswith(f"swapoff {loop} && ")

    type_in(doctor.fixes["LoopSwap"])
    run("losetup", "--detach", loop)
    image.unlink()
    assert "LoopSwap" not in doctor.look()
    run("swapoff", "/dev/zram0")
    doctor.look()
    assert "CompressedSwap" not in doctor.fixes


def test_the_kernels_watermarks_move_as_the_rule_says() -> None:
    factor_file = pathlib.Path("/proc/sys/vm/watermark_scale_factor")
    factor_file.write_text("10")
    sums = read_zoneinfo()
    factor = scale_factor(Watermarks(sums.min_bytes, sums.low_bytes, sums.managed_bytes), 10 * MIB)
    assert factor is not None

    factor_file.write_text(str(factor))

    sums = read_zoneinfo()
    assert scale_factor(Watermarks(sums.min_bytes, sums.low_bytes, sums.managed_bytes), 10 * MIB) is None
    factor_file.write_text("10")


@pytest.mark.node(memory="512Mi", swap="0", psi=False, cgroup="v1")
def test_an_older_node_gets_its_findings() -> None:
    told = overbook("node", "doctor", "--percent", "150", "--output", "json")
    fixes = {finding["word"]: finding["mend"] for finding in json.loads(told.stdout)["findings"]}

    assert told.returncode == 1
    assert fixes["NoSwap"] == "overbook node swap apply --percent 150"
    assert fixes["CgroupV1"] == "boot the node with systemd.unified_cgroup_hierarchy=1"
    assert fixes["NoPressure"] == "boot the node with psi=1"
