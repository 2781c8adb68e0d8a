from typing import Any

import pytest

from overbook.core.kubernetes.version import KubernetesVersion
from overbook.explain.report import CpuAndMemory
from tests.explain.inputs import (
    GI,
    MI,
    explained,
    explained_pod,
    limit_range,
    pod,
    resources,
    sentences,
    words,
    workload,
)

EQUAL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
DEFAULTS = limit_range(
    default={"cpu": "500m", "memory": "512Mi"}, defaultRequest={"cpu": "100m", "memory": "256Mi"}
)
DEPLOYMENT = workload("Deployment", "apps/v1", "web", {"template": {"spec": {"containers": [{"name": "a"}]}}})


@pytest.mark.parametrize("manifest", [DEPLOYMENT, pod(spec={"containers": [{"name": "a"}]})])
def test_limit_range_defaults_are_in_what_is_shown(manifest: dict[str, Any]) -> None:
    report = explained_pod(manifest, DEFAULTS)
    assert report.qos_class == "Burstable"
    assert report.requests == CpuAndMemory(100, 256 * MI)
    assert report.limits == CpuAndMemory(500, 512 * MI)


def test_limit_ranges_are_of_their_namespace_and_of_new_pods() -> None:
    elsewhere = {**DEFAULTS, "metadata": {"name": "sizes", "namespace": "other"}}
    assert explained_pod(DEPLOYMENT, elsewhere).qos_class == "BestEffort"
    stored = pod(spec={"containers": [{"name": "a"}]}, uid="u1")
    assert explained_pod(stored, DEFAULTS).qos_class == "BestEffort"


def test_a_request_above_a_default_limit_is_named_as_refused() -> None:
    report = explained_pod(pod(spec=resources(requests={"memory": "4Gi"})), DEFAULTS)
    assert words(report, "Refused") == ["RequestAboveLimit"]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"max": {"memory": "2Gi"}}, "a: memory limit 4Gi above maximum 2Gi of LimitRange/sizes"),
        ({"min": {"memory": "2Gi"}}, "below minimum 2Gi"),
        ({"maxLimitRequestRatio": {"memory": "2"}}, "ratio"),
    ],
)
def test_a_bound_of_a_limit_range_is_named(item: dict[str, Any], part: str) -> None:
    spec = resources(requests={"memory": "1Gi"}, limits={"memory": "4Gi"})
    report = explained_pod(pod(spec=spec), limit_range(**item, default={"memory": "4Gi"}))
    assert "Refused" in {one.severity for one in report.warnings}
    assert part in sentences(report)


@pytest.mark.parametrize(
    ("name", "priority", "score"),
    [("system-node-critical", 2_000_001_000, -997), ("system-cluster-critical", 2_000_000_000, 985)],
)
def test_system_classes_have_their_priority(name: str, priority: int, score: int) -> None:
    spec = {**resources(requests={"memory": "1Gi"}, limits={"memory": "2Gi"}), "priorityClassName": name}
    report = explained_pod(workload("DaemonSet", "apps/v1", "cni", {"template": {"spec": spec}}))
    assert (report.priority, report.critical) == (priority, True)
    assert report.containers[0].oom_score_adj == score
    assert report.swap_max_bytes == 0
    assert report.eviction == "never: it is critical"


def priority_class(name: str, value: int, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **more,
    }


def test_priorities_are_those_of_the_classes_in_the_input() -> None:
    spec = {**resources(requests={"memory": "1Gi"}), "priorityClassName": "batch"}
    assert explained_pod(pod(spec=spec), priority_class("batch", 1000)).priority == 1000
    unknown = explained_pod(pod(spec=spec))
    assert (unknown.priority, words(unknown)[0]) == (0, "PriorityClassNotRead")
    defaults = [
        priority_class("high", 500, globalDefault=True),
        priority_class("low", 100, globalDefault=True),
    ]
    assert explained_pod(pod(), *defaults).priority == 100


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"priority": 5}, True),
        ({"priority": 0}, False),
        ({"priority": 5, "priorityClassName": "batch"}, True),
        ({"priority": 1000, "priorityClassName": "batch"}, False),
    ],
)
def test_a_priority_that_is_not_its_classs_is_refused(spec: dict[str, Any], refused: bool) -> None:
    manifest = pod(spec={**resources(**EQUAL), **spec})
    report = explained_pod(manifest, priority_class("batch", 1000))
    assert (words(report, "Refused") == ["PodRefused"]) is refused


def runtime_class(**overhead: Any) -> dict[str, Any]:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "kata"},
        "handler": "kata",
        "overhead": {"podFixed": overhead},
    }


