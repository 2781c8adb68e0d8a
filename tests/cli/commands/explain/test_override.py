"""``explain --override``: the true reasons, what has no effect, and the consequences of a change."""

import json
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main
from tests.explain.inputs import pod, resources, workload

EQUAL = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
BOTH = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}


def override(name: Any = "cluster", **percentages: Any) -> dict[str, Any]:
    return {
        "apiVersion": "operator.autoscaling.openshift.io/v1",
        "kind": "ClusterResourceOverride",
        "metadata": {"name": name},
        "spec": {"podResourceOverride": {"spec": percentages}},
    }


class Files:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def written(self, overrides: Any, manifests: tuple[Any, ...]) -> list[str]:
        paths = [self._folder / "override.json", self._folder / "pods.json"]
        for path, items in zip(paths, (overrides, manifests), strict=True):
            path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}), "utf-8")
        return ["explain", "--override", str(paths[0]), str(paths[1])]

    def text(self, overrides: Any, *manifests: Any, status: int = 0) -> str:
        assert main(self.written(overrides, manifests)) == status
        return " ".join(self._capsys.readouterr().out.split())

    def reports(self, overrides: Any, *manifests: Any, status: int = 0) -> list[dict[str, Any]]:
        assert main([*self.written(overrides, manifests), "-o", "json"]) == status
        decoded: list[dict[str, Any]] = json.loads(self._capsys.readouterr().out)
        return decoded


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def test_an_override_without_a_percentage_says_so(files: Files) -> None:
    flat = {**override(), "spec": BOTH}
    text = files.text([flat], pod(spec=resources(**EQUAL)))
    assert "nothing to change by ClusterResourceOverride/cluster: it sets no percentage" in text
    assert (
        "spec.memoryRequestToLimitPercent is no field of this kind and has no effect; its place is "
        "spec.podResourceOverride.spec.memoryRequestToLimitPercent"
    ) in text
    (one,) = files.reports([flat], pod(spec=resources(**EQUAL)))
    assert len(one["notes"]) == 2


@pytest.mark.parametrize(
    ("field", "part"),
    [
        (
            "memoryRequestToLimitPercentage",
            "did you mean spec.podResourceOverride.spec.memoryRequestToLimitPercent?",
        ),
        (
            "memoryrequesttolimitpercent",
            "did you mean spec.podResourceOverride.spec.memoryRequestToLimitPercent?",
        ),
        ("limitCpuToMemoryPercent", "did you mean spec.podResourceOverride.spec.limitCPUToMemoryPercent?"),
        ("podOptout", "did you mean spec.podResourceOverride.spec.podOptOut?"),
        ("anything", "the fields are spec.podResourceOverride.spec.memoryRequestToLimitPercent,"),
    ],
)
def test_a_misspelled_field_is_named_with_the_nearest(files: Files, field: str, part: str) -> None:
    text = files.text([override(**{field: 50})], pod(spec=resources(**EQUAL)))
    assert f"spec.podResourceOverride.spec.{field} is no field of this kind" in text
    assert part in text


def test_a_field_at_another_level_is_named_with_its_place(files: Files) -> None:
    namespaced = {
        "apiVersion": "autoscaling.openshift.io/v1",
        "kind": "ResourceOverride",
        "metadata": {"name": "r", "namespace": "lab"},
        "spec": {"podResourceOverride": {"spec": {"memoryRequestToLimitPercent": 50}}},
    }
    text = files.text([namespaced], pod(spec=resources(**EQUAL)))
    assert (
        "spec.podResourceOverride.spec.memoryRequestToLimitPercent is no field of this kind and has no "
        "effect; its place is spec.podResourceOverride.memoryRequestToLimitPercent"
    ) in text
    without_spec = {**override(), "podResourceOverride": {"spec": {"cpuRequestToLimitPercent": 25}}}
    text = files.text([without_spec], pod(spec=resources(**EQUAL)))
    assert "its place is spec.podResourceOverride.spec.cpuRequestToLimitPercent" in text


