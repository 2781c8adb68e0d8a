from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.override.admission import ENABLED_LABEL
from overbook.deploy.agent_workload import agent_workload
from overbook.deploy.certificates_workload import certificates_workload
from overbook.deploy.controller_workload import controller_workload
from overbook.deploy.installation import Installation, Manifest
from overbook.deploy.parts import PARTS, Part
from overbook.deploy.roles import webhook
from overbook.deploy.webhook_workload import webhook_workload
from overbook.deploy.yaml_text import yaml_text
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from tests.cluster.as_user import UserClient
from tests.cluster.installing import apply_manifests

# Kinds of operators that a test cluster has not.
FOREIGN = {"openshift", "monitoring", "webhook-cert-manager"}
APPLY = (
    *("apply", "--server-side", "--force-conflicts", "--warnings-as-errors", "--dry-run=server"),
    *("--field-manager=test-installation", "-f", "-"),
)


@pytest.mark.parametrize(
    "part", [part for part in PARTS if part.group not in FOREIGN], ids=lambda part: part.name
)
def test_the_api_server_takes_every_object_without_a_warning(
    cluster: ControlPlane, installed: Installation, part: Part
) -> None:
    cluster.kubectl(*APPLY, stdin=yaml_text(part.objects(installed)))


def pod_of(objects: list[Manifest]) -> Manifest:
    """Return a pod as a workload's controller would create it."""
    workload = next(each for each in objects if "template" in each.get("spec", {}))
    template = workload["spec"]["template"]
    about = {**template["metadata"], "name": "probe"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}


@pytest.fixture(scope="module")
def guarded(cluster: ControlPlane) -> Iterator[dict[str, str]]:
    """Create a namespace for each level of Pod Security, with the accounts that the pods need."""
    names = {level: f"guarded-{level}" for level in ("restricted", "baseline", "privileged")}
    accounts = ("overbook-agent", "overbook-certificates", "overbook-controller", "overbook-webhook")
    for level, name in names.items():
        labels = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "warn")}
        about = {"name": name, "labels": labels}
        apply_manifests(cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": about}])
        for account in accounts:
            about = {"name": account, "namespace": name}
            apply_manifests(cluster, [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}])
    yield names
    cluster.kubectl("delete", "namespace", *names.values(), "--wait=false")


@pytest.mark.parametrize(
    ("workload", "level"),
    [
        (controller_workload, "restricted"),
        (webhook_workload, "restricted"),
        (certificates_workload, "restricted"),
        (agent_workload, "privileged"),
    ],
    ids=["controller", "webhook", "certificates", "agent"],
)
def test_pods_keep_to_the_strictest_level_they_can(
    cluster: ControlPlane, guarded: dict[str, str], workload: Any, level: str
) -> None:
    probe = pod_of(workload(Installation()))
    cluster.kubectl(*APPLY, "--namespace", guarded[level], stdin=yaml_text([probe]))


@pytest.mark.parametrize(
    "workload",
    [agent_workload, controller_workload, webhook_workload],
    ids=["agent", "controller", "webhook"],
)
def test_each_pod_is_admitted_in_its_shipped_namespace(
    cluster: ControlPlane, installed: Installation, workload: Any
) -> None:
    apply_manifests(cluster, webhook(installed))
    objects = workload(installed)
    (namespace,) = {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]}
    cluster.kubectl(*APPLY, "--namespace", namespace, stdin=yaml_text([pod_of(objects)]))


def test_only_the_namespace_of_agents_takes_the_agent(cluster: ControlPlane, installed: Installation) -> None:
    account = {"name": "overbook-agent", "namespace": installed.namespace}
    apply_manifests(cluster, [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}])
    probe = pod_of(agent_workload(installed))
    with pytest.raises(KubectlError, match=r'violates PodSecurity "restricted:latest"'):
        cluster.kubectl(*APPLY, "--namespace", installed.namespace, stdin=yaml_text([probe]))
    cluster.kubectl("delete", "serviceaccount", "overbook-agent", "--namespace", installed.namespace)


def test_the_agent_needs_its_pod_security_level(cluster: ControlPlane, guarded: dict[str, str]) -> None:
    probe = pod_of(agent_workload(Installation()))
    with pytest.raises(KubectlError) as refused:
        cluster.kubectl(*APPLY, "--namespace", guarded["baseline"], stdin=yaml_text([probe]))
    said = str(refused.value)
    # All that it asks of its node, and nothing more.
    for reason in ("host namespaces", "non-default capabilities", "hostPath volumes", "seLinuxOptions"):
        assert reason in said
    assert "privileged (container" not in said


def test_foreign_pods_wait_for_no_webhook_of_overbook(
    cluster: ControlPlane, installed: Installation, namespace: str
) -> None:
    """The webhook's service has no endpoint here: a pod that calls it is admitted after a failure."""
    parts = [part for part in PARTS if part.name == "webhook"]
    configuration = next(
        each for each in parts[0].objects(installed) if each["kind"] == "MutatingWebhookConfiguration"
    )
    apply_manifests(cluster, [configuration])
    try:
        cluster.kubectl("label", "namespace", namespace, f"{ENABLED_LABEL}=true")
        admin = UserClient(cluster.kubeconfig)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "guest"},
            "spec": {"containers": [{"name": "a", "image": "none"}]},
        }
        assert admin.ask("POST", f"/api/v1/namespaces/{namespace}/pods", pod)["metadata"]["uid"]
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", configuration["metadata"]["name"])
