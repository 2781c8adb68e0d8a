import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import Bounds, LimitRange, bounds
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.quantity import parse
from overbook.core.override.override import (
    ORIGINAL_POD_REQUEST,
    ORIGINAL_REQUEST_PREFIX,
    Override,
    apply,
    original_request_key,
    override,
)
from overbook.core.override.patch import patch_operations
from overbook.core.override.texts import sentence
from tests.conformance.answer import apply_patch
from tests.core.pod_manifests import GI, pod_of

HALF = OverridePolicy(memory_request_to_limit_percent=50)
QUARTER_CPU = OverridePolicy(cpu_request_to_limit_percent=25)
OF_REQUEST = OverridePolicy(cpu_request_to_request_percent=50)

quantities = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from(["0", "1m", "250m", "2", "1e0", "1.5"]),
        "memory": st.sampled_from(["0", "1", "3Mi", "1Gi", "1G", "1e9", "123456789"]),
    },
)
written = st.fixed_dictionaries({}, optional={"requests": quantities, "limits": quantities}) | st.none()
percents = st.integers(0, 100)
policies = st.builds(
    OverridePolicy,
    memory_request_to_limit_percent=percents,
    cpu_request_to_limit_percent=percents,
    limit_cpu_to_memory_percent=st.integers(0, 400),
    cpu_request_to_request_percent=percents,
)


def bounds_of(kind: str = "Container", **items: dict[str, str]) -> Bounds:
    return bounds([range_of(kind, "sizes", **items)], "Pod" if kind == "Pod" else "Container")


def range_of(kind: str, name: str, **items: dict[str, str]) -> LimitRange:
    manifest = {"metadata": {"name": name}, "spec": {"limits": [{"type": kind, **items}]}}
    return convert(manifest, LimitRange, "LimitRange")


def memory_request(limit: str, percent: int, within: Bounds | None = None) -> str:
    policy = OverridePolicy(memory_request_to_limit_percent=percent)
    (change,) = override(pod_of({"limits": {"memory": limit}}), policy, within or Bounds()).changes
    return change.new


@pytest.mark.parametrize(
    ("limit", "percent", "request_text"),
    [
        ("1Gi", 50, "512Mi"),
        ("1Gi", 29, "296Mi"),
        ("1G", 33, "330M"),
        ("1e9", 50, "500e6"),
        ("1536Mi", 1, "15Mi"),
        ("50Mi", 1, "1Mi"),
        ("0", 50, "1Mi"),
    ],
)
def test_memory_is_requested_in_whole_mebibytes_or_megabytes(
    limit: str, percent: int, request_text: str
) -> None:
    assert memory_request(limit, percent) == request_text


def test_every_percentage_is_exact() -> None:
    for percent in range(1, 101):
        assert parse(memory_request("100Gi", percent)).value() == GI * percent


def test_a_pod_without_limits_is_not_overridden() -> None:
    pod = pod_of({"requests": {"cpu": "1", "memory": "1Gi"}}, {})
    policy = OverridePolicy(
        memory_request_to_limit_percent=50, cpu_request_to_limit_percent=25, limit_cpu_to_memory_percent=100
    )
    assert override(pod, policy).changes == ()


def test_a_core_for_each_gibibyte_and_the_request_from_that() -> None:
    policy = OverridePolicy(limit_cpu_to_memory_percent=200, cpu_request_to_limit_percent=25)
    changes = override(pod_of({"limits": {"cpu": "50m", "memory": "1Gi"}}), policy).changes
    assert [(change.part, change.old, change.new) for change in changes] == [
        ("limits", "50m", "2"),
        ("requests", None, "500m"),
    ]


def test_a_limit_range_raises_and_lowers_and_is_named() -> None:
    within = bounds_of(min={"memory": "1Gi"}, max={"memory": "2Gi"})
    pod = pod_of({"limits": {"memory": "1536Mi"}}, {"limits": {"memory": "8Gi"}})
    raised, lowered = override(pod, HALF, within).changes
    assert (raised.new, raised.decided, raised.source) == ("1Gi", "Minimum", "sizes")
    assert (lowered.new, lowered.decided) == ("2Gi", "Maximum")
    assert sentence(raised, named=True) == (
        "c0: memory request none -> 1Gi: 50 % of limit, raised to minimum of LimitRange/sizes"
    )


def test_the_documents_limit_range_trap_is_avoided() -> None:
    within = bounds_of(min={"memory": "100Mi"})
    assert memory_request("110Mi", 50) == "55Mi"  # below the minimum: the API server would forbid the pod
    assert memory_request("110Mi", 50, within) == "100Mi"


def test_several_limit_ranges_leave_the_widest_bounds() -> None:
    ranges = [
        range_of("Container", "narrow", min={"cpu": "1"}, max={"cpu": "2"}),
        range_of("Container", "wide", min={"cpu": "50m"}, max={"cpu": "4"}),
        range_of("Pod", "pods", min={"cpu": "1m"}, max={"cpu": "64"}),
    ]
    kept = bounds(ranges)
    assert (kept.cpu_floor.text, kept.cpu_floor.source) == ("50m", "wide")
    assert kept.cpu_ceiling is not None
    assert kept.cpu_ceiling.text == "4"


def test_a_cpu_request_is_scaled_once_in_any_number_of_calls() -> None:
    pod = pod_of({"requests": {"cpu": "1"}})
    first = override(pod, OF_REQUEST)
    assert first.changes[0].new == "500m"
    assert first.annotations == {ORIGINAL_REQUEST_PREFIX + "c0": "1"}
    again = pod_of({"requests": {"cpu": "500m"}}, annotations=first.annotations)
    assert override(again, OF_REQUEST) == override(pod_of({}), OF_REQUEST)


ANNOTATION_NAME = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")


