import msgspec
import pytest

from overbook.core.doctor import HostFacts, SwapDevice, findings
from overbook.core.kubelet_configuration import KubeletConfiguration, MemorySwap
from overbook.core.watermark import Watermarks, scale_factor

MIB = 1 << 20
GIB = 1 << 30
DISK = SwapDevice("/dev/nvme0n1p3", 8 * GIB, rotational=False)
NO_SWAP_KUBELET = KubeletConfiguration(fail_swap_on=False)
LIMITED_KUBELET = KubeletConfiguration(fail_swap_on=False, memory_swap=MemorySwap("LimitedSwap"))
HEALTHY = HostFacts(
    memory_bytes=16 * GIB,
    swap=(DISK,),
    demanded_bytes=8 * GIB,
    kubelet=NO_SWAP_KUBELET,
    swappiness=60,
    overcommit_memory=1,
    panic_on_oom=0,
    watermarks=Watermarks(64 * MIB, 512 * MIB, 16 * GIB),
    system_swap_max="0",
)


def test_a_healthy_node_has_nothing_to_mend() -> None:
    assert findings(HEALTHY) == ()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"cgroup_version": 1}, "CgroupV1"),
        ({"pressure": False}, "NoPressure"),
        ({"swap": ()}, "NoSwap"),
        ({"swap": (), "provisioning": ("DiskFull", "the disk is full")}, "DiskFull"),
        ({"demanded_bytes": 9 * GIB}, "SwapTooSmall"),
        ({"swap": (SwapDevice("/dev/sda3", 8 * GIB, rotational=True),)}, "SlowSwap"),
        ({"swap": (SwapDevice("/dev/nbd0", 8 * GIB, network=True),)}, "SwapOverNetwork"),
        ({"swap": (SwapDevice("/dev/zram0", 8 * GIB, compressed=True),)}, "CompressedSwap"),
        ({"kubelet": None}, "NoKubelet"),
        ({"kubelet": KubeletConfiguration()}, "KubeletRefusesSwap"),
        ({"kubelet": LIMITED_KUBELET, "kubelet_limits": False}, "KubeletLimitsNothing"),
        ({"kubelet": LIMITED_KUBELET, "kubelet_limits": True}, "KubeletGivesSwapToAll"),
        ({"system_swap_max": "max"}, "SystemSwaps"),
        ({"swappiness": 0}, "Swappiness"),
        ({"watermarks": Watermarks(64 * MIB, 80 * MIB, 16 * GIB)}, "WatermarkBelowEviction"),
        ({"overcommit_memory": 2}, "StrictOvercommit"),
        ({"panic_on_oom": 1}, "PanicOnOom"),
        ({"hook_folder": "/etc/containers/oci/hooks.d"}, "HookNotRead"),
        ({"leftovers": ("opt/oci-hook-swap.sh",)}, "OriginalAgentLeftovers"),
        ({"owners": ("wasp-agent",)}, "OtherOwner"),
    ],
)
def test_each_thing_that_is_wrong_is_named_with_its_mend(changed: dict[str, object], word: str) -> None:
    found = findings(msgspec.structs.replace(HEALTHY, **changed))

    assert word in [finding.word for finding in found]
    assert all(finding.sentence and finding.mend for finding in found)


def test_the_worst_comes_first() -> None:
    broken = msgspec.structs.replace(HEALTHY, pressure=False, cgroup_version=1, kubelet=None)

    assert [finding.severity for finding in findings(broken)] == ["Broken", "Risky", "Note"]


def test_a_factor_puts_the_low_watermark_above_the_eviction_threshold() -> None:
    marks = Watermarks(min_bytes=64 * MIB, low_bytes=80 * MIB, managed_bytes=16 * GIB)

    factor = scale_factor(marks, 100 * MIB)

    assert factor is not None
    assert marks.min_bytes + marks.managed_bytes * factor // 10_000 >= 100 * MIB + 256 * MIB


def test_watermarks_that_are_high_enough_are_left_alone() -> None:
    assert scale_factor(Watermarks(64 * MIB, 600 * MIB, 16 * GIB), 100 * MIB) is None
