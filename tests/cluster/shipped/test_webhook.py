"""The webhook's Deployment runs as shipped; its two replicas need two nodes, so one of them runs."""

import base64
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from overbook.core.override.admission import ENABLED_LABEL
from overbook.deploy.webhook_workload import PORT
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import MERGE
from tests.cluster.installing import apply_manifests, install
from tests.cluster.shipped.part import SLOW_SECONDS, Shipped
from tests.docs.reading import ROOT
from tests.waiting import wait_for
from tests.webhook.running import patched, response_of, review

OVERCOMMIT: Final = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
CONFIGURATION: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/overbook-webhook"
SERVICE: Final = "overbook-webhook.overbook.svc"
NAMESPACE: Final = "shop"
POD: Final[dict[str, Any]] = {
    "metadata": {"name": "cart"},
    "spec": {
        "containers": [
            {
                "name": "cart",
                "image": "none",
                "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            }
        ]
    },
}
# Asks as the API server does: at the pod's address, by the service's name.
ASK: Final = """
import http.client, socket, ssl, sys
address, port, name, authority, body = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
connection = http.client.HTTPSConnection(name, int(port))
connection.sock = context.wrap_socket(socket.create_connection((address, int(port))), server_hostname=name)
connection.request("POST", "/override", open(body, "rb"), {"Content-Type": "application/json"})
print(connection.getresponse().read().decode())
"""


@pytest.fixture(scope="module")
def webhook(
    cluster: ControlPlane, node: KubernetesNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shipped]:
    """The webhook is installed, its certificate is renewed on the node, too, and its pod is ready."""
    shipped = Shipped(cluster, node, "webhook", "deploy/components/webhook/webhook.yaml")
    install(cluster, "webhook")
    text = (ROOT / "deploy/components/webhook/certificates.yaml").read_text(encoding="utf-8")
    apply_manifests(cluster, list(yaml.safe_load_all(text)))  # its image is the webhook's
    try:
        with shipped.running(tmp_path_factory.mktemp("webhook")):
            yield shipped
    finally:
        cluster.kubectl("delete", "deployment", "overbook-certificates", "--namespace=overbook")


def ask(webhook: Shipped, authority: bytes) -> dict[str, Any]:
    """Return the webhook's answer to a review."""
    folder = webhook.node.folder
    files = {"authority.pem": authority, "review.json": json.dumps(review(POD, NAMESPACE)).encode()}
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    paths = [os.path.join(folder, name) for name in files]
    address = webhook.pod()["status"]["podIP"]
    done = webhook.node.run(sys.executable, "-c", ASK, address, str(PORT), SERVICE, *paths, seconds=120)
    return response_of(done.output.encode())


def test_webhook_is_ready_with_the_certificate_the_api_trusts(
    webhook: Shipped,
) -> None:
    admin = webhook.admin
    spec = {"mode": "Enforce", "override": {"memoryRequestToLimitPercent": 50}}
    admin.ask("PATCH", OVERCOMMIT, {"spec": spec}, MERGE)
    label = {"metadata": {"name": NAMESPACE, "labels": {ENABLED_LABEL: "true"}}}
    admin.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", **label})

    def told() -> str:
        return str(admin.ask("GET", CONFIGURATION)["webhooks"][0]["clientConfig"].get("caBundle", ""))

    authority = base64.b64decode(wait_for(told, "the API server is told the authority", SLOW_SECONDS))
    answer = wait_for(
        lambda: found if (found := ask(webhook, authority)).get("patch") else None,
        "an override",
        SLOW_SECONDS,
    )
    made = patched(POD, answer)
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"memory": "512Mi"}
    assert answer["warnings"]
    assert webhook.ready()


def test_webhook_has_no_node_rights_and_a_private_token(webhook: Shipped) -> None:
    webhook.assert_unprivileged()


def test_webhook_is_small(webhook: Shipped) -> None:
    assert int(webhook.cgroup("memory.current")) < int(webhook.cgroup("memory.max"))
    assert "oom_kill 0" in webhook.cgroup("memory.events").splitlines()


def test_the_webhooks_log_holds_no_warning(webhook: Shipped) -> None:
    assert [line for line in webhook.said().splitlines() if "INFO" not in line] == []


def test_webhook_without_its_deployment_ends_in_time(webhook: Shipped) -> None:
    webhook.assert_ends_in_time()
