import msgspec
import pytest

from overbook.cli.parser import parser_of
from overbook.cli.registry import find
from overbook.core.kubernetes.kubelet import KubeletConfiguration, MemorySwap
from overbook.kernel.block_device import Medium
from overbook.node.doctor.checks import CHECKS
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.node.tune.watermark import Watermarks, scale_factor

MIB = 1 << 20
GIB = 1 << 30
DISK = SwapDevice("/dev/nvme0n1p3", 8 * GIB, "flash", "/dev/nvme0n1p3")
NO_SWAP_KUBELET = KubeletConfiguration(fail_swap_on=False)
LIMITED_KUBELET = KubeletConfiguration(fail_swap_on=False, memory_swap=MemorySwap("LimitedSwap"))
HEALTHY = HostState(
    memory_bytes=16 * GIB,
    cgroup_version=2,
    pressure=True,
    swap=(DISK,),
    percent=150,
    kubelet=NO_SWAP_KUBELET,
    swappiness=60,
    overcommit_memory=1,
    panic_on_oom=0,
    watermarks=Watermarks(64 * MIB, 512 * MIB, 16 * GIB),
    system_swap_max="0",
)


def test_a_healthy_node_has_no_finding() -> None:
    diagnosis = diagnose(HEALTHY)

    assert diagnosis.findings == ()
    assert not diagnosis.broken
    assert {fine.subject for fine in diagnosis.fine} >= {"cgroup", "swap", "kubelet", "writer", "watermarks"}


STRICT_KUBELET = KubeletConfiguration(fail_swap_on=False, protect_kernel_defaults=True)


def swap_on(medium: Medium) -> dict[str, object]:
    return {"swap": (SwapDevice("/dev/sda3", 8 * GIB, medium, "/dev/sda3"),)}


def swap_behavior(word: str, **gates: bool) -> KubeletConfiguration:
    return KubeletConfiguration(fail_swap_on=False, memory_swap=MemorySwap(word), feature_gates=gates)


SOFT_KUBELET = KubeletConfiguration(
    fail_swap_on=False,
    eviction_soft={"memory.available": "1Gi"},
    eviction_soft_grace_period={"memory.available": "30s"},
)
RESERVING_KUBELET = KubeletConfiguration(fail_swap_on=False, system_reserved={"memory": "2Gi"})
PROTECTING_KUBELET = KubeletConfiguration(fail_swap_on=False, memory_reservation_policy="TieredReservation")
WRONG: list[tuple[dict[str, object], str]] = [
    ({"cgroup_version": 1}, "CgroupV1"),
    ({"pressure": False}, "NoPressure"),
    ({"swap": ()}, "NoSwap"),
    ({"swap": (), "provisioning": ("DiskFull", "the disk is full")}, "SwapNotProvisioned"),
    ({"provisioning": ("Making", "8192 MiB of swap are being made")}, "SwapUnderWay"),
    ({"percent": 160}, "SwapTooSmall"),
    (swap_on("heads"), "SlowSwap"),
    (swap_on("network"), "SwapOverNetwork"),
    (swap_on("loop"), "LoopSwap"),
    (swap_on("zram"), "CompressedSwap"),
    ({"kubelet": None}, "NoKubelet"),
    ({"kubelet": KubeletConfiguration()}, "KubeletRefusesSwap"),
    ({"kubelet": swap_behavior("UnlimitedSwap")}, "KubeletRefusesSetting"),
    ({"kubelet": swap_behavior("UnlimitedSwap"), "kubelet_minor": 29}, "KubeletRefusesSetting"),
    ({"kubelet": swap_behavior("UnlimitedSwap", NodeSwap=True), "kubelet_minor": 28}, "UnlimitedSwap"),
    ({"kubelet": swap_behavior("WorkloadControlledSwap")}, "SwapBehaviorUnknown"),
    ({"kubelet": swap_behavior("WorkloadControlledSwap"), "kubelet_minor": 36}, "KubeletRefusesSetting"),
    ({"kubelet": swap_behavior("LimitedSwap", NodeSwap=True), "kubelet_minor": 37}, "KubeletRefusesSetting"),
    ({"kubelet": swap_behavior("NoSwap", NodeSwap=True), "kubelet_minor": 36}, "KubeletRefusesLater"),
    ({"kubelet_missing": "/opt/kubelet.yaml"}, "KubeletFileMissing"),
    ({"kubelet": PROTECTING_KUBELET}, "RequestsProtected"),
    ({"other_swap_max": {"runtime.slice": "max"}}, "SystemSwaps"),
    ({"kubelet": SOFT_KUBELET}, "WatermarkBelowEviction"),
    ({"kubelet": msgspec.structs.replace(LIMITED_KUBELET, fail_swap_on=True)}, "KubeletRefusesSwap"),
    ({"kubelet": KubeletConfiguration(False, eviction_hard={"memory.available": "x"})}, "EvictionUnreadable"),
    ({"kubelet": LIMITED_KUBELET, "kubelet_limits": False}, "KubeletLimitsNothing"),
    ({"kubelet": LIMITED_KUBELET, "kubelet_limits": True}, "KubeletGivesSwapToAll"),
    ({"writer_asked": "hook"}, "SettingsExclude"),
    ({"kubelet": LIMITED_KUBELET, "eligibility": "Burstable", "allowance": "whole"}, "SettingsExclude"),
    ({"system_swap_max": "max"}, "SystemSwaps"),
    ({"swappiness": 0}, "Swappiness"),
    ({"watermarks": Watermarks(64 * MIB, 80 * MIB, 16 * GIB)}, "WatermarkBelowEviction"),
    ({"kubelet": RESERVING_KUBELET}, "EvictionAtPodsLimit"),
    ({"overcommit_memory": 2}, "StrictOvercommit"),
    ({"panic_on_oom": 1}, "PanicOnOom"),
    ({"overcommit_memory": 0, "kubelet": STRICT_KUBELET}, "KubeletRefusesKernel"),
    ({"hook_folder": "/etc/containers/oci/hooks.d"}, "HookNotRead"),
    ({"hook_folders_read": ("/etc/containers/oci/hooks.d",)}, "HookNotInstalled"),
    ({"leftovers": ("opt/oci-hook-swap.sh",)}, "OriginalAgentLeftovers"),
    ({"owners": ("wasp-agent",)}, "OtherOwner"),
    ({"provisioning": ("Ready", ""), "boot_swap": ("/etc/fstab (/dev/sda3)",)}, "OtherSwapAtBoot"),
    ({"nri_plugins": ("10-tuner",)}, "OtherNriPlugin"),
    ({"nri_connections": 2}, "OtherNriPlugin"),
    ({"unread": {"swap": "/proc/swaps: cannot open: Permission denied"}}, "NotLooked"),
]


