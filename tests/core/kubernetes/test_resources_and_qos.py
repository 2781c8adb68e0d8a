from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes import qos
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.pod import PodStatus
from overbook.core.kubernetes.qos import is_critical
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts, container_resources
from overbook.core.kubernetes.version import KubernetesVersion, kubernetes_version
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


@pytest.mark.parametrize("text", ["-1", "9e99", "junk"])
def test_an_invalid_quantity_is_refused_with_its_place(text: str) -> None:
    pod = pod_of({"limits": {"memory": text}})
    with pytest.raises(InvalidInput, match=r"containers\[c0\]\.resources\.limits\.memory"):
        resolve(pod)


@pytest.mark.parametrize("text", ["8Ei", "16Ei", "9223372036854775807", "9223372036854775808", "12E", "1e20"])
def test_a_quantity_beyond_64_bits_counts_as_the_largest(text: str) -> None:
    (container,) = resolve(pod_of({"limits": {"memory": text}})).containers
    assert container.resources.limits.memory_bytes == 2**63 - 1


def test_the_class_in_the_status_wins_over_the_computed_one() -> None:
    pod = pod_of({"limits": {"cpu": "1", "memory": "1Gi"}})
    assert resolve(pod).qos_class == "Guaranteed"
    reported = msgspec.structs.replace(pod, status=PodStatus(qos_class="Burstable"))
    assert resolve(reported).qos_class == "Burstable"
    unknown = msgspec.structs.replace(pod, status=PodStatus(qos_class="BestOfAll"))
    assert resolve(unknown).qos_class == "Guaranteed"


OF_1_37 = KubernetesVersion(1, 37)
EQUAL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
PAGES = {"hugepages-2Mi": "64Mi"}


def test_a_pod_level_limit_of_huge_pages_defaults_the_requests() -> None:
    pod = resolve(pod_of(EQUAL, resources={"limits": PAGES, "requests": PAGES}))
    assert pod.qos_class == "Burstable"
    assert pod.level is not None
    assert pod.level.requests == Amounts.of(1000, GI)


def test_huge_pages_of_a_container_default_the_requests_too() -> None:
    pages = {"requests": {**PAGES, "memory": "1Gi"}, "limits": {**PAGES, "memory": "1Gi"}}
    pod = resolve(pod_of(pages, resources={"requests": {"cpu": "1"}}))
    assert pod.level is not None
    assert pod.level.requests == Amounts.of(1000, GI)
    without = resolve(pod_of({"requests": {"memory": "1Gi"}}, resources={"requests": {"cpu": "1"}}))
    assert without.level is not None
    assert without.level.requests == Amounts.of(1000, None)


@pytest.mark.parametrize(
    ("level", "in_1_36", "in_1_37"),
    [
        ({}, "BestEffort", "Guaranteed"),
        ({"requests": {}, "limits": {}}, "BestEffort", "Guaranteed"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}}, "Burstable", "Guaranteed"),
        ({"requests": {"cpu": "1"}}, "Burstable", "Burstable"),
        (EQUAL, "Guaranteed", "Guaranteed"),
    ],
)
def test_pod_level_resources_are_read_as_the_version_does(
    level: dict[str, Any], in_1_36: str, in_1_37: str
) -> None:
    pod = pod_of(EQUAL, resources=level)
    assert resolve(pod).qos_class == in_1_36
    assert resolve(pod, OF_1_37).qos_class == in_1_37


def test_pod_level_resources_are_dropped_before_1_34() -> None:
    pod = pod_of({}, resources=EQUAL)
    assert resolve(pod).qos_class == "Guaranteed"
    assert resolve(pod, KubernetesVersion(1, 33)).qos_class == "BestEffort"


def test_pod_level_limits_come_from_limits_of_all_containers() -> None:
    level = {"requests": {"cpu": "1", "memory": "1Gi"}}
    some = resolve(pod_of(EQUAL, {"limits": {"cpu": "1"}}, resources=level), OF_1_37)
    assert some.level is not None
    assert some.level.limits == Amounts.of(2000, None)


@pytest.mark.parametrize(("text", "minor"), [("1.36", 36), ("v1.37.2", 37), ("v1.37.0-rc.1+k3s1", 37)])
def test_a_version_is_read_as_clusters_write_it(text: str, minor: int) -> None:
    assert kubernetes_version(text, "--kubernetes-version") == KubernetesVersion(1, minor)


@pytest.mark.parametrize("text", ["", "1", "latest", "1.x", "v1.36beta"])
def test_text_that_is_no_kubernetes_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--kubernetes-version"):
        kubernetes_version(text, "--kubernetes-version")


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
