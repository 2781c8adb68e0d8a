import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod, PodStatus
from overbook.core.kubernetes.reserve import (
    HEADROOM_BYTES,
    ClassRequests,
    QosReserve,
    allocatable,
    class_requests,
    held_limit_bytes,
    proposed_reserve,
    qos_reserve,
    threshold_bytes,
)
from overbook.core.kubernetes.resolved import resolvable, resolve
from overbook.core.kubernetes.resources import Amounts
from tests.core.pod_manifests import GI, MI, pod_of

NODE = Amounts.of(8000, 32 * GI)


def test_eviction_threshold_lowers_allocatable_not_the_limit() -> None:
    left = allocatable(NODE, kube_reserved=Amounts.of(100, GI), system_reserved=Amounts.of(400, GI))
    assert left.enforced == Amounts.of(7500, 30 * GI)
    assert left.reported == Amounts.of(7500, 30 * GI - 100 * MI)


def test_reserves_larger_than_the_node_leave_nothing() -> None:
    assert allocatable(NODE, kube_reserved=Amounts.of(9000, 64 * GI)).reported == Amounts.of(0, 0)


@pytest.mark.parametrize(("text", "expected"), [("100Mi", 100 * MI), ("5%", 1638 * MI + 419430), ("0%", 0)])
def test_a_threshold_is_a_quantity_or_a_part_of_the_node(text: str, expected: int) -> None:
    assert threshold_bytes(text, 32 * GI) == expected


@pytest.mark.parametrize("text", ["", "%", "101%", "-1%", "-1Gi", "much"])
def test_a_threshold_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="eviction threshold"):
        threshold_bytes(text, GI)


@pytest.mark.parametrize(("percent", "burstable", "best_effort"), [(100, 20, 10), (50, 25, 20), (0, 30, 30)])
def test_the_documents_three_settings_are_computed(percent: int, burstable: int, best_effort: int) -> None:
    found = qos_reserve(30 * GI, 10 * GI, 10 * GI, percent)
    assert found == QosReserve(burstable * GI, best_effort * GI)


def test_pod_requests_count_overhead_and_init_but_no_ended_pods() -> None:
    paid = {"limits": {"cpu": "1", "memory": "1Gi"}}
    asks = {"requests": {"memory": "100Mi"}}
    ended = msgspec.structs.replace(pod_of(paid), status=PodStatus(phase="Failed"))
    pods: list[Pod] = [
        pod_of(paid, overhead={"memory": "64Mi"}),
        pod_of(asks, init=[{"resources": {"requests": {"memory": "300Mi"}}}]),
        pod_of({}, resources={"requests": {"memory": "50Mi"}}),
        pod_of({}),
        pod_of({"requests": {"memory": "nonsense"}}),
        ended,
    ]
    assert class_requests(resolvable(pods)) == ClassRequests(1088 * MI, 350 * MI)


def test_static_and_critical_pods_count_as_all_others() -> None:
    static = pod_of({"requests": {"memory": "1Gi"}}, annotations={"kubernetes.io/config.source": "file"})
    critical = pod_of({"requests": {"memory": "1Gi"}}, priority=2_000_001_000)
    assert class_requests(resolvable([static, critical])) == ClassRequests(0, 2 * GI)


def test_the_qos_class_in_the_pods_status_counts() -> None:
    pod = pod_of({"requests": {"memory": "1Gi"}})
    told = msgspec.structs.replace(pod, status=PodStatus(phase="Running", qos_class="Guaranteed"))
    assert class_requests([resolve(told)]) == ClassRequests(GI, 0)


SIZES = st.integers(0, 1 << 40)


@given(SIZES, st.none() | SIZES, SIZES)
def test_a_limit_is_never_set_below_what_is_in_use(wanted: int, present: int | None, usage: int) -> None:
    limit = held_limit_bytes(wanted, present, usage)
    assert limit >= wanted
    if present is None or present > wanted:
        assert limit >= min(usage, limit if present is None else present)


@given(SIZES, SIZES, SIZES)
def test_a_limit_is_never_raised_for_what_is_in_use(wanted: int, present: int, usage: int) -> None:
    assert held_limit_bytes(wanted, present, usage) <= max(wanted, present)


@given(SIZES, st.lists(SIZES, min_size=1, max_size=20))
def test_a_class_that_gives_back_enough_comes_to_its_limit(wanted: int, uses: list[int]) -> None:
    limit: int | None = None
    for usage in [*uses, wanted]:
        limit = held_limit_bytes(wanted, limit, usage)
    assert limit == wanted


def test_a_class_that_uses_more_may_grow_by_the_headroom_only() -> None:
    held = held_limit_bytes(GI, None, 2 * GI)
    assert held == 2 * GI + HEADROOM_BYTES
    assert held_limit_bytes(GI, held, held) == held


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.integers(0, 100))
def test_lower_classes_never_get_more_than_higher_ones(
    enforced: int, guaranteed: int, burstable: int, percent: int
) -> None:
    found = qos_reserve(enforced, guaranteed, burstable, percent)
    assert 0 <= found.best_effort_max_bytes <= found.burstable_max_bytes <= enforced


def test_a_reserved_percentage_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 to 100"):
        qos_reserve(1, 1, 1, 101)


@pytest.mark.parametrize(
    ("gib", "mib"), [(4, 1024), (8, 1843.2), (16, 2662.4), (128, 9543.68), (256, 12165.12)]
)
def test_proposed_memory_depends_on_the_nodes_size(gib: int, mib: float) -> None:
    found = proposed_reserve(Amounts.of(1000, gib * GI)).memory_bytes or 0
    assert abs(found - mib * MI) < 1


@pytest.mark.parametrize(("milli", "reserved"), [(1000, 60), (2000, 70), (4000, 80), (8000, 90), (500, 30)])
def test_proposed_cpu_depends_on_the_nodes_size(milli: int, reserved: int) -> None:
    assert proposed_reserve(Amounts.of(milli, GI)).cpu_milli == reserved


@given(st.integers(GI, 1 << 45), st.integers(GI, 1 << 45))
def test_a_larger_node_reserves_more_but_never_all_of_itself(one: int, other: int) -> None:
    small, large = sorted((one, other))
    first = proposed_reserve(Amounts.of(1000, small)).memory_bytes or 0
    second = proposed_reserve(Amounts.of(1000, large)).memory_bytes or 0
    assert first <= second < large


def test_a_node_below_1_gib_reserves_255_mib() -> None:
    assert proposed_reserve(Amounts.of(1000, GI - 1)).memory_bytes == 255 * MI


@pytest.mark.parametrize("size", [Amounts.of(1000, 0), Amounts.of(0, GI), Amounts()])
def test_a_node_without_a_size_is_refused(size: Amounts) -> None:
    with pytest.raises(InvalidInput, match="more than 0"):
        proposed_reserve(size)