def test_a_runtime_classs_overhead_is_added() -> None:
    spec = {**resources(**EQUAL), "runtimeClassName": "kata"}
    report = explained_pod(pod(spec=spec), runtime_class(cpu="250m", memory="160Mi"))
    assert report.requests == CpuAndMemory(1250, GI + 160 * MI)
    assert report.limits == CpuAndMemory(1250, GI + 160 * MI)
    assert report.qos_class == "Guaranteed"
    assert words(explained_pod(pod(spec=spec)))[0] == "RuntimeClassNotRead"


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"overhead": {"memory": "1Gi"}}, True),
        ({"overhead": {"memory": "1Gi"}, "runtimeClassName": "kata"}, True),
        ({"overhead": {"memory": "160Mi"}, "runtimeClassName": "kata"}, False),
        ({"overhead": {"memory": "1Gi"}, "runtimeClassName": "other"}, False),
    ],
)
def test_an_overhead_that_no_class_gives_is_refused(spec: dict[str, Any], refused: bool) -> None:
    report = explained_pod(pod(spec={**resources(**EQUAL), **spec}), runtime_class(memory="160Mi"))
    assert (words(report, "Refused") == ["PodRefused"]) is refused


def test_the_version_decides_about_pod_level_resources() -> None:
    empty = pod(spec={**resources(**EQUAL), "resources": {}})
    before = explained_pod(empty)
    assert before.qos_class == "BestEffort"
    assert "its containers do not count" in before.qos_reason
    assert explained_pod(empty, version=KubernetesVersion(1, 37)).qos_class == "Guaranteed"


def test_the_class_in_the_status_is_shown_with_the_reason() -> None:
    running = {
        **pod(spec=resources(**EQUAL), uid="u1"),
        "status": {"phase": "Running", "qosClass": "Burstable"},
    }
    report = explained_pod(running)
    assert report.qos_class == "Burstable"
    assert "it would be Guaranteed" in report.qos_reason


def quota(hard: dict[str, Any], used: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return workload("ResourceQuota", "v1", "rq", {"hard": hard, **spec}, status={"used": used or {}})


def test_a_quota_that_requires_a_limit_refuses_a_pod_without() -> None:
    report = explained_pod(pod(), quota({"limits.memory": "64Gi"}))
    assert words(report, "Refused") == ["QuotaRefuses"]
    assert "ResourceQuota/rq limits limits.memory, and container a gives none" in sentences(report)
    small = pod(spec={"containers": [{"name": "a"}]})
    assert not words(explained_pod(small, quota({"limits.memory": "64Gi"}), DEFAULTS), "Refused")


def test_a_quota_is_compared_with_one_pod_and_with_all() -> None:
    alone = explained_pod(pod(spec=resources(requests={"memory": "8Gi"})), quota({"memory": "4Gi"}))
    assert "ResourceQuota/rq allows requests.memory 4Gi, and the pod has 8Gi" in sentences(alone)
    template = {"template": {"spec": resources(requests={"memory": "1Gi"})}, "replicas": 3}
    together = explained(
        workload("Deployment", "apps/v1", "web", template), quota({"requests.memory": "2Gi"})
    )
    assert [one.word for one in together.warnings] == ["QuotaExceeded"]
    assert "requests.memory 3Gi is needed in namespace lab, ResourceQuota/rq allows 2Gi" in sentences(
        together
    )
    in_use = explained(
        pod(), pod("q", uid="u"), quota({"requests.memory": "2Gi"}, {"requests.memory": "1Gi"})
    )
    assert not in_use.warnings
    full = explained(pod(), quota({"requests.memory": "2Gi"}, {"requests.memory": "1536Mi"}))
    assert [one.word for one in full.warnings] == ["QuotaExceeded"]


def test_pods_of_a_stored_workload_are_in_use_already() -> None:
    template = {"template": {"spec": resources(requests={"memory": "1Gi"})}, "replicas": 2}
    stored = workload("Deployment", "apps/v1", "web", template, metadata={"uid": "u1"})
    use = quota({"requests.memory": "2Gi"}, {"requests.memory": "2Gi"})
    assert not explained(stored, use).warnings
    new = workload("Deployment", "apps/v1", "web", template)
    assert [one.word for one in explained(new, use).warnings] == ["QuotaExceeded"]


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ({"scopes": ["BestEffort"]}, False),
        ({"scopes": ["NotBestEffort"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotTerminating"]}, True),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In", "values": ["batch"]}
                    ]
                }
            },
            False,
        ),
        ({"scopes": ["SomethingNew"]}, False),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(spec: dict[str, Any], counts: bool) -> None:
    report = explained_pod(pod(), quota({"requests.memory": "512Mi"}, **spec))
    assert bool(words(report, "Refused")) is counts


