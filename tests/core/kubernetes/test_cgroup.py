import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.kubernetes.cgroup import (
    container_values,
    cpu_quota_micros,
    cpu_shares,
    cpu_weight_of_kubelet,
    cpu_weight_of_runtime,
    pod_values,
)
from overbook.core.kubernetes.resolved import resolve
from tests.core.pod_manifests import GI, pod_of


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_more_cpu_never_gets_a_smaller_weight(one: int, other: int) -> None:
    small, large = sorted((one, other))
    for weight in (cpu_weight_of_kubelet, cpu_weight_of_runtime):
        assert 1 <= weight(cpu_shares(small)) <= weight(cpu_shares(large)) <= 10_000


def test_spare_cpu_is_split_by_request() -> None:
    pods = [resolve(pod_of({"requests": {"cpu": cpu}})) for cpu in ("500m", "250m")]
    shares = [container_values(pod, pod.containers[0]).cpu_shares for pod in pods]
    assert shares[0] == 2 * shares[1]


@pytest.mark.parametrize(("milli", "quota"), [(0, 0), (1, 1000), (5, 1000), (250, 25_000), (2000, 200_000)])
def test_cpu_limit_is_time_per_100_ms_and_at_least_1_ms(milli: int, quota: int) -> None:
    assert cpu_quota_micros(milli) == quota


def test_cpu_limit_without_cfs_quota_has_no_effect_on_the_node() -> None:
    pod = resolve(pod_of({"limits": {"cpu": "2", "memory": "1Gi"}}))
    values = container_values(pod, pod.containers[0], quota=False)
    assert values.cpu_quota_micros == 0
    assert values.cpu_shares == 2048
    assert values.memory_max_bytes == GI


def test_a_pod_is_bounded_only_where_each_container_is() -> None:
    bounded, open_ended = {"limits": {"cpu": "1", "memory": "1Gi"}}, {"requests": {"memory": "1Gi"}}
    assert pod_values(resolve(pod_of(bounded, bounded))).memory_max_bytes == 2 * GI
    assert pod_values(resolve(pod_of(bounded, open_ended))).memory_max_bytes is None
    assert pod_values(resolve(pod_of({}))).cpu_shares == 2
