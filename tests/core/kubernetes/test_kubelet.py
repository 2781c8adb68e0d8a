from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import (
    KubeletConfiguration,
    kubelet_configuration,
    reported_configuration,
)

MIB = 1 << 20


def test_an_unconfigured_kubelet_refuses_swap() -> None:
    assert kubelet_configuration([]).swap == "Refused"


@pytest.mark.parametrize(
    ("fields", "swap"),
    [
        ({"failSwapOn": False}, "NoSwap"),
        ({"failSwapOn": False, "memorySwap": {"swapBehavior": "NoSwap"}}, "NoSwap"),
        ({"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}}, "LimitedSwap"),
        ({"failSwapOn": True}, "Refused"),
    ],
)
def test_swap_behavior_is_read_from_the_configuration(fields: dict[str, object], swap: str) -> None:
    assert kubelet_configuration([fields]).swap == swap


def test_drop_ins_are_merged_in_order_and_flags_win() -> None:
    documents: list[dict[str, Any]] = [
        {"failSwapOn": True, "evictionHard": {"memory.available": "5%", "nodefs.available": "10%"}},
        {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}},
        {"evictionHard": {"memory.available": "300Mi"}, "memorySwap": None},
    ]

    merged = kubelet_configuration(documents, {"protect-kernel-defaults": "true", "v": "2"})

    assert merged == KubeletConfiguration(
        fail_swap_on=False,
        protect_kernel_defaults=True,
        eviction_hard={"memory.available": "300Mi", "nodefs.available": "10%"},
    )


def test_the_deprecated_flag_wins_over_the_file() -> None:
    assert kubelet_configuration([{"failSwapOn": True}], {"fail-swap-on": "false"}).swap == "NoSwap"


def test_reserves_come_from_the_file_or_from_flags() -> None:
    file = {"systemReserved": {"memory": "1Gi", "cpu": "500m"}, "kubeReserved": {"memory": "512Mi"}}

    told = kubelet_configuration([file])
    flagged = kubelet_configuration([file], {"system-reserved": "memory=256Mi,cpu=100m"})

    assert told.enforced_bytes(4096 * MIB) == 2560 * MIB
    assert flagged.enforced_bytes(4096 * MIB) == 3328 * MIB


@pytest.mark.parametrize(
    ("fields", "flags", "percent"),
    [
        ({"qosReserved": {"memory": "50%"}}, {}, None),
        ({"featureGates": {"QOSReserved": True}}, {}, None),
        ({"qosReserved": {"memory": "50%"}, "featureGates": {"QOSReserved": True}}, {}, 50),
        ({"qosReserved": {"memory": "50%"}}, {"feature-gates": "QOSReserved=true"}, 50),
        ({"featureGates": {"QOSReserved": True}}, {"qos-reserved": "memory=100%"}, 100),
        (
            {"qosReserved": {"memory": "50%"}, "featureGates": {"QOSReserved": True}},
            {"feature-gates": "QOSReserved=false"},
            None,
        ),
    ],
)
def test_qos_reserved_counts_only_with_setting_and_gate(
    fields: dict[str, Any], flags: dict[str, str], percent: int | None
) -> None:
    assert kubelet_configuration([fields], flags).qos_reserved_percent == percent


def test_a_flag_of_malformed_pairs_is_named() -> None:
    with pytest.raises(InvalidInput, match="--system-reserved"):
        kubelet_configuration([], {"system-reserved": "1Gi"})


def test_a_flag_that_is_neither_true_nor_false_is_named() -> None:
    with pytest.raises(InvalidInput, match="--fail-swap-on"):
        kubelet_configuration([], {"fail-swap-on": "perhaps"})


@pytest.mark.parametrize(
    ("fields", "eviction_bytes"),
    [
        ({}, 100 * MIB),
        ({"evictionHard": {"memory.available": "1%"}}, 10 * MIB),
        ({"evictionHard": {"nodefs.available": "10%"}}, 0),
        ({"evictionHard": {"nodefs.available": "10%"}, "mergeDefaultEvictionSettings": True}, 100 * MIB),
        ({"evictionHard": {"memory.available": "0%"}}, 0),
    ],
)
def test_the_memory_eviction_threshold_is_read(fields: dict[str, object], eviction_bytes: int) -> None:
    assert kubelet_configuration([fields]).eviction_bytes(1000 * MIB) == eviction_bytes


def test_cpu_quota_off_is_read_by_the_apis_own_name() -> None:
    assert not kubelet_configuration([{"cpuCFSQuota": False}]).cpu_cfs_quota


@pytest.mark.parametrize(
    ("fields", "percent"),
    [
        ({}, 15),
        ({"imageGCHighThresholdPercent": 70}, 30),
        ({"evictionHard": {"memory.available": "100Mi"}}, 15),  # images are still collected
        ({"evictionHard": {"imagefs.available": "12.5%", "nodefs.available": "20%"}}, 20),
        ({"evictionHard": {"nodefs.available": "1Gi"}, "imageGCHighThresholdPercent": 100}, 0),
        (
            {
                "evictionHard": {"nodefs.available": "5%"},
                "imageGCHighThresholdPercent": 90,
                "mergeDefaultEvictionSettings": True,
            },
            15,
        ),
        ({"evictionHard": {"imagefs.available": "100%"}, "imageGCHighThresholdPercent": 95}, 5),
    ],
)
def test_disk_eviction_thresholds_keep_their_part_free(fields: dict[str, object], percent: int) -> None:
    assert kubelet_configuration([fields]).disk_percent_kept_free == percent


def test_a_disk_threshold_that_is_no_percentage_is_refused() -> None:
    with pytest.raises(InvalidInput, match="eviction threshold"):
        _ = kubelet_configuration([{"evictionHard": {"nodefs.available": "much%"}}]).disk_percent_kept_free


@pytest.mark.parametrize(("minor", "eviction_bytes"), [(24, 100 * MIB), (25, 0), (None, 0)])
def test_default_thresholds_belong_to_the_file(minor: int | None, eviction_bytes: int) -> None:
    found = kubelet_configuration([{"failSwapOn": False}], has_file=False, minor=minor)

    assert found.eviction_bytes(1000 * MIB) == eviction_bytes


def test_a_reported_configuration_has_no_more_defaults() -> None:
    assert reported_configuration({"failSwapOn": False}).eviction_bytes(1000 * MIB) == 0


def test_the_higher_threshold_begins_to_evict() -> None:
    soft = {
        "evictionSoft": {"memory.available": "20%"},
        "evictionSoftGracePeriod": {"memory.available": "30s"},
    }

    start = kubelet_configuration([soft]).eviction_start(1000 * MIB)

    assert (start.size_bytes, start.field, start.grace) == (200 * MIB, "evictionSoft", "30s")
    hard = kubelet_configuration([{**soft, "evictionHard": {"memory.available": "300Mi"}}])
    assert hard.eviction_start(1000 * MIB).field == "evictionHard"


@pytest.mark.parametrize("word", ["UnlimitedSwap", "WorkloadControlledSwap", "limitedSwap"])
def test_an_unknown_swap_behaviour_is_never_noswap(word: str) -> None:
    for fields in ({"failSwapOn": False}, {}):
        assert kubelet_configuration([{**fields, "memorySwap": {"swapBehavior": word}}]).swap == "Unknown"