def test_an_annotation_that_is_no_quantity_carries_no_pod_out(files: Files) -> None:
    key = "clusterresourceoverrides.admission.autoscaling.openshift.io/original-cpu-request-a"
    manifest = pod(spec=resources(**EQUAL), annotations={key: "junk"})
    (one,) = files.reports([override(cpuRequestToRequestPercent=50)], manifest)
    (change,) = one["changes"]
    assert change.endswith("50 % of request")


def test_fields_of_openshift_that_are_not_honoured_are_named(files: Files) -> None:
    one = override(**BOTH, forceSelinuxRelabel=True)
    one["spec"]["deploymentOverrides"] = {"replicas": 2}
    one["status"] = {"hash": {}}
    text = " ".join(files.text([one], pod(spec=resources(**EQUAL))).split())
    assert "no field" not in text
    assert "forceSelinuxRelabel is not honoured: no pod gets the SELinux type spc_t" in text
    assert "deploymentOverrides is not honoured: it is about the pods of OpenShift's webhook" in text


def test_fields_of_openshift_that_ask_for_nothing_are_not_named(files: Files) -> None:
    one = override(**BOTH, forceSelinuxRelabel=False)
    one["spec"]["deploymentOverrides"] = {}
    text = files.text([one], pod(spec=resources(**EQUAL)))
    assert "no field" not in text
    assert "honoured" not in text


@pytest.mark.parametrize("names", [["cluster", "other"], ["other", "cluster"]])
def test_only_the_override_named_cluster_counts(files: Files, names: list[str]) -> None:
    percents = {"cluster": 50, "other": 10}
    overrides = [override(name, memoryRequestToLimitPercent=percents[name]) for name in names]
    text = files.text(overrides, pod(spec=resources(**EQUAL)))
    assert "memory request 1Gi -> 512Mi: 50 % of limit" in text
    assert "ClusterResourceOverride/other has no effect: only the one named cluster counts" in text


def test_another_name_alone_changes_nothing(files: Files) -> None:
    (one,) = files.reports([override("other", **BOTH)], pod(spec=resources(**EQUAL)))
    assert (one["outcome"], one["changes"]) == ("NoOverride", [])
    assert "only the one named cluster counts" in one["notes"][0]


def test_a_lost_class_is_a_consequence(files: Files) -> None:
    (one,) = files.reports([override(**BOTH)], pod(spec=resources(**EQUAL)))
    assert (one["qosClassBefore"], one["qosClass"]) == ("Guaranteed", "Burstable")
    assert "QoS class Guaranteed -> Burstable: no exclusive CPUs, may swap" in one["consequences"][0]
    assert one["warnings"][0].startswith("QoS class Guaranteed -> Burstable: no exclusive CPUs, may swap")
    fraction = {"requests": {"cpu": "1500m", "memory": "1Gi"}, "limits": {"cpu": "1500m", "memory": "1Gi"}}
    (one,) = files.reports([override(**BOTH)], pod(spec=resources(**fraction)))
    assert "exclusive" not in one["consequences"][0]


