"""The API server and the controller say what becomes of a ``ResourceOverride``."""

import pathlib
from functools import partial
from typing import Any

import pytest

from overbook.core.override.admission import ENABLED_LABEL, RUN_LEVEL_LABEL, SWITCH_ANNOTATION
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import apply_manifests, install
from tests.cluster.relief_cluster import controller, controllers_kubeconfig
from tests.cluster.webhooks import define_openshift_kinds, remove_openshift_kinds
from tests.waiting import wait_for

KIND = "resourceoverrides.overbook.dev"


def override(namespace: str, name: str = "all", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "ResourceOverride",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podResourceOverride": {"memoryRequestToLimitPercent": 50}, **spec},
    }


def selecting(**expression: Any) -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [{"key": "tier", **expression}]}}


def path(namespace: str, name: str = "") -> str:
    return f"/apis/overbook.dev/v1alpha1/namespaces/{namespace}/resourceoverrides{name and '/'}{name}"


def conditions(admin: UserClient, namespace: str, name: str = "all") -> dict[str, tuple[str, str, str]]:
    status = admin.ask("GET", path(namespace, name)).get("status", {})
    return {
        one["type"]: (one["status"], one["reason"], one.get("message", ""))
        for one in status.get("conditions", [])
    }


def has(admin: UserClient, namespace: str, kind: str, *said: str, name: str = "all") -> bool:
    found = conditions(admin, namespace, name).get(kind)
    return found is not None and found[: len(said)] == said


def test_an_override_says_whether_it_has_an_effect(cluster: ControlPlane, tmp_path: pathlib.Path) -> None:
    install(cluster, "webhook")
    admin = UserClient(cluster.kubeconfig)
    space = make_namespace(cluster)
    apply_manifests(cluster, [override(space), override(space, "broken", **selecting(operator="In"))])

    def becomes(kind: str, *said: str, name: str = "all") -> None:
        wait_for(partial(has, admin, space, kind, *said, name=name), f"{name}: {kind} {said}", seconds=60)

    with controller(controllers_kubeconfig(cluster), tmp_path) as process:
        becomes("Ignored", "True", "NamespaceNotOptedIn")
        assert f"{ENABLED_LABEL}=true" in conditions(admin, space)["Ignored"][2]
        becomes("ValidationFailure", "False", "Valid")
        becomes("ValidationFailure", "True", "InvalidParameters", name="broken")
        assert "podSelector" in conditions(admin, space, "broken")["ValidationFailure"][2]
        cluster.kubectl("label", "namespace", space, f"{ENABLED_LABEL}=true")
        becomes("Ignored", "False", "NamespaceOptedIn")
        cluster.kubectl("annotate", "namespace", space, f"{SWITCH_ANNOTATION}=false")
        becomes("Ignored", "True", "NamespaceSwitchedOff")
        cluster.kubectl("label", "namespace", space, f"{RUN_LEVEL_LABEL}=1")
        becomes("Ignored", "True", "SystemNamespace")
        cluster.kubectl("label", "namespace", space, f"{RUN_LEVEL_LABEL}-")
        cluster.kubectl("annotate", "namespace", space, f"{SWITCH_ANNOTATION}-")
        becomes("Ignored", "False")
        spec = admin.ask("GET", path(space, "all"))["spec"]
        # What a tenant writes into the status is put right, and the spec is never touched.
        lie = {"status": {"conditions": [{"type": "Ignored", "status": "True", "reason": "Lie"}]}}
        admin.ask("PATCH", f"{path(space, 'all')}/status", lie, MERGE)
        becomes("Ignored", "False", "NamespaceOptedIn")
        assert admin.ask("GET", path(space, "all"))["spec"] == spec
        define_openshift_kinds(cluster)
        try:
            becomes("Ignored", "True", "OtherKindInUse")
        finally:
            remove_openshift_kinds(cluster)
        assert process.stop() == 0
    cluster.kubectl("delete", "namespace", space, "--wait=false")


def test_an_override_in_a_namespace_of_the_system_is_refused(cluster: ControlPlane) -> None:
    install(cluster, "webhook")
    wait_for(partial(_is_refused, cluster, "kube-system"), "the policy is in force", seconds=60)
    for name in ("overbook", "openshift-monitoring", "kubernetes-dashboard", "kube-public"):
        if name.startswith(("openshift", "kubernetes")):
            cluster.kubectl("create", "namespace", name)
        assert _is_refused(cluster, name), name
    kubeflow = make_namespace(cluster)
    assert not _is_refused(cluster, kubeflow)
    for name in ("openshift-monitoring", "kubernetes-dashboard", kubeflow):
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _is_refused(cluster: ControlPlane, namespace: str) -> bool:
    said = UserClient(cluster.kubeconfig).refusal("POST", path(namespace), override(namespace), dryRun="All")
    return f"a ResourceOverride has no effect in namespace {namespace}" in str(said)


@pytest.mark.parametrize("operator", ["Equals", "in", ""])
def test_an_operator_that_does_not_exist_is_refused(cluster: ControlPlane, operator: str) -> None:
    install(cluster)
    space = make_namespace(cluster)
    with pytest.raises(KubectlError, match="Unsupported value"):
        apply_manifests(cluster, [override(space, **selecting(operator=operator, values=["a"]))])
    apply_manifests(cluster, [override(space, **selecting(operator="NotIn", values=["a"]))])
    cluster.kubectl("delete", "namespace", space, "--wait=false")


def test_owners_of_a_namespace_may_set_its_overrides(cluster: ControlPlane) -> None:
    install(cluster, "webhook")
    space = make_namespace(cluster)
    for role in ("admin", "edit", "view"):
        cluster.kubectl("create", "serviceaccount", role, "-n", space)
        cluster.kubectl(
            "create",
            "rolebinding",
            role,
            "-n",
            space,
            f"--clusterrole={role}",
            f"--serviceaccount={space}:{role}",
        )

    def may(role: str, verb: str) -> bool:
        try:
            account = f"--as=system:serviceaccount:{space}:{role}"
            return cluster.kubectl("auth", "can-i", verb, KIND, "-n", space, account).strip() == "yes"
        except KubectlError:
            return False

    for role in ("admin", "edit"):
        for verb in ("create", "update", "patch", "delete", "list"):
            wait_for(partial(may, role, verb), f"{role} may {verb}")
    wait_for(partial(may, "view", "list"), "view may list")
    assert not may("view", "create")
    assert not may("edit", "update/status")
    cluster.kubectl("delete", "namespace", space, "--wait=false")