@pytest.mark.parametrize(("changed", "word"), WRONG)
def test_each_finding_is_named_with_its_fix(changed: dict[str, object], word: str) -> None:
    found = diagnose(msgspec.structs.replace(HEALTHY, **changed)).findings

    assert word in [finding.word for finding in found]
    assert all(finding.sentence and finding.fix for finding in found)


def test_a_fix_that_is_a_command_exists() -> None:
    found = [
        f for changed, _ in WRONG for f in diagnose(msgspec.structs.replace(HEALTHY, **changed)).findings
    ]
    ours = {finding.fix for finding in found if finding.fix.startswith("overbook")}
    node = find("node")

    assert node is not None
    assert ours
    for fix in ours:
        parser_of((node,)).parse_args(fix.split()[1:])


def test_overcommit_off_is_no_finding_if_the_kubelet_allows_it() -> None:
    assert diagnose(msgspec.structs.replace(HEALTHY, overcommit_memory=0)).findings == ()


def test_the_worst_comes_first() -> None:
    broken = msgspec.structs.replace(HEALTHY, pressure=False, cgroup_version=1, kubelet=None)

    diagnosis = diagnose(broken)

    assert [finding.severity for finding in diagnosis.findings] == ["Broken", "Risky", "Note"]
    assert diagnosis.broken


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "reconcile writes the swap limits: the runtime has neither NRI nor hooks"),
        (
            {"nri_socket": "/run/nri/nri.sock"},
            "nri writes the swap limits: the runtime asks on /run/nri/nri.sock",
        ),
        (
            {"hook_folders_read": ("/etc/hooks.d",), "hook_folder": "/etc/hooks.d"},
            "hook writes the swap limits: the runtime reads OCI hooks in /etc/hooks.d",
        ),
        (
            {"kubelet": LIMITED_KUBELET, "kubelet_limits": True, "eligibility": "Burstable"},
            "kubelet writes the swap limits: the kubelet runs with LimitedSwap",
        ),
    ],
)
def test_the_writer_that_auto_picks_is_shown_with_its_reason(
    changed: dict[str, object], sentence: str
) -> None:
    fine = {one.subject: one.sentence for one in diagnose(msgspec.structs.replace(HEALTHY, **changed)).fine}

    assert fine["writer"].startswith(sentence)


def test_a_node_that_is_to_have_no_swap_needs_no_swap_setting() -> None:
    plain = HostState(cgroup_version=2, pressure=True, kubelet=KubeletConfiguration(), swappiness=0)

    assert diagnose(plain).findings == ()


