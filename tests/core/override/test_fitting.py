"""An override leaves out only what would break the pod, and keeps everything else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint
from overbook.core.kubernetes.limit_range import with_defaults
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve_containers, resolved_level
from overbook.core.override.admission import Admission, NamespacePolicy, admit
from overbook.core.override.override import Change, apply, original_request_key
from overbook.core.override.texts import audit, warnings
from tests.core.override.test_admission import of_cluster, space
from tests.core.pod_manifests import pod_of

KEY = original_request_key("c0")
HALF_OF_REQUEST: dict[str, Any] = {"cpuRequestToRequestPercent": 50}
HALF_AND_CPU: dict[str, Any] = {"memoryRequestToLimitPercent": 50, "limitCPUToMemoryPercent": 100}


def admitted(pod: Pod, namespace: NamespacePolicy | None = None, **percentages: Any) -> Admission:
    admission = admit(pod, namespace or space(), of_cluster(**percentages))
    assert not refused(apply(pod, admission.override.changes), namespace or space())
    return admission


def refused(pod: Pod, namespace: NamespacePolicy) -> str:
    containers = resolve_containers(pod)
    return complaint(containers, resolved_level(pod, containers), namespace.constraints)


def set_by(admission: Admission) -> dict[str, str]:
    return {f"{one.name} {one.part} {one.resource}": one.new for one in admission.override.changes}


def test_a_helper_with_little_memory_takes_no_other_one_out() -> None:
    helper = {"requests": {"cpu": "2"}, "limits": {"memory": "16Mi"}}
    big = {"requests": {"memory": "64Gi"}, "limits": {"memory": "64Gi"}}
    admission = admitted(pod_of(helper, big), **HALF_AND_CPU)
    assert admission.outcome == "Overridden"
    assert set_by(admission) == {
        "c0 requests memory": "8Mi",
        "c0 limits cpu": "15m",
        "c0 requests cpu": "15m",
        "c1 requests memory": "32Gi",
        "c1 limits cpu": "64",
    }
    assert not admission.left_out
    said = warnings(pod_of(helper, big), admission)
    assert "c0: CPU request 2 -> 15m: lowered to the CPU limit, ClusterResourceOverride/cluster" in said


def test_warnings_name_the_container_that_is_left_out() -> None:
    ratio = {"type": "Container", "maxLimitRequestRatio": {"memory": "1.5"}}
    pod = pod_of(
        {"limits": {"memory": "1Gi", "cpu": "2"}},
        {"limits": {"memory": "1Mi"}, "requests": {"memory": "1Mi"}},
    )
    percentages = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}
    admission = admitted(pod, space(ratio), **percentages)
    assert set_by(admission) == {"c0 requests cpu": "500m"}
    (said,) = [one for one in warnings(pod, admission) if "not overridden" in one]
    assert said.startswith(
        "c0: memory not overridden: memory limit to request ratio 2 above 1500m of LimitRange"
    )
    assert "c0: memory not overridden: " in audit(admission)


def test_a_bound_of_pods_leaves_out_the_largest_change_alone() -> None:
    minimum = {"type": "Pod", "min": {"memory": "5Gi"}}
    pod = pod_of(*({"limits": {"memory": size}} for size in ("1Gi", "4Gi", "1Gi")))
    admission = admitted(pod, space(minimum), memoryRequestToLimitPercent=50)
    assert set_by(admission) == {"c0 requests memory": "512Mi", "c2 requests memory": "512Mi"}
    (left,) = admission.left_out
    assert (left.name, left.what) == ("c1", "memory")
    assert "below minimum 5Gi of LimitRange/sizes" in left.why


def test_a_pod_level_limit_leaves_out_the_limit_that_breaks_it() -> None:
    level = {"limits": {"cpu": "2"}}
    pod = pod_of(
        {"limits": {"memory": "1Gi"}},
        {"limits": {"memory": "8Gi"}, "requests": {"cpu": "1"}},
        resources=level,
    )
    admission = admitted(pod, limitCPUToMemoryPercent=100, cpuRequestToRequestPercent=50)
    assert set_by(admission) == {"c0 limits cpu": "1", "c1 requests cpu": "500m"}
    (left,) = admission.left_out
    assert (left.name, left.what) == ("c1", "CPU limit")


@pytest.mark.parametrize("quantity", ["9Ei", "9223372036854775807", 1e25])
def test_a_quantity_that_is_too_large_takes_no_other_one_out(quantity: Any) -> None:
    for pod in (
        pod_of({"limits": {"memory": quantity}}, {"limits": {"memory": "1Gi"}}),
        pod_of({}, {"limits": {"memory": "1Gi"}}, resources={"limits": {"memory": quantity}}),
    ):
        admission = admit(pod, space(), of_cluster())
        assert admission.outcome == "Overridden"
        assert set_by(admission) == {"c1 requests memory": "512Mi"}
        assert [one.what for one in admission.left_out] == ["resources"]
        assert any("resources not overridden" in one for one in warnings(pod, admission))
    alone = pod_of({"limits": {"memory": quantity}})
    assert admit(alone, space(), of_cluster()).outcome == "InvalidQuantity"


def test_a_pod_of_very_many_containers_is_fitted_in_time() -> None:
    minimum = {"type": "Pod", "min": {"memory": "1999Gi"}}
    pod = pod_of(*({"limits": {"memory": "1Gi"}} for _ in range(2000)))
    admission = admitted(pod, space(minimum), memoryRequestToLimitPercent=50)
    assert len(admission.override.changes) == 2


@pytest.mark.parametrize("noted", ["1000", "junk", "0", "-1", "", "9Ei", "1e40", " 4"])
def test_a_strange_note_counts_as_none(noted: str) -> None:
    resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    pod = pod_of(resources, {"requests": {"cpu": "2"}}, annotations={KEY: noted})
    admission = admitted(pod, **HALF_OF_REQUEST)
    assert set_by(admission) == {"c0 requests cpu": "1", "c1 requests cpu": "1"}
    assert admission.override.annotations[KEY] == "2"


def test_a_claim_above_the_limit_cannot_be_a_first_passes() -> None:
    """A pod with equal request and limit would stay Guaranteed."""
    resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    admission = admitted(pod_of(resources, annotations={KEY: "4"}), **HALF_OF_REQUEST)
    assert set_by(admission) == {"c0 requests cpu": "1"}


@pytest.mark.parametrize("percentages", [{}, {"limitCPUToMemoryPercent": 100}])
def test_the_note_of_a_first_pass_is_believed(percentages: dict[str, Any]) -> None:
    resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "4", "memory": "512Mi"}}
    pod = pod_of(resources, resources={"requests": {"cpu": "8"}})
    first = admitted(pod, **HALF_OF_REQUEST, **percentages)
    assert second_pass(pod, first, **HALF_OF_REQUEST, **percentages).outcome == "AsItShouldBe"


def second_pass(
    pod: Pod, first: Admission, namespace: NamespacePolicy | None = None, **percentages: Any
) -> Admission:
    again = apply(pod, first.override.changes)
    metadata = {
        "name": "cart",
        "namespace": "shop",
        "annotations": {**pod.annotations, **first.override.annotations},
    }
    patched = convert({"metadata": metadata}, Pod, "Pod")
    return admit(
        Pod(metadata=patched.metadata, spec=again.spec), namespace or space(), of_cluster(**percentages)
    )


QUANTITIES = {
    "cpu": ["1m", "50m", "250m", "1", "1500m", "2", "4"],
    "memory": ["1Mi", "64Mi", "100M", "1Gi", "1.5Gi", "2Gi", "8Gi"],
}
LISTS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(texts) for name, texts in QUANTITIES.items()}
)
RESOURCES = st.fixed_dictionaries({}, optional={"requests": LISTS, "limits": LISTS})
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["Container", "Pod"])},
    optional={
        "min": st.fixed_dictionaries({}, optional={"cpu": st.just("50m"), "memory": st.just("64Mi")}),
        "max": st.fixed_dictionaries({}, optional={"cpu": st.just("4"), "memory": st.just("4Gi")}),
        "maxLimitRequestRatio": st.fixed_dictionaries(
            {}, optional={name: st.sampled_from(["1", "1500m", "3"]) for name in QUANTITIES}
        ),
    },
)
PERCENT = st.sampled_from([0, 0, 1, 25, 50, 100])
POLICIES = st.fixed_dictionaries(
    {
        "memoryRequestToLimitPercent": PERCENT,
        "limitCPUToMemoryPercent": st.sampled_from([0, 0, 50, 100, 400]),
        "cpuRequestToLimitPercent": PERCENT,
        "cpuRequestToRequestPercent": PERCENT,
    }
)
TWICE = ("limitCPUToMemoryPercent", "cpuRequestToLimitPercent", "cpuRequestToRequestPercent")
"""With all of them a second pass takes the request of a made limit for the author's."""
NOTES = st.lists(st.sampled_from(["junk", "0", "1m", "1", "1000"]), max_size=2)


