from typing import Any

import pytest

from overbook.core.api.overcommit import Overcommit
from overbook.core.api.override import ClusterResourceOverride, ResourceOverride
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint, constraints
from overbook.core.kubernetes.limit_range import LimitRange, with_defaults
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.selectors import LabelSelector
from overbook.core.override.admission import (
    Admission,
    ClusterPolicy,
    NamespacePolicy,
    admit,
    is_system_namespace,
    namespace_policy,
)
from overbook.core.override.source import cluster_source, namespaced_sources
from overbook.core.override.texts import LONGEST_WARNING, warnings
from tests.core.pod_manifests import pod_of

HALF = {"memoryRequestToLimitPercent": 50}


def override_named(name: str, percent: int = 50, **spec: Any) -> ResourceOverride:
    settings = {"memoryRequestToLimitPercent": percent}
    manifest = {"metadata": {"name": name}, "spec": {"podResourceOverride": settings, **spec}}
    return convert(manifest, ResourceOverride, "ResourceOverride")


def of_cluster(annotations: dict[str, str] | None = None, **settings: Any) -> ClusterPolicy:
    manifest = {
        "metadata": {"name": "cluster", "annotations": annotations},
        "spec": {"podResourceOverride": {"spec": settings or HALF}},
    }
    override = convert(manifest, ClusterResourceOverride, "ClusterResourceOverride")
    return ClusterPolicy(override=cluster_source(override))


def space(*items: dict[str, Any], overrides: tuple[ResourceOverride, ...] = ()) -> NamespacePolicy:
    return namespace_policy(
        "shop", enabled="true", overrides=namespaced_sources(overrides), ranges=ranges_of(*items)
    )


def ranges_of(*items: dict[str, Any]) -> list[LimitRange]:
    manifest = {"metadata": {"name": "sizes"}, "spec": {"limits": items}}
    return [convert(manifest, LimitRange, "LimitRange")] if items else []


def labelled(**labels: str) -> Pod:
    manifest = {
        "metadata": {"name": "cart", "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "c0", "resources": {"limits": {"memory": "1000Mi"}}}]},
    }
    return convert(manifest, Pod, "Pod")


def new_request(admission: Admission) -> str:
    (change,) = admission.override.changes
    return change.new


def test_the_first_matching_override_wins_then_the_clusters() -> None:
    batch = {"podSelector": {"matchLabels": {"tier": "batch"}}}
    overrides = (override_named("b", 20, **batch), override_named("a", 10, **batch))
    namespace = space(overrides=overrides)
    assert new_request(admit(labelled(tier="batch"), namespace, of_cluster())) == "100Mi"
    assert new_request(admit(labelled(tier="web"), namespace, of_cluster())) == "500Mi"
    everyone = space(overrides=(*overrides, override_named("everyone", 30)))
    assert new_request(admit(labelled(tier="web"), everyone, of_cluster())) == "300Mi"
    assert admit(labelled(tier="web"), namespace, ClusterPolicy()).outcome == "NoOverride"


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "tier", "operator": "In", "values": ["web", "batch"]}, True),
        ({"key": "tier", "operator": "In", "values": ["web"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "zone", "operator": "DoesNotExist"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
    ],
)
def test_selectors_match_as_the_api_servers_do(expression: dict[str, Any], matches: bool) -> None:
    selector = convert({"matchExpressions": [expression]}, LabelSelector, "podSelector")
    selector.check()
    assert selector.matches({"tier": "batch"}) is matches


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Equals", "values": ["b"]},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["b"]},
    ],
)
def test_an_unusable_override_protects_its_pods_with_a_reason(expression: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="matchExpressions"):
        convert({"matchExpressions": [expression]}, LabelSelector, "podSelector").check()
    broken = override_named("broken", podSelector={"matchExpressions": [expression]})
    for one in (broken, override_named("broken", 150)):
        admission = admit(labelled(), space(overrides=(one,)), of_cluster())
        assert admission.outcome == "BrokenOverride"
        (warning,) = warnings(labelled(), admission)
        assert warning.startswith("not overridden: ResourceOverride/broken cannot be used:")


def test_an_override_of_openshifts_observes_by_an_annotation() -> None:
    assert admit(labelled(), space(), of_cluster({"overbook.dev/mode": "Observe"})).outcome == "Observed"
    overcommit = convert({"spec": {"override": {**HALF, "mode": "Observe"}}}, Overcommit, "Overcommit")
    policy = ClusterPolicy(override=cluster_source(overcommit))
    assert admit(labelled(), space(), policy).outcome == "Observed"


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("kube-system", True),
        ("openshift", True),
        ("kubernetes-a", True),
        ("kubeflow", False),
        ("shop", False),
    ],
)
def test_system_namespaces_are_those_of_the_original(name: str, system: bool) -> None:
    assert is_system_namespace(name) is system
    assert (namespace_policy(name, enabled="true").left_alone == "SystemNamespace") is system


@pytest.mark.parametrize(
    ("level", "alone"), [("0", True), ("1", True), ("9", False), ("", False), (None, False)]
)
def test_namespaces_that_start_first_are_left_alone(level: str | None, alone: bool) -> None:
    policy = namespace_policy("shop", enabled="true", run_level=level)
    assert (policy.left_alone == "SystemNamespace") is alone


@pytest.mark.parametrize(("value", "off"), [("false", True), ("no", True), ("", True), ("true", False)])
def test_every_value_but_true_switches_a_project_off(value: str, off: bool) -> None:
    policy = namespace_policy("shop", enabled="true", switch=value)
    assert (policy.left_alone == "NamespaceSwitchedOff") is off


