from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from tests.explain.inputs import (
    GI,
    explained,
    explained_pod,
    inventory,
    owned,
    pod,
    resources,
    sentences,
    workload,
)

SPEC = resources(requests={"memory": "1Gi"})
TEMPLATE = {"template": {"metadata": {"labels": {"app": "a"}}, "spec": SPEC}}


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("DeploymentConfig", "apps.openshift.io/v1"),
        ("DeploymentConfig", "v1"),
        ("Rollout", "argoproj.io/v1alpha1"),
    ],
)
def test_workloads_of_other_projects_are_read(kind: str, version: str) -> None:
    report = explained_pod(workload(kind, version, "w", {"replicas": 2, **TEMPLATE}))
    assert (report.kind, report.replicas, report.requests.memory_bytes) == (kind, 2, GI)


def test_a_deployment_config_is_not_counted_beside_its_pods() -> None:
    found = inventory(
        workload("DeploymentConfig", "apps.openshift.io/v1", "z", {"replicas": 1, **TEMPLATE}),
        workload(
            "ReplicationController",
            "v1",
            "z-1",
            {"replicas": 1, **TEMPLATE},
            metadata=owned("DeploymentConfig", "z"),
        ),
        pod("z-1-x", **owned("ReplicationController", "z-1")),
    )
    assert [one.name for one in found.found] == ["lab/z-1-x"]


def knative(name: str, **annotations: str) -> dict[str, Any]:
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"image": "x"}]}}
    template["spec"]["containers"][0]["resources"] = {"requests": {"memory": "1Gi"}}  # type: ignore[index]
    return workload("Service", "serving.knative.dev/v1", name, {"template": template})


def test_a_knative_service_is_read_and_the_cores_service_is_not() -> None:
    report = explained(knative("hello"), workload("Service", "v1", "plain", {"ports": []}))
    assert [one.object for one in report.pods] == ["lab/hello"]
    assert report.pods[0].containers[0].name == "user-container"
    assert report.ignored == {"Service": 1}
    least = explained_pod(knative("hello", **{"autoscaling.knative.dev/min-scale": "3"}))
    assert least.replicas == 3
    assert "queue-proxy" in sentences(least)


def test_a_knative_service_is_not_counted_beside_its_pods() -> None:
    label = {"serving.knative.dev/service": "hello"}
    running = pod("hello-1-x", labels=label, **owned("ReplicaSet", "hello-1-rs"))
    assert [one.name for one in inventory(knative("hello"), running).found] == ["lab/hello-1-x"]
    deployment = workload(
        "Deployment",
        "apps/v1",
        "hello-1",
        {"replicas": 0, **TEMPLATE},
        metadata={"labels": label, **owned("Revision", "hello-1")},
    )
    scaled = inventory(knative("hello"), deployment)
    assert scaled.ignored == {"Service (scaled to 0)": 1}


def test_a_rollout_may_use_the_template_of_a_deployment() -> None:
    rollout = workload(
        "Rollout",
        "argoproj.io/v1alpha1",
        "roll",
        {"replicas": 4, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    )
    deployment = workload("Deployment", "apps/v1", "web", {"replicas": 0, **TEMPLATE})
    (found,) = inventory(rollout, deployment).found
    assert (found.kind, found.name, found.replicas, found.idle) == ("Rollout", "lab/roll", 4, "")
    assert inventory(rollout, pod()).ignored == {"Rollout whose Deployment is not in the input": 1}


def template(*objects: Any, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "template.openshift.io/v1",
        "kind": "Template",
        "metadata": {"name": "t"},
        "objects": list(objects),
        "parameters": parameters or [],
    }


def test_a_template_is_processed_with_its_defaults() -> None:
    deployment = workload(
        "Deployment",
        "apps/v1",
        "${NAME}-web",
        {
            "replicas": "${{REPLICAS}}",
            "template": {"spec": resources(limits={"memory": "${MEMORY}", "cpu": "${UNKNOWN}1"})},
        },
    )
    deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1"
    whole = template(
        deployment,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${NAME}-${KEY}"}},
        parameters=[
            {"name": "NAME", "value": "shop"},
            {"name": "REPLICAS", "value": "3"},
            {"name": "MEMORY", "value": "1Gi", "required": True},
            {"name": "KEY", "generate": "expression", "from": "[a-z0-9]{8}"},
        ],
    )
    report = explained(whole)
    assert [(one.object, one.replicas) for one in report.pods] == [("default/shop-web", 3)]
    assert report.pods[0].limits.memory_bytes == GI
    assert report.ignored == {"Secret": 1}


def test_a_namespace_with_a_parameter_stays_in_a_template() -> None:
    one = pod("a")
    one["metadata"]["namespace"] = "${SPACE}"
    report = explained(template(one, parameters=[{"name": "SPACE", "value": "shop"}]))
    assert [each.name for each in report.pods] == ["shop/a"]


def test_a_required_parameter_without_a_value_is_named() -> None:
    errors: list[InvalidInput] = []
    whole = template(pod("a"), parameters=[{"name": "MEMORY", "required": True}])
    found = inventory(whole, pod("b"), errors=errors)
    assert [one.pod.label for one in found.found] == ["lab/b"]
    assert "parameters: MEMORY" in str(errors[0])


def test_objects_of_a_template_that_are_none_are_named_alone() -> None:
    errors: list[InvalidInput] = []
    found = inventory(template(pod("a"), {"kind": "Pod"}, 5), errors=errors)
    assert [one.pod.metadata.name for one in found.found] == ["a"]
    assert len(errors) == 2
