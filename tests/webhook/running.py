"""A real ``overbook webhook`` runs without a cluster, and clients behave well or badly."""

import base64
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.answer import apply_patch

ENABLED = "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled"
SWITCH = "quota.openshift.io/cluster-resource-override-enabled"
START_SECONDS = 60.0


class Webhook:
    """A webhook is a server process."""

    def __init__(self, manifests: str, *options: str) -> None:
        self.port, self.status_port = free_port(), free_port()
        command = [sys.executable, "-m", "overbook", "webhook", *options]
        command += ["--manifests", manifests] if manifests else []
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--status-port", str(self.status_port)]
        if not any(option.startswith("--certificates") for option in options):
            command.append("--self-signed")
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ours

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(self.process.communicate()[1])
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError("the webhook did not become ready")

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of health or metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=trusting())

    def socket(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return trusting().wrap_socket(plain, server_hostname="localhost")

    def post(
        self, body: bytes, *, content_type: str = "application/json", path: str = "/override"
    ) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        connection = self.connection()
        try:
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def review(self, pod: dict[str, Any], namespace: str = "shop", creator: str = "alice") -> dict[str, Any]:
        """Return the response for a pod that is created."""
        status, body = self.post(json.dumps(review(pod, namespace, creator)).encode())
        assert status == 200, body
        return response_of(body)

    def stop(self) -> tuple[int, str]:
        """End the webhook if it runs, and return its exit status and the rest of its log."""
        self.process.send_signal(signal.SIGTERM)
        stderr = self.process.stderr
        if stderr is None or stderr.closed:
            return self.process.wait(), ""
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log


@contextmanager
def running(manifests: str, *options: str) -> Iterator[Webhook]:
    webhook = Webhook(manifests, *options)
    try:
        webhook.wait_ready()
        yield webhook
    finally:
        webhook.stop()


def review(
    pod: Any, namespace: str = "shop", creator: str = "alice", uid: str = "0a1b", **request: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": creator},
            "object": pod,
            **request,
        },
    }


def response_of(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    assert answer["apiVersion"] == "admission.k8s.io/v1"
    assert answer["kind"] == "AdmissionReview"
    response: dict[str, Any] = answer["response"]
    assert response["allowed"] is True
    assert all(len(warning) <= 120 for warning in response.get("warnings", ()))
    return response


def patched(pod: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """Return the pod as the API server would make it of the response."""
    result: dict[str, Any] = json.loads(json.dumps(pod))
    if "patch" in response:
        assert response["patchType"] == "JSONPatch"
        apply_patch(result, json.loads(base64.b64decode(response["patch"])))
    return result


def write_manifests(folder: Path, *objects: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    (folder / "objects.json").write_text(json.dumps(listed), encoding="utf-8")
    return str(folder)


def namespace(name: str, *, enabled: str | None = "true", **annotations: str) -> dict[str, Any]:
    labels = {} if enabled is None else {ENABLED: enabled}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def cluster_override(**percentages: int) -> dict[str, Any]:
    return {
        "apiVersion": "operator.autoscaling.openshift.io/v1",
        "kind": "ClusterResourceOverride",
        "metadata": {"name": "cluster"},
        "spec": {"podResourceOverride": {"spec": percentages}},
    }


def limit_range(name: str, space: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": space},
        "spec": {"limits": list(items)},
    }


def pod(*resources: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "resources": one} for number, one in enumerate(resources)]
    return {"metadata": {"name": "cart", **metadata}, "spec": {"containers": containers}}


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