@pytest.mark.parametrize(
    ("written", "percentages", "why"),
    [
        ({"requests": {"memory": "1Gi"}}, BOTH, "the pod has no memory limit and no CPU limit to take"),
        ({"limits": {"memory": "1Gi"}}, {"cpuRequestToLimitPercent": 50}, "the pod has no CPU limit to take"),
        (
            {"limits": {"cpu": "1"}},
            {"memoryRequestToLimitPercent": 50},
            "the pod has no memory limit to take",
        ),
        ({}, {"cpuRequestToRequestPercent": 50}, "the pod has no CPU request to take"),
        (
            {"requests": {"memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            {"memoryRequestToLimitPercent": 50},
            "the pod's requests already are what it sets",
        ),
    ],
)
def test_a_pod_that_stays_unchanged_has_its_reason(
    files: Files, written: dict[str, Any], percentages: dict[str, Any], why: str
) -> None:
    (one,) = files.reports([override(**percentages)], pod(spec=resources(**written)))
    assert one["outcome"] == "AsItShouldBe"
    assert why in one["detail"]


def quota(**hard: str) -> dict[str, Any]:
    return workload("ResourceQuota", "v1", "rq", {"hard": hard})


def test_the_effect_on_a_quota_is_a_consequence(files: Files) -> None:
    manifest = pod(spec=resources(limits={"memory": "4Gi"}))
    hard = {"limits.cpu": "2", "requests.memory": "3Gi"}
    (one,) = files.reports(
        [override(limitCPUToMemoryPercent=200, memoryRequestToLimitPercent=50)], manifest, quota(**hard)
    )
    assert one["consequences"] == [
        "ResourceQuota/rq counts limits.cpu 0 -> 8, above its 2: the pod is refused",
        "ResourceQuota/rq counts requests.memory 4Gi -> 2Gi, of 3Gi",
    ]


def test_a_stored_workloads_own_use_is_not_beside_it(files: Files) -> None:
    spec = {
        "replicas": 2,
        "template": {"spec": resources(requests={"memory": "1Gi"}, limits={"memory": "1Gi"})},
    }
    deployment = workload("Deployment", "apps/v1", "web", spec, metadata={"uid": "u1"})
    full = {**quota(**{"requests.memory": "3Gi"}), "status": {"used": {"requests.memory": "3Gi"}}}
    (one,) = files.reports([override(memoryRequestToLimitPercent=50)], deployment, full)
    assert one["consequences"] == [
        "ResourceQuota/rq counts requests.memory 2Gi -> 1Gi beside 1Gi in use, of 3Gi"
    ]


def test_the_effect_on_an_autoscaler_is_a_consequence(files: Files) -> None:
    deployment = workload("Deployment", "apps/v1", "web", {"template": {"spec": resources(**EQUAL)}})
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}
    scaler = workload(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        "web",
        {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 10, "metrics": [metric]},
    )
    (one,) = files.reports([override(cpuRequestToLimitPercent=25)], deployment, scaler)
    assert one["consequences"][1] == (
        "HorizontalPodAutoscaler/web keeps CPU at 80 % of the request: the same load is 4 times the "
        "utilisation that it was, so it scales out, up to 10 replicas"
    )


def test_objects_left_out_are_said_as_without_an_override(files: Files) -> None:
    service = workload("Service", "v1", "s", {})
    done = workload("Deployment", "apps/v1", "web", {"replicas": 0, "template": {"spec": resources(**EQUAL)}})
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}}
    text = files.text([override(**BOTH)], pod(), service, done, node)
    assert text.endswith("left out: 1 Deployment (0 replicas), 1 Node, 1 Service")


def test_an_input_without_pods_is_refused_as_without_override(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.text([override(**BOTH)], workload("Service", "v1", "s", {}), status=2)
    files_only = files.written([override(**BOTH)], (workload("Service", "v1", "s", {}),))
    assert main(files_only) == 2
    assert "'1 Service' is not valid; expected at least one pod" in capsys.readouterr().err


def test_a_bad_pod_is_named_and_the_others_are_overridden(files: Files) -> None:
    bad = pod("bad", resources(limits={"memory": "much"}))
    reports = files.reports([override(**BOTH)], pod("a", resources(**EQUAL)), bad, status=2)
    assert [one["name"] for one in reports] == ["lab/a"]


def test_a_quantity_too_large_to_take_a_part_of_is_left(files: Files) -> None:
    (one,) = files.reports([override(**BOTH)], pod(spec=resources(limits={"memory": "8Ei"})))
    assert one["outcome"] == "InvalidQuantity"
    assert one["changes"] == []
