"""A resize cannot put back what the override took, and nothing that it leaves alone is changed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import with_defaults
from overbook.core.kubernetes.pod import ObjectMeta, Pod
from overbook.core.kubernetes.resolved import resolve
from overbook.core.override.admission import Admission, ClusterPolicy, NamespacePolicy, choose, decide
from overbook.core.override.override import apply, original_request_key
from overbook.core.override.source import OverrideSource
from tests.core.override.test_admission import of_cluster, space
from tests.core.override.test_fitting import ITEMS, POLICIES, RESOURCES, refused, set_by
from tests.core.pod_manifests import pod_of

HALF: dict[str, Any] = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}
OF_REQUEST: dict[str, Any] = {"cpuRequestToRequestPercent": 50}
KEY = original_request_key("c0")


def resized(
    old: Pod, new: Pod, percentages: dict[str, Any], namespace: NamespacePolicy | None = None
) -> Admission:
    cluster: ClusterPolicy = of_cluster(**percentages)
    source = choose(new, namespace or space(), cluster)
    assert isinstance(source, OverrideSource)
    return decide(new, namespace or space(), cluster, source, old)


def sized(memory: str, limit: str, **cpu: str) -> dict[str, Any]:
    requests, limits = {"memory": memory}, {"memory": limit}
    if cpu:
        requests["cpu"], limits["cpu"] = cpu["cpu"], cpu["cpu_limit"]
    return {"requests": requests, "limits": limits}


def test_a_resize_back_to_the_authors_requests_is_undone() -> None:
    old = pod_of(sized("512Mi", "1Gi"), sized("1Gi", "1Gi"))
    new = pod_of(sized("1Gi", "1Gi"), sized("1Gi", "1Gi"))
    assert set_by(resized(old, new, HALF)) == {"c0 requests memory": "512Mi"}


def test_a_larger_limit_brings_its_part_as_request() -> None:
    old = pod_of(sized("512Mi", "1Gi", cpu="250m", cpu_limit="1"))
    new = pod_of(sized("4Gi", "4Gi", cpu="250m", cpu_limit="1"))
    assert set_by(resized(old, new, HALF)) == {"c0 requests memory": "2Gi"}
    new = pod_of(sized("512Mi", "1Gi", cpu="250m", cpu_limit="2"))
    assert set_by(resized(old, new, HALF)) == {"c0 requests cpu": "500m"}
    new = pod_of(sized("512Mi", "1Gi", cpu="1", cpu_limit="1"))
    assert set_by(resized(old, new, {**HALF, "limitCPUToMemoryPercent": 100})) == {"c0 requests cpu": "250m"}
    new = pod_of(sized("512Mi", "2Gi", cpu="250m", cpu_limit="1"))
    assert set_by(resized(old, new, {"limitCPUToMemoryPercent": 100})) == {"c0 limits cpu": "2"}


def test_resources_that_a_resize_leaves_alone_stay() -> None:
    """Another container, or the other resource, was decided earlier, maybe by another override."""
    old = pod_of(sized("1Gi", "1Gi", cpu="1", cpu_limit="2"), sized("2Gi", "2Gi"))
    new = pod_of(sized("1Gi", "1Gi", cpu="1500m", cpu_limit="2"), sized("2Gi", "2Gi"))
    assert set_by(resized(old, new, HALF)) == {"c0 requests cpu": "500m"}
    assert resized(old, old, HALF).outcome == "AsItShouldBe"


def test_a_request_of_a_resize_is_scaled_once_in_two_passes() -> None:
    limits = {"limits": {"cpu": "8"}}
    kept = {KEY: "2"}
    old = pod_of({"requests": {"cpu": "1"}, **limits}, annotations=kept)
    new = pod_of({"requests": {"cpu": "4"}, **limits}, annotations=kept)
    first = resized(old, new, OF_REQUEST)
    assert set_by(first) == {"c0 requests cpu": "2"}
    assert first.override.annotations == {KEY: "4"}
    changed = apply(new, first.override.changes)
    again = Pod(metadata=ObjectMeta(annotations=first.override.annotations), spec=changed.spec)
    assert resized(old, again, OF_REQUEST).outcome == "AsItShouldBe"


@pytest.mark.parametrize("noted", ["1000", "junk", "0"])
def test_a_note_carries_no_resize_out(noted: str) -> None:
    limits = {"limits": {"cpu": "2"}}
    old = pod_of({"requests": {"cpu": "500m"}, **limits})
    new = pod_of({"requests": {"cpu": "2"}, **limits}, annotations={KEY: noted})
    assert set_by(resized(old, new, OF_REQUEST)) == {"c0 requests cpu": "1"}


def test_the_qos_class_is_kept_with_a_word() -> None:
    """A pod that was Guaranteed before the override came can be resized only as a Guaranteed one."""
    guaranteed = sized("1Gi", "1Gi", cpu="1", cpu_limit="1")
    larger = sized("2Gi", "2Gi", cpu="1", cpu_limit="1")
    admission = resized(pod_of(guaranteed), pod_of(larger), HALF)
    assert admission.outcome == "Inadmissible"
    assert admission.detail == (
        "a resize may not change the QoS class, which was Guaranteed and would be Burstable"
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(RESOURCES, RESOURCES), min_size=1, max_size=3),
    st.lists(ITEMS, max_size=2),
    POLICIES,
)
def test_an_admitted_resize_stays_admitted(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
    items: list[dict[str, Any]],
    percentages: dict[str, Any],
) -> None:
    try:
        namespace = space(*items)
    except InvalidInput:
        return
    old = with_defaults(pod_of(*(one for one, _ in pairs)), [])
    new = with_defaults(pod_of(*(one for _, one in pairs)), [])
    had = resolve(old).qos_class
    if refused(new, namespace) or resolve(new).qos_class != had:
        return
    admission = resized(old, new, percentages, namespace)
    made = admission.override.changes if admission.outcome == "Overridden" else ()
    result = apply(new, made)
    assert not refused(result, namespace)
    assert resolve(result).qos_class == had
    for change in made:
        before, after = old.containers[change.index].resources, new.containers[change.index].resources
        assert before != after