def test_a_mirror_pod_is_left_alone() -> None:
    pod = pod_of({"limits": {"memory": "1Gi"}}, annotations={"kubernetes.io/config.mirror": "x"})
    assert admit(pod, space(), of_cluster()).outcome == "MirrorPod"


def forbidden(pod: Pod, *items: dict[str, Any]) -> str:
    resolved = resolve(pod)
    return complaint(resolved, resolved.level, constraints(ranges_of(*items)))


def container(resource: str = "memory", **bounds: str) -> dict[str, Any]:
    return {"type": "Container", **{rule: {resource: text} for rule, text in bounds.items()}}


@pytest.mark.parametrize(
    ("resources", "item", "why"),
    [
        (
            {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
            {},
            "memory request 2Gi above its limit",
        ),
        ({"requests": {"memory": "55Mi"}}, container(min="100Mi"), "memory request 55Mi below minimum 100Mi"),
        ({"requests": {"memory": "1Gi"}}, container(max="2Gi"), "c0: memory limit missing, maximum 2Gi of"),
        ({"limits": {"memory": "3Gi"}}, container(max="2Gi"), "c0: memory limit 3Gi above maximum 2Gi of"),
        ({}, container("cpu", min="1m"), "c0: CPU request missing, minimum 1m of"),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
            container("cpu", maxLimitRequestRatio="1.5"),
            "c0: CPU limit to request ratio 2 above 1500m of",
        ),
        ({"limits": {"cpu": "0"}}, container("cpu", maxLimitRequestRatio="2"), "ratio unbounded, maximum 2"),
        ({"limits": {"memory": "1Gi"}}, {"type": "Pod", "min": {"memory": "2Gi"}}, "pod: memory request 1Gi"),
    ],
)
def test_a_forbidden_pod_has_a_reason(resources: dict[str, Any], item: dict[str, Any], why: str) -> None:
    pod = with_defaults(pod_of(resources), [])
    assert why in forbidden(pod, *([item] if item else []))
    if item:
        assert forbidden(pod, {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}) == ""


def test_pod_level_resources_cover_their_containers() -> None:
    low = pod_of({"requests": {"memory": "2Gi"}}, resources={"requests": {"memory": "1Gi"}})
    assert forbidden(low) == "pod: memory request 1Gi below its containers' 2Gi"
    high = pod_of({"limits": {"cpu": "2"}}, resources={"limits": {"cpu": "1"}})
    assert "pod: CPU" in forbidden(high)


def test_whole_units_are_compared_beyond_64_bits_of_thousandths() -> None:
    item = {"type": "Container", "min": {"memory": "10P"}}
    assert forbidden(pod_of({"requests": {"memory": "9999999999999999500m"}}), item) == ""
    assert forbidden(pod_of({"requests": {"memory": "9999999999999999"}}), item)


def test_a_pod_forbidden_anyway_is_still_overridden() -> None:
    item = {"type": "Container", "max": {"cpu": "1"}}
    admission = admit(labelled(), space(item), of_cluster())
    assert admission.outcome == "Overridden"


def test_defaults_come_from_limits_then_from_limit_ranges() -> None:
    item = {
        "type": "Container",
        "max": {"memory": "2Gi"},
        "default": {"cpu": "1"},
        "defaultRequest": {"cpu": "500m"},
        "min": {"ephemeral-storage": "1Gi"},
    }
    pod = with_defaults(pod_of({"limits": {"memory": "1Gi"}}, {}), ranges_of(item))
    first, second = (one.resources for one in pod.containers)
    assert first is not None
    assert first.limits == {"memory": "1Gi", "cpu": "1"}
    assert first.requests == {"memory": "1Gi", "cpu": "500m", "ephemeral-storage": "1Gi"}
    assert second is not None
    assert second.limits == {"memory": "2Gi", "cpu": "1"}
    assert second.requests == {"memory": "2Gi", "cpu": "500m", "ephemeral-storage": "1Gi"}


def test_long_names_do_not_make_long_warnings() -> None:
    name = "c" * 63
    manifest = {
        "metadata": {"name": "cart"},
        "spec": {"containers": [{"name": name, "resources": {"limits": {"memory": "1Gi"}}}] * 2},
    }
    pod = convert(manifest, Pod, "Pod")
    one = override_named("o" * 200)
    for warning in warnings(pod, admit(pod, space(overrides=(one,)), ClusterPolicy())):
        assert len(warning) <= LONGEST_WARNING


def test_a_pod_whose_annotations_are_full_is_still_overridden() -> None:
    """Only the note of the original request does not fit in; an author who fills them does not escape."""
    cluster = of_cluster(cpuRequestToRequestPercent=50)
    container = {"name": "c", "resources": {"requests": {"cpu": "1"}}}
    noted = []
    for size in (1000, (256 << 10) - 50):
        manifest = {
            "metadata": {"name": "cart", "annotations": {"a": "x" * size}},
            "spec": {"containers": [container]},
        }
        admission = admit(convert(manifest, Pod, "Pod"), space(), cluster)
        assert admission.outcome == "Overridden"
        assert new_request(admission) == "500m"
        noted.append(bool(admission.override.annotations))
    assert noted == [True, False]


def test_a_lost_class_is_the_first_warning() -> None:
    one = override_named("half", memoryRequestToLimitPercent=50)
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}}
    manifest = {
        "metadata": {"name": "cart"},
        "spec": {"containers": [{"name": "c", "resources": resources}] * 20},
    }
    pod = convert(manifest, Pod, "Pod")
    shown = warnings(pod, admit(pod, space(overrides=(one,)), ClusterPolicy()))
    assert shown[0].startswith(
        "QoS class Guaranteed -> Burstable: no exclusive CPUs, may swap, evicted earlier"
    )
    assert len(shown) == 13
    assert all(len(warning) <= LONGEST_WARNING for warning in shown)