def test_an_unread_subject_is_never_called_right() -> None:
    blind = HostState(unread={check.subject: "permission denied" for check in CHECKS})

    diagnosis = diagnose(blind)

    assert diagnosis.fine == ()
    assert len(diagnosis.findings) == len(CHECKS)
    assert {finding.word for finding in diagnosis.findings} == {"NotLooked"}


def test_a_factor_lifts_the_low_watermark_above_eviction() -> None:
    marks = Watermarks(min_bytes=64 * MIB, low_bytes=80 * MIB, managed_bytes=16 * GIB)

    factor = scale_factor(marks, 100 * MIB)

    assert factor is not None
    assert marks.min_bytes + marks.managed_bytes * factor // 10_000 >= 100 * MIB + 256 * MIB


def test_watermarks_that_are_high_enough_are_left_alone() -> None:
    assert scale_factor(Watermarks(64 * MIB, 600 * MIB, 16 * GIB), 100 * MIB) is None


def sentences(**changes: object) -> str:
    found = diagnose(msgspec.structs.replace(HEALTHY, **changes)).findings
    return " ".join(f"{finding.sentence} | {finding.fix}" for finding in found)


def test_an_unreachable_soft_threshold_is_to_be_lowered() -> None:
    soft = msgspec.structs.replace(SOFT_KUBELET, eviction_soft={"memory.available": "2Gi"})

    said = sentences(kubelet=soft)

    assert "evicts below 2Gi (evictionSoft for 30s)" in said
    assert "set memory.available in the kubelet's evictionSoft below" in said
    assert "tune apply" not in said


def reserving(**changes: object) -> str:
    return sentences(kubelet=msgspec.structs.replace(RESERVING_KUBELET, **changes))


def test_eviction_at_the_limit_of_all_pods_ends_by_its_fix() -> None:
    said = reserving()

    assert "limits all pods together to 14Gi and evicts when less than 100Mi of that is left" in said
    assert said.endswith("set enforceNodeAllocatable: [none]")
    assert reserving(enforce_node_allocatable=["none"]) == ""
    others = reserving(enforce_node_allocatable=["pods", "system-reserved"])
    assert others.endswith("set enforceNodeAllocatable: [system-reserved]")


def test_soft_eviction_does_not_count_at_the_limit_of_all_pods() -> None:
    soft = msgspec.structs.replace(
        SOFT_KUBELET, system_reserved={"memory": "2Gi"}, eviction_hard={"memory.available": "0%"}
    )

    assert sentences(kubelet=msgspec.structs.replace(soft, eviction_soft={"memory.available": "100Mi"})) == ""


@pytest.mark.parametrize("reserved", [{}, {"memory": "200Mi"}])
def test_a_node_that_fills_first_is_judged_by_its_watermarks(reserved: dict[str, str]) -> None:
    assert reserving(system_reserved=reserved) == ""


def test_a_limit_of_all_pods_above_ordinary_memory_is_left() -> None:
    assert sentences(kubelet=RESERVING_KUBELET, memory_bytes=16 * GIB, huge_pages_bytes=4 * GIB) == ""


def test_the_highest_watermark_is_not_asked_for_again() -> None:
    highest = Watermarks(64 * MIB, 64 * MIB + 16 * GIB // 10, 16 * GIB)
    hard = KubeletConfiguration(fail_swap_on=False, eviction_hard={"memory.available": "1600Mi"})

    assert sentences(kubelet=hard, watermarks=highest) == ""


def test_a_fix_is_for_the_place_of_the_distribution() -> None:
    said = sentences(kubelet=KubeletConfiguration(), kubelet_place="in /var/snap/microk8s/7/args/kubelet")

    assert "set failSwapOn: false in /var/snap/microk8s/7/args/kubelet" in said


def test_a_missing_kubelet_is_reported_with_what_was_sought() -> None:
    said = sentences(kubelet=None)

    assert all(word in said for word in ("k3s", "rke2", "kubelite", "microshift", "hyperkube"))


def test_an_old_kubelets_fix_has_no_noswap() -> None:
    limited = msgspec.structs.replace(LIMITED_KUBELET, feature_gates={"NodeSwap": True})

    said = sentences(kubelet=limited, kubelet_minor=29)

    assert "KubeletGivesSwapToAll" in {
        f.word for f in diagnose(msgspec.structs.replace(HEALTHY, kubelet=limited)).findings
    }
    assert "set memorySwap.swapBehavior: NoSwap" not in said


def test_huge_pages_need_no_swap() -> None:
    assert sentences(memory_bytes=64 * GIB, huge_pages_bytes=48 * GIB) == ""
    assert "150 % needs 32Gi" in sentences(memory_bytes=64 * GIB)
