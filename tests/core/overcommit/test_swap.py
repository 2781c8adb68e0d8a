import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubevirt.memory import request_bytes
from overbook.core.overcommit.swap import (
    covered_bytes,
    node_swap_bytes,
    percent_for_swap,
    whole_bytes,
)
from tests.conformance.original import limited_swap
from tests.core.pod_manifests import GI, MI, pod_of

rams = st.integers(1, 1 << 44)
percents = st.integers(100, 1000)


def test_the_worked_example_of_the_document() -> None:
    assert node_swap_bytes(16 * 10**9, 150) == 8 * 10**9


@given(rams, percents)
def test_the_computed_swap_gives_back_its_percentage(ram: int, percent: int) -> None:
    found = percent_for_swap(ram, node_swap_bytes(ram, percent))
    assert found >= percent
    if ram >= 100:  # below, a byte is more than a percent
        assert found == percent


@given(rams, st.integers(0, 1 << 44))
def test_a_node_never_promises_more_than_its_swap_carries(ram: int, swap: int) -> None:
    percent = percent_for_swap(ram, swap)
    if percent <= 10_000:
        assert node_swap_bytes(ram, percent) <= swap


@given(
    st.integers(64, 1 << 20).map(lambda mib: mib * MI),
    st.integers(0, 1 << 31),
    st.integers(100, 400),
    st.integers(8, 4096).map(lambda gib: gib * GI),
)
def test_request_and_allowance_cover_guest_and_overhead(
    guest: int, overhead: int, percent: int, ram: int
) -> None:
    request = request_bytes(guest, overhead, percent)
    swap = node_swap_bytes(ram, percent)
    if request > ram:
        return
    exact = guest + overhead * percent / 100
    # rounding: the request loses up to a byte, which the allowance repeats; floats lose the 52nd bit
    assert abs(covered_bytes(request, ram, swap) - exact) <= percent / 100 + 1 + exact * 2**-49
    assert whole_bytes(guest, overhead, request) == guest - guest * 100 // percent


@pytest.mark.parametrize("percent", [0, 9, -50, 10_001])
def test_a_percentage_that_kubevirt_refuses_is_refused(percent: int) -> None:
    with pytest.raises(InvalidInput, match="such as 150"):
        node_swap_bytes(GI, percent)


def test_pods_may_swap_or_have_a_reason_why_not() -> None:
    burstable = {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    cases = [
        (pod_of(burstable), "Eligible"),
        (pod_of({"limits": {"cpu": "1", "memory": "1Gi"}}), "NotBurstable"),
        (pod_of({}), "NotBurstable"),
        (pod_of({"requests": {"cpu": "1"}}), "NoMemoryRequest"),
        (pod_of({"limits": {"memory": "1Gi"}}), "RequestIsLimit"),
        (pod_of({"requests": {"memory": "100Gi"}}), "RequestExceedsNode"),
        (pod_of(burstable, annotations={"kubernetes.io/config.mirror": "x"}), "Critical"),
    ]
    for pod, reason in cases:
        resolved = resolve(pod)
        decision = limited_swap(resolved, resolved.containers[0], 16 * GI, 8 * GI)
        assert decision.reason == reason
        assert (decision.swap_max_bytes > 0) == (reason == "Eligible")
        assert decision.sentence