def whole(pod: Pod, percentages: dict[str, Any], namespace: NamespacePolicy) -> list[Change]:
    """The changes of the percentages where nothing is forbidden."""
    free = NamespacePolicy(bounds=namespace.bounds, pod_bounds=namespace.pod_bounds)
    alone = Pod(metadata=pod.metadata, spec=pod.spec)
    return list(admit(alone, free, of_cluster(**percentages)).override.changes)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(RESOURCES, min_size=1, max_size=3),
    st.lists(RESOURCES, max_size=2),
    st.none() | RESOURCES,
    st.lists(ITEMS, max_size=2),
    POLICIES,
    NOTES,
)
def test_all_that_is_admissible_alone_is_in_an_admitted_result(
    containers: list[dict[str, Any]],
    init: list[dict[str, Any]],
    level: dict[str, Any] | None,
    items: list[dict[str, Any]],
    percentages: dict[str, Any],
    notes: list[str],
) -> None:
    spec: dict[str, Any] = {} if level is None else {"resources": level}
    annotations = {original_request_key(f"c{number}"): text for number, text in enumerate(notes)}
    init = [{"resources": one} for one in init]
    pod = with_defaults(pod_of(*containers, init=init, annotations=annotations, **spec), [])
    try:
        namespace = space(*items)
    except InvalidInput:
        return
    if refused(pod, namespace):
        return
    admission = admit(pod, namespace, of_cluster(**percentages))
    made = admission.override.changes if admission.outcome == "Overridden" else ()
    result = apply(pod, made)
    assert not refused(result, namespace)
    kept = {(one.place, one.index, one.resource, one.part) for one in made}
    wanted = whole(pod, percentages, namespace)
    limits = {(one.place, one.index) for one in wanted if one.rule == "LimitCpuToMemory"}
    for change in wanted:
        if (change.place, change.index, change.resource, change.part) in kept or change.place == "pod":
            continue
        if change.rule == "CpuRequestToLimit" and (change.place, change.index) in limits:
            continue  # a part of a limit that may be left out
        # What is not made breaks the pod, together with what is made.
        assert refused(apply(result, [change]), namespace), change
    if admission.outcome == "Overridden" and not all(percentages[name] for name in TWICE):
        again = second_pass(pod, admission, namespace, **percentages)
        assert again.outcome in ("AsItShouldBe", "Inadmissible") or not again.override.changes


@settings(max_examples=200, deadline=None)
@given(RESOURCES, RESOURCES, st.lists(ITEMS, max_size=2), POLICIES, NOTES)
def test_no_container_or_note_changes_what_another_one_gets(
    one: dict[str, Any],
    stranger: dict[str, Any],
    items: list[dict[str, Any]],
    percentages: dict[str, Any],
    notes: list[str],
) -> None:
    """LimitRanges of pods are of the sum; all others are of each container alone."""
    namespace = space(*(item for item in items if item["type"] == "Container"))
    annotations = {original_request_key(f"c{number + 1}"): text for number, text in enumerate(notes)}
    alone, beside = pod_of(one), pod_of(one, stranger, annotations=annotations)
    if refused(alone, namespace) or refused(beside, namespace):
        return

    def gets(pod: Pod) -> list[Change]:
        admission = admit(pod, namespace, of_cluster(**percentages))
        made = admission.override.changes if admission.outcome == "Overridden" else ()
        return [change for change in made if change.index == 0]

    assert gets(alone) == gets(beside)
