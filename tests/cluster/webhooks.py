"""The webhook is installed as shipped, but runs beside the test cluster instead of in it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from overbook.core.override.admission import ENABLED_LABEL
from overbook.deploy.installation import Installation
from overbook.deploy.webhook_workload import webhook_workload
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import apply_manifests, install
from tests.waiting import wait_for
from tests.webhook.running import Webhook

ACCOUNT = "overbook-webhook"
OPENSHIFT_KINDS = (
    ("operator.autoscaling.openshift.io", "clusterresourceoverrides", "ClusterResourceOverride", "Cluster"),
    ("autoscaling.openshift.io", "resourceoverrides", "ResourceOverride", "Namespaced"),
)


def install_webhook(cluster: ControlPlane) -> str:
    """Install rights and configuration as shipped, with a URL in place of the service; see :func:`point_to`.

    Returns:
        Path of a kubeconfig of the webhook's own account.
    """
    where = install(cluster, "webhook")
    (configuration,) = [
        each for each in webhook_workload(where) if each["kind"] == "MutatingWebhookConfiguration"
    ]
    entry = configuration["webhooks"][0]
    entry["clientConfig"] = {"url": "https://localhost:1/override"}
    entry["timeoutSeconds"] = 10  # the machine that runs the tests is busy
    cluster.kubectl("delete", "mutatingwebhookconfiguration", ACCOUNT, "--ignore-not-found")
    apply_manifests(cluster, [configuration])
    # What is installed begins by observing.
    cluster.kubectl("patch", "overcommit", "cluster", "--type=merge", "-p", '{"spec": {"mode": "Enforce"}}')
    return webhook_kubeconfig(cluster)


def webhook_kubeconfig(cluster: ControlPlane) -> str:
    """Return the path of a kubeconfig of the account of an installed webhook."""
    return cluster.kubeconfig_for(cluster.token(Installation().namespace, ACCOUNT), name=ACCOUNT)


def point_to(cluster: ControlPlane, port: int) -> None:
    """Let the API server call the webhook at this URL."""
    url = f"https://localhost:{port}/override"
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": url}]
    cluster.kubectl("patch", "mutatingwebhookconfiguration", ACCOUNT, "--type=json", "-p", json.dumps(patch))


def start_webhook(kubeconfig: str, mount: Path, *options: str) -> Webhook:
    """Start a webhook that serves the mounted certificate."""
    where = (f"--certificates={mount}", "--certificate-poll-seconds=0.2")
    return Webhook("", "--kubeconfig", kubeconfig, *where, *options)


def open_namespace(cluster: ControlPlane) -> str:
    """Create a namespace that has opted in."""
    name = make_namespace(cluster)
    cluster.kubectl("label", "namespace", name, f"{ENABLED_LABEL}=true")
    return name


def try_pod(cluster: ControlPlane, namespace: str, pod: dict[str, Any], *options: str) -> tuple[Any, str]:
    """Create a pod with kubectl.

    Returns:
        The pod (``None``: it was refused), and what kubectl says beside it.
    """
    manifest = {"apiVersion": "v1", "kind": "Pod", **pod}
    done = subprocess.run(  # noqa: S603 - kubectl of the test cluster
        [
            cluster._programs.path("kubectl"),
            f"--kubeconfig={cluster.kubeconfig}",
            *("create", f"--namespace={namespace}", "--output=json", "-f", "-", *options),
        ],
        input=json.dumps(manifest),
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": cluster.folder, "PATH": os.environ.get("PATH", os.defpath)},
        timeout=120,
    )
    return (json.loads(done.stdout) if done.returncode == 0 else None), done.stderr


def requests_of(pod: Any) -> dict[str, str]:
    requests: dict[str, str] = pod["spec"]["containers"][0]["resources"].get("requests", {})
    return requests


def wait_for_warning(cluster: ControlPlane, namespace: str, pod: dict[str, Any], text: str) -> None:
    """Wait until creating the pod gives this warning: watches follow the cluster with a little delay."""
    said: list[str] = []

    def warned() -> bool:
        said[:] = [try_pod(cluster, namespace, pod, "--dry-run=server")[1]]
        return text in said[0]

    try:
        wait_for(warned, f"a warning with {text!r}", every_seconds=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}; said was {said}") from error


def override_of_cluster(**percentages: int) -> dict[str, Any]:
    """Return OpenShift's override of the cluster."""
    return {
        "apiVersion": "operator.autoscaling.openshift.io/v1",
        "kind": "ClusterResourceOverride",
        "metadata": {"name": "cluster"},
        "spec": {"podResourceOverride": {"spec": percentages}},
    }


def define_openshift_kinds(cluster: ControlPlane) -> None:
    """Define the kinds that OpenShift's operator brings, with any content."""
    apply_manifests(cluster, [_definition(*kind) for kind in OPENSHIFT_KINDS])
    for group, plural, _, _ in OPENSHIFT_KINDS:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=60s")


def remove_openshift_kinds(cluster: ControlPlane) -> None:
    for group, plural, _, _ in OPENSHIFT_KINDS:
        cluster.kubectl("delete", "crd", f"{plural}.{group}", "--ignore-not-found")


def _definition(group: str, plural: str, kind: str, scope: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
