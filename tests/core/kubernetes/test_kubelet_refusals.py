"""A kubelet does not start with some settings; which ones depends on its version."""

from typing import Any

import pytest

from overbook.core.kubernetes.kubelet import kubelet_configuration
from overbook.core.kubernetes.kubelet_refusals import no_swap_fix, refusals, refused_later


def words(fields: dict[str, Any], minor: int | None) -> str:
    found = kubelet_configuration([{"failSwapOn": False, **fields}])
    return "; ".join(refusal.sentence for refusal in refusals(found, minor))


def swap(behavior: str, **gates: bool) -> dict[str, Any]:
    return {"memorySwap": {"swapBehavior": behavior}, "featureGates": gates}


@pytest.mark.parametrize(
    ("fields", "minor", "part"),
    [
        (swap("UnlimitedSwap"), 30, "UnlimitedSwap is refused from 1.30 on"),
        (swap("UnlimitedSwap"), None, "UnlimitedSwap is refused from 1.30 on"),
        (swap("UnlimitedSwap", NodeSwap=True), 29, ""),
        (swap("LimitedSwap"), 29, "while the feature gate NodeSwap is off"),
        (swap("LimitedSwap", NodeSwap=True), 28, ""),
        (swap("LimitedSwap"), 30, ""),
        (swap("LimitedSwap", NodeSwap=False), 33, "while the feature gate NodeSwap is off"),
        (swap("LimitedSwap", NodeSwap=False), 34, "NodeSwap cannot be switched off"),
        (swap("LimitedSwap", NodeSwap=True), 36, ""),
        (swap("LimitedSwap", NodeSwap=True), 37, "NodeSwap is not known any more"),
        (swap("NoSwap", NodeSwap=True), 29, "NoSwap is not known before 1.30"),
        (swap("", NodeSwap=True), 21, "NodeSwap is not known before 1.22"),
        (swap("WorkloadControlledSwap"), 36, "WorkloadControlledSwap is not known to version 1.36"),
        (swap("WorkloadControlledSwap"), 38, ""),
        (swap("WorkloadControlledSwap"), None, ""),
        ({"featureGates": {"KubeletPSI": True}}, 32, "KubeletPSI is not known before 1.33"),
        ({"featureGates": {"KubeletPSI": True}}, None, ""),
        ({"evictionSoft": {"memory.available": "1Gi"}}, None, "without a time"),
        ({"memoryReservationPolicy": "TieredReservation"}, 36, "MemoryQoS is off"),
        ({"memoryReservationPolicy": "TieredReservation"}, 37, ""),
        ({"memoryReservationPolicy": "Soft"}, 37, "Soft is not known"),
        ({"memoryThrottlingFactor": 1.5}, None, "at most 1"),
        ({"enforceNodeAllocatable": ["pods", "swap"]}, None, "has swap"),
        ({"enforceNodeAllocatable": ["none"]}, 36, ""),
    ],
)
def test_a_refused_setting_is_known_by_version(fields: dict[str, Any], minor: int | None, part: str) -> None:
    found = words(fields, minor)

    assert part in found
    assert part or not found


@pytest.mark.parametrize("minor", [None, *range(22, 39)])
@pytest.mark.parametrize("gates", [{}, {"NodeSwap": True}])
def test_the_fix_for_swap_is_not_refused_itself(minor: int | None, gates: dict[str, bool]) -> None:
    written = {"failSwapOn": False, **swap("UnlimitedSwap", **gates)}

    fix = no_swap_fix(kubelet_configuration([written]), minor)

    mended: dict[str, Any] = {"failSwapOn": False, "featureGates": gates if minor and minor >= 30 else {}}
    if fix.startswith("set"):
        mended["memorySwap"] = {"swapBehavior": "NoSwap"}
    left = [each.sentence for each in refusals(kubelet_configuration([mended]), minor)]
    assert left == [] or (minor is not None and minor >= 37 and gates), fix


def test_a_gate_that_a_later_version_refuses_is_named() -> None:
    gated = kubelet_configuration([{"featureGates": {"NodeSwap": True}}])

    assert "from 1.37 on" in next(refused_later(gated, None)).sentence
    assert "this kubelet is 1.36" in next(refused_later(gated, 36)).sentence
    assert list(refused_later(gated, 37)) == []


@pytest.mark.parametrize(
    ("fields", "minor", "protects", "throttles"),
    [
        ({}, 36, False, False),
        ({"featureGates": {"MemoryQoS": True}}, 36, False, True),
        (
            {"featureGates": {"MemoryQoS": True}, "memoryReservationPolicy": "TieredReservation"},
            36,
            True,
            True,
        ),
        ({}, 37, False, False),
        ({"memoryThrottlingFactor": 0.8}, 37, False, True),
        ({"memoryReservationPolicy": "TieredReservation"}, 37, True, False),
        (
            {"memoryReservationPolicy": "TieredReservation", "featureGates": {"MemoryQoS": False}},
            37,
            False,
            False,
        ),
        ({"memoryReservationPolicy": "TieredReservation"}, None, True, False),
    ],
)
def test_memory_qos_depends_on_gate_and_version(
    fields: dict[str, Any], minor: int | None, protects: bool, throttles: bool
) -> None:
    kubelet = kubelet_configuration([fields])

    assert kubelet.protects_requests(minor) is protects
    assert kubelet.throttles_memory(minor) is throttles
