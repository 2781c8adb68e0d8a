import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from overbook.core.overcommit.allowance import Eligibility, SwapPolicy
from overbook.kernel.zoneinfo import read_zoneinfo
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.look import host_facts
from overbook.node.tune.watermark import Watermarks, scale_factor
from tests.emulated.modules import load_modules

pytestmark = pytest.mark.node(memory="768Mi", swap="2Gi")

MIB = 1 << 20
DISK = pathlib.Path("/var/lib/overbook")
KUBELET = pathlib.Path("/etc/kubernetes/kubelet.yaml")
SYSTEM = pathlib.Path("/sys/fs/cgroup/system.slice")
LEFTOVERS = (
    pathlib.Path("/opt/oci-hook-swap.sh"),
    pathlib.Path("/run/containers/oci/hooks.d/swap-for-burstable.json"),
)
PERCENT = 112


def run(*argv: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=check)  # noqa: S603 - the tests' own argv


def overbook(*words: str) -> "subprocess.CompletedProcess[str]":
    return run(sys.executable, "-m", "overbook", *words, check=False)


def type_in(fix: str) -> None:
    """Run the doctor's fix as it is printed."""
    run("/bin/sh", "-ec", fix.replace("overbook", f"{shlex.quote(sys.executable)} -m overbook", 1))


class Doctor:
    """A doctor looks at this node as the command does, without starting a program each time."""

    def __init__(self) -> None:
        self.broken, self.fixes = False, dict[str, str]()

    def look(self, eligibility: Eligibility = "BurstableVirtualMachines") -> set[str]:
        """The words of what is wrong; of notes only the fixes are kept, since they depend on the machine."""
        diagnosis = diagnose(host_facts("/", SwapPolicy(percent=PERCENT, eligibility=eligibility)))
        self.broken = diagnosis.broken
        self.fixes = {finding.word: finding.fix for finding in diagnosis.findings}
        return {finding.word for finding in diagnosis.findings if finding.severity != "Note"}


class Kubelet:
    """A process is named like a kubelet and has a configuration; the doctor looks at no more of a kubelet."""

    def __init__(self, cgroup: pathlib.Path, *, fail_swap_on: bool) -> None:
        KUBELET.parent.mkdir(parents=True, exist_ok=True)
        fields = {"failSwapOn": fail_swap_on, "evictionHard": {"memory.available": "10Mi"}}
        KUBELET.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in fields.items()))
        argv = ["kubelet", "-c", "while :; do sleep 3600; done", "sh", f"--config={KUBELET}"]
        self._process = subprocess.Popen(argv, executable="/bin/sh", start_new_session=True)  # noqa: S603 - a stand-in
        cgroup.mkdir(exist_ok=True)
        (cgroup / "cgroup.procs").write_text(str(self._process.pid))

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The machine has a disk for swap files, and a slice for the system."""
    load_modules(tmp_path_factory.mktemp("modules"))
    run("swapoff", "-a")
    pathlib.Path("/etc/fstab").write_text("")  # the machine's own
    run("mkfs.ext4", "-q", "-F", "/dev/vda")
    DISK.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "ext4", "/dev/vda", str(DISK))
    SYSTEM.mkdir(exist_ok=True)
    (SYSTEM / "cgroup.subtree_control").write_text("+memory")
    yield
    overbook("node", "swap", "remove")
    run("umount", str(DISK))


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
