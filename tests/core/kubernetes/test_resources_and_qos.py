from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes import qos
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.qos import is_critical
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts, container_resources
from overbook.kernel import kubepods_names
from tests.core.pod_manifests import GI, MI, pod_of

amounts = st.fixed_dictionaries(
    {}, optional={"cpu": st.sampled_from(["0", "100m", "2"]), "memory": st.sampled_from(["0", "64Mi", "1G"])}
)
containers = st.lists(
    st.fixed_dictionaries({}, optional={"requests": amounts, "limits": amounts}), min_size=1, max_size=4
)


def test_requests_default_to_limits() -> None:
    pod = pod_of({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})
    assert container_resources(pod.containers[0]).requests == Amounts.of(500, GI)


def test_a_pod_needs_the_larger_of_running_and_init_requests() -> None:
    pod = pod_of(
        {"requests": {"memory": "1Gi"}},
        {"requests": {"memory": "1Gi"}},
        init=[{"resources": {"requests": {"memory": "3Gi", "cpu": "100m"}}}],
        overhead={"memory": "120Mi"},
    )
    assert resolve(pod).requests == Amounts.of(100, 3 * GI + 120 * MI)


def test_a_sidecar_runs_beside_what_starts_after_it() -> None:
    pod = pod_of(
        {"requests": {"memory": "1Gi"}},
        init=[
            {"resources": {"requests": {"memory": "512Mi"}}, "restartPolicy": "Always"},
            {"resources": {"requests": {"memory": "2Gi"}}},
        ],
    )
    assert resolve(pod).requests.memory_bytes == 2 * GI + 512 * MI


def test_pod_level_resources_take_the_place_of_the_sum() -> None:
    pod = pod_of({"requests": {"memory": "1Gi"}}, resources={"requests": {"memory": "3Gi"}})
    assert resolve(pod).requests.memory_bytes == 3 * GI


@pytest.mark.parametrize("text", ["-1", "9Ei", "junk"])
def test_an_invalid_quantity_is_refused_with_its_place(text: str) -> None:
    pod = pod_of({"limits": {"memory": text}})
    with pytest.raises(InvalidInput, match=r"containers\[c0\]\.resources\.limits\.memory"):
        resolve(pod)


@given(containers)
def test_no_pod_is_guaranteed_without_limits(written: list[dict[str, Any]]) -> None:
    pod = pod_of(*written)
    limits = [container_resources(container).limits for container in pod.containers]
    if not all(limit.cpu_milli and limit.memory_bytes for limit in limits):
        assert resolve(pod).qos_class != "Guaranteed"


@given(containers, st.integers(MI, 1 << 42))
def test_oom_score_of_burstable_is_between_the_other_classes(written: list[dict[str, Any]], ram: int) -> None:
    pod = resolve(pod_of(*written))
    if pod.qos_class == "Burstable":
        for container in pod.containers:
            assert -997 < oom_score_adj(pod, container, ram) < 1000


def test_pods_have_one_of_three_qos_classes() -> None:
    whole = {"cpu": "1", "memory": "1Gi"}
    assert resolve(pod_of({"limits": whole})).qos_class == "Guaranteed"
    assert resolve(pod_of({"limits": whole}, {})).qos_class == "Burstable"
    assert resolve(pod_of({}, {})).qos_class == "BestEffort"


def test_qos_classes_of_rules_and_kernel_readers_are_the_same() -> None:
    assert get_args(qos.QosClass) == get_args(kubepods_names.QosClass)


def test_static_mirror_and_system_priority_pods_are_critical() -> None:
    assert is_critical(pod_of({}, annotations={"kubernetes.io/config.source": "file"}))
    assert is_critical(pod_of({}, annotations={"kubernetes.io/config.mirror": "x"}))
    assert is_critical(pod_of({}, priority=2_000_000_000))
    assert not is_critical(pod_of({}, priority=1_999_999_999))