@given(st.from_regex(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_the_key_of_a_kept_request_is_valid_for_any_name(name: str) -> None:
    key = original_request_key(name)
    assert ANNOTATION_NAME.fullmatch(key.partition("/")[2])
    assert (key == ORIGINAL_REQUEST_PREFIX + name) is (len(name) <= 42)


def test_long_names_with_one_beginning_have_keys_of_their_own() -> None:
    keys = {original_request_key("c" * 60 + str(number)) for number in range(100)}
    assert len(keys) == 100


def test_a_request_of_a_long_name_is_scaled_once_too() -> None:
    def named(request: str, annotations: dict[str, str] | None) -> Pod:
        container = {"name": "c" * 63, "resources": {"requests": {"cpu": request}}}
        manifest = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
        return convert(manifest, Pod, "Pod")

    first = override(named("1", None), OF_REQUEST)
    assert first.changes[0].new == "500m"
    again = override(named("500m", first.annotations), OF_REQUEST)
    assert again.changes == ()


def test_an_annotation_that_is_no_quantity_disables_its_rule() -> None:
    pod = pod_of({"requests": {"cpu": "1"}}, annotations={ORIGINAL_REQUEST_PREFIX + "c0": "junk"})
    assert override(pod, OF_REQUEST).changes == ()


def test_init_containers_and_sidecars_are_treated_alike() -> None:
    limits = {"resources": {"limits": {"cpu": "2"}}}
    pod = pod_of({"limits": {"cpu": "2"}}, init=[limits, {**limits, "restartPolicy": "Always"}])
    changes = override(pod, QUARTER_CPU).changes
    assert [(change.place, change.index, change.new) for change in changes] == [
        ("initContainers", 0, "500m"),
        ("initContainers", 1, "500m"),
        ("containers", 0, "500m"),
    ]


def test_pod_level_resources_never_fall_below_the_containers() -> None:
    pod = pod_of({"limits": {"memory": "3Gi"}}, resources={"limits": {"memory": "4Gi"}})
    policy = OverridePolicy(memory_request_to_limit_percent=75)
    assert [change.new for change in override(pod, policy).changes] == ["2304Mi", "3Gi"]
    tight = pod_of({"requests": {"memory": "3Gi"}}, resources={"limits": {"memory": "4Gi"}})
    (change,) = override(tight, HALF).changes
    assert (change.place, change.new, change.decided) == ("pod", "3Gi", "Containers")
    assert "what its containers need" in sentence(change, named=True)
    lowered = override(pod, HALF, pod_bounds=bounds_of("Pod", max={"memory": "1792Mi"})).changes[-1]
    assert (lowered.new, lowered.decided) == ("1792Mi", "Maximum")


def test_the_original_pod_level_request_is_kept_apart() -> None:
    pod = pod_of({}, resources={"requests": {"cpu": "2"}})
    result = override(pod, OF_REQUEST)
    assert result.annotations == {ORIGINAL_POD_REQUEST: "2"}
    assert result.changes[0].new == "1"


def test_an_override_already_applied_is_no_change() -> None:
    pod = pod_of({"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}})
    assert override(pod, HALF).changes == ()
    assert patch_operations(pod, override(pod, HALF)) == []


@pytest.mark.parametrize(
    "policy",
    [
        OverridePolicy(memory_request_to_limit_percent=101),
        OverridePolicy(cpu_request_to_limit_percent=-1),
        OverridePolicy(limit_cpu_to_memory_percent=10**7),
    ],
)
def test_an_implausible_percentage_is_refused(policy: OverridePolicy) -> None:
    with pytest.raises(InvalidInput, match="Percent"):
        override(pod_of({}), policy)


@pytest.mark.parametrize("text", ["-1", "junk", "9Ei", 10**30])
def test_a_refused_quantity_is_named_with_its_place(text: object) -> None:
    with pytest.raises(InvalidInput, match=r"shop/cart: spec\.containers\[1\]\.resources\.limits\.memory"):
        override(pod_of({}, {"limits": {"memory": text}}), HALF)


@given(st.lists(written, min_size=1, max_size=3), written, policies)
def test_patching_the_manifest_gives_the_pod_that_was_described(
    containers: list[Any], level: Any, policy: OverridePolicy
) -> None:
    pod = pod_of(*containers, resources=level)
    result = override(pod, policy)
    manifest = json.loads(json.dumps(_manifest(containers, level)))
    apply_patch(manifest, patch_operations(pod, result))
    patched = convert(manifest, Pod, "Pod")
    assert patched.spec == apply(pod, result.changes).spec
    assert dict(patched.annotations) == result.annotations


@given(st.lists(written, min_size=1, max_size=3), policies)
def test_overriding_twice_is_overriding_once(containers: list[Any], policy: OverridePolicy) -> None:
    if policy.cpu_request_to_limit_percent and policy.cpu_request_to_request_percent:
        # A request that the first pass made from a limit would be taken for the original by the second. The
        # API server defaults requests from limits before, so each container has one.
        containers = [_with_cpu_request(one or {}) for one in containers]
    first = override(pod_of(*containers), policy)
    manifest = _manifest(containers, None)
    apply_patch(manifest, patch_operations(pod_of(*containers), first))
    assert override(convert(manifest, Pod, "Pod"), policy) == Override()


def _with_cpu_request(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "requests": {**one.get("requests", {}), "cpu": "3"}}


def _manifest(containers: list[Any], level: Any) -> Any:
    named = [{"name": f"c{n}", "resources": one} for n, one in enumerate(containers)]
    manifest = {
        "metadata": {"name": "cart", "namespace": "shop", "annotations": None},
        "spec": {"containers": named, "initContainers": [], "resources": level},
    }
    return json.loads(json.dumps(manifest))