def test_a_waiting_resize_is_shown_as_the_kubelet_works() -> None:
    status = {
        "phase": "Running",
        "qosClass": "Burstable",
        "conditions": [
            {"type": "PodResizePending", "status": "True", "reason": "Deferred", "message": "no room"}
        ],
        "containerStatuses": [
            {
                "name": "a",
                "allocatedResources": {"cpu": "100m", "memory": "4Gi"},
                "resources": {"requests": {"cpu": "100m", "memory": "4Gi"}, "limits": {"memory": "6Gi"}},
            }
        ],
    }
    spec = resources(requests={"cpu": "100m", "memory": "1Gi"}, limits={"memory": "2Gi"})
    report = explained_pod({**pod(spec=spec, uid="u"), "status": status})
    assert report.requests == CpuAndMemory(100, 4 * GI)
    assert report.containers[0].memory_max_bytes == 6 * GI
    assert report.containers[0].oom_score_adj == 938
    assert report.swap_max_bytes == 2 * GI
    assert "Deferred (no room)" in sentences(report)


OVERRIDE = workload(
    "ClusterResourceOverride",
    "operator.autoscaling.openshift.io/v1",
    "cluster",
    {"podResourceOverride": {"spec": {"memoryRequestToLimitPercent": 50}}},
)


def namespace(**labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab", "labels": labels}}


ENABLED = {"clusterresourceoverrides.admission.autoscaling.openshift.io/enabled": "true"}


def test_an_override_in_the_input_is_applied_to_new_pods() -> None:
    manifest = pod(spec=resources(**EQUAL))
    report = explained_pod(manifest, OVERRIDE, namespace(**ENABLED))
    assert report.requests.memory_bytes == GI // 2
    assert report.qos_class == "Burstable"
    assert words(report)[0] == "Overridden"
    assert "QoS class Guaranteed -> Burstable: no exclusive CPUs" in sentences(report)
    assumed = explained_pod(manifest, OVERRIDE)
    assert "if namespace lab enables it" in sentences(assumed)
    assert explained_pod(manifest, OVERRIDE, namespace()).requests.memory_bytes == GI
    stored = explained_pod(pod(spec=resources(**EQUAL), uid="u"), OVERRIDE, namespace(**ENABLED))
    assert stored.requests.memory_bytes == GI


def test_an_override_of_another_name_is_named_and_not_applied() -> None:
    other = {**OVERRIDE, "metadata": {"name": "other"}}
    report = explained(pod(spec=resources(**EQUAL)), other)
    assert report.pods[0].requests.memory_bytes == GI
    assert "only the one named cluster counts" in sentences(report)


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ({"requests": {"cpu": "2"}, "limits": {"cpu": "0"}}, ["CPU 2 above its limit of 0"]),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "0"}}, ["memory 1Gi above its limit of 0"]),
        ({"requests": {"gpu": "1"}}, ["gpu", "standard resource"]),
        ({"requests": {"mem": "1Gi"}}, ["did you mean memory?"]),
        ({"requests": {"Memory": "1Gi"}}, ["did you mean memory?"]),
        ({"requests": {"example.com/gpu": "1"}}, ["a limit must be set"]),
        (
            {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}},
            ["must equal its limit 2"],
        ),
        ({"limits": {"example.com/gpu": "500m"}}, ["must be a whole number"]),
        ({"limits": {"hugepages-2Mi": "3Mi", "memory": "1Gi"}}, ["multiple of the page size"]),
        ({"limits": {"hugepages-2Mi": "4Mi"}}, ["need a request or limit of CPU or memory"]),
        ({"limits": {"bad_domain/x": "1"}}, ["no qualified name"]),
        (
            {"requests": {"ephemeral-storage": "2Gi"}, "limits": {"ephemeral-storage": "1Gi"}},
            ["above its limit"],
        ),
    ],
)
def test_a_refusal_by_the_api_server_is_named(written: dict[str, Any], parts: list[str]) -> None:
    report = explained_pod(pod(spec=resources(**written)))
    assert "Refused" in {one.severity for one in report.warnings}
    assert all(part in sentences(report) for part in parts), sentences(report)


@pytest.mark.parametrize(
    "written",
    [
        EQUAL,
        {"limits": {"example.com/gpu": "1", "memory": "1Gi"}},
        {"requests": {"hugepages-2Mi": "4Mi", "cpu": "1"}, "limits": {"hugepages-2Mi": "4Mi"}},
        {"requests": {"kubernetes.io/batteries": "1500m"}},
        {"requests": {"cpu": "0"}, "limits": {"cpu": "0"}},
        {"limits": {"memory": "8Ei"}},
    ],
)
def test_resources_that_are_accepted_are_not_refused(written: dict[str, Any]) -> None:
    assert words(explained_pod(pod(spec=resources(**written))), "Refused") == []


def test_fractions_of_a_byte_bring_the_api_servers_warning() -> None:
    report = explained_pod(pod(spec=resources(requests={"memory": "100m"}, limits={"memory": "1.1Gi"})))
    assert words(report).count("FractionalBytes") == 2
    assert (
        "spec.containers[0].resources.requests[memory]: fractional byte value '100m' is invalid, must be an "
        "integer"
    ) in sentences(report)
