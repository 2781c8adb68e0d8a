from pathlib import Path

import msgspec
import pytest

from overbook.core.kubernetes.limit_range import LimitRange, with_defaults
from overbook.core.kubernetes.pod import Pod, convert
from tests.webhook.documented import PERCENTAGES, cases
from tests.webhook.running import (
    Webhook,
    cluster_override,
    limit_range,
    namespace,
    patched,
    pod,
    running,
    write_manifests,
)


def test_every_line_of_the_documents_table_is_as_printed(tmp_path: Path) -> None:
    objects = [cluster_override(**PERCENTAGES)]
    for number, case in enumerate(cases()):
        objects.append(namespace(f"space-{number}"))
        if case.limit_range:
            objects.append(limit_range("sizes", f"space-{number}", case.limit_range))
    with running(write_manifests(tmp_path / "manifests", *objects)) as webhook:
        for number, case in enumerate(cases()):
            ranges = [limit_range("sizes", "", case.limit_range)] if case.limit_range else []
            submitted = _as_the_api_server_fills_it_in(case.pod, ranges)
            response = webhook.review(submitted, f"space-{number}")
            result = patched(submitted, response)
            assert result["spec"]["containers"][0]["resources"]["requests"] == case.requests_afterwards
            assert response.get("warnings", []) == ([case.warning] if case.warning else [])
    assert len(cases()) >= 9


def _as_the_api_server_fills_it_in(submitted: dict, ranges: list[dict]) -> dict:  # type: ignore[type-arg] # JSON
    typed = with_defaults(convert(submitted, Pod, ""), [convert(one, LimitRange, "") for one in ranges])
    return msgspec.to_builtins(typed)  # type: ignore[no-any-return] # JSON


def test_the_answer_names_the_closest_override_that_won(webhook: Webhook) -> None:
    limits = {"limits": {"memory": "1Gi"}}
    (plain,) = webhook.review(pod(limits))["warnings"]
    assert plain == "memory request none -> 512Mi: 50 % of limit, ClusterResourceOverride/cluster"
    response = webhook.review(pod(limits, labels={"tier": "batch"}))
    assert response["warnings"] == ["memory request none -> 102Mi: 10 % of limit, ResourceOverride/batch"]
    assert response["auditAnnotations"]["override"].startswith(
        "Overridden ResourceOverride/batch: c0: memory"
    )


def test_several_containers_are_named_and_warnings_are_bounded(webhook: Webhook) -> None:
    response = webhook.review(pod(*[{"limits": {"memory": "1Gi"}}] * 1000))
    assert response["warnings"][0].startswith("c0: memory request none -> 512Mi")
    assert response["warnings"][-1].startswith("and 988 more by ClusterResourceOverride/cluster")
    assert sum(map(len, response["warnings"])) < 4096
    assert len(response["auditAnnotations"]["override"]) <= 2048


def test_observe_mode_warns_and_changes_nothing(webhook: Webhook, tmp_path: Path) -> None:
    limits = {"limits": {"memory": "1Gi"}}
    response = webhook.review(pod(limits, labels={"watched": "yes"}))
    assert "patch" not in response
    assert response["warnings"] == [
        "not applied (Observe): memory request none -> 204Mi: 20 % of limit, ResourceOverride/watched"
    ]
    folder = write_manifests(tmp_path / "all", cluster_override(**PERCENTAGES), namespace("shop"))
    with running(folder, "--mode", "observe") as observing:
        response = observing.review(pod(limits))
    assert "patch" not in response
    assert response["warnings"][0].startswith("not applied (Observe): memory request none -> 512Mi")


def test_own_kinds_serve_where_openshift_has_none(tmp_path: Path) -> None:
    overcommit = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "Overcommit",
        "metadata": {"name": "cluster"},
        "spec": {"mode": "Enforce", "override": {"memoryRequestToLimitPercent": 40}},
    }
    closer = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "ResourceOverride",
        "metadata": {"name": "batch", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"tier": "batch"}},
            "podResourceOverride": {"memoryRequestToLimitPercent": 10, "mode": "Observe"},
        },
    }
    folder = write_manifests(tmp_path / "own", overcommit, closer, namespace("shop"))
    limits = {"limits": {"memory": "1000Mi"}}
    with running(folder) as webhook:
        assert webhook.review(pod(limits))["warnings"] == [
            "memory request none -> 400Mi: 40 % of limit, Overcommit/cluster"
        ]
        (observed,) = webhook.review(pod(limits, labels={"tier": "batch"}))["warnings"]
        assert observed.startswith("not applied (Observe): memory request none -> 100Mi")
    theirs = cluster_override(memoryRequestToLimitPercent=50)
    folder = write_manifests(tmp_path / "both", overcommit, theirs, namespace("shop"))
    with running(folder) as webhook:
        (warning,) = webhook.review(pod(limits))["warnings"]
    assert warning.endswith("ClusterResourceOverride/cluster")


@pytest.mark.parametrize(
    ("space", "outcome"),
    [
        ("other", "NamespaceNotEnabled"),
        ("billing", "NamespaceSwitchedOff"),
        ("openshift-monitoring", "SystemNamespace"),
        ("nowhere", "UnknownNamespace"),
    ],
)
def test_namespaces_that_take_no_part_are_left_alone(webhook: Webhook, space: str, outcome: str) -> None:
    response = webhook.review(pod({"limits": {"memory": "1Gi"}}), space)
    assert "patch" not in response
    assert "warnings" not in response
    assert response["auditAnnotations"] == {"override": outcome}


def test_a_pod_opts_out_only_where_its_override_allows_it(webhook: Webhook) -> None:
    off = {"quota.openshift.io/cluster-resource-override-enabled": "false"}
    limits = {"limits": {"memory": "1Gi"}}
    assert "patch" in webhook.review(pod(limits, annotations=off))
    response = webhook.review(pod(limits, annotations=off, labels={"tier": "batch"}))
    assert "patch" not in response
    assert response["auditAnnotations"]["override"] == "PodSwitchedOff ResourceOverride/batch"


def test_a_vm_pod_is_known_by_its_owner_and_its_creator(webhook: Webhook) -> None:
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "database",
        "uid": "1",
        "controller": True,
    }
    limits = {"limits": {"memory": "1Gi"}}
    made = webhook.review(
        pod(limits, ownerReferences=[owner]),
        creator="system:serviceaccount:kubevirt:kubevirt-controller",
    )
    assert "patch" not in made
    assert made["auditAnnotations"] == {"override": "VirtualMachine"}
    assert "patch" in webhook.review(pod(limits, ownerReferences=[owner]), creator="alice")
    labels = {"kubevirt.io": "virt-launcher"}
    assert "patch" in webhook.review(pod(limits, labels=labels), creator="alice")


def test_a_pod_that_would_become_inadmissible_is_unchanged(webhook: Webhook) -> None:
    both = {"memory": "1Gi"}
    response = webhook.review(pod({"limits": both, "requests": both}), "ratio")
    assert "patch" not in response
    (warning,) = response["warnings"]
    assert warning.startswith("not overridden: pod: memory limit to request ratio 2")
    assert "LimitRange/ratio" in response["auditAnnotations"]["override"]


def test_reinvocation_changes_nothing_more(webhook: Webhook) -> None:
    submitted = pod({"limits": {"memory": "1Gi", "cpu": "2"}})
    once = patched(submitted, webhook.review(submitted))
    again = webhook.review(once)
    assert "patch" not in again
    assert "warnings" not in again
