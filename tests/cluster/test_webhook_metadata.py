"""The real API server accepts the annotations that the webhook adds, for container names of any length."""

import asyncio
import json
from typing import Any

import pytest

from overbook.core.api.override import ClusterResourceOverride
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.override.admission import ClusterPolicy, admit, namespace_policy
from overbook.core.override.patch import patch_operations
from overbook.core.override.source import cluster_source
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.conformance.answer import apply_patch

POLICY = ClusterPolicy(
    override=cluster_source(
        convert(
            {
                "metadata": {"name": "cluster"},
                "spec": {"podResourceOverride": {"spec": {"cpuRequestToRequestPercent": 50}}},
            },
            ClusterResourceOverride,
            "",
        )
    )
)


def overridden(names: list[str]) -> dict[str, Any]:
    containers = [{"name": name, "image": "x", "resources": {"requests": {"cpu": "1"}}} for name in names]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}}
    decoded = convert(pod, Pod, "")
    admission = admit(decoded, namespace_policy("shop", enabled="true"), POLICY)
    assert admission.outcome == "Overridden"
    apply_patch(pod, patch_operations(decoded, admission.override))
    return pod


@pytest.mark.parametrize("length", [1, 41, 42, 43, 49, 62, 63])
def test_a_container_name_of_any_length_is_accepted(
    cluster: ControlPlane, namespace: str, length: int
) -> None:
    names = ["c" * length, *(["d" + "e" * (length - 2) + "f"] if length > 1 else [])]
    refused = asyncio.run(_refusal(cluster.kubeconfig, namespace, overridden(names)))
    assert refused == ""


async def _refusal(kubeconfig: str, space: str, pod: dict[str, Any]) -> str:
    client = Client(load_config(kubeconfig))
    try:
        await client.raw(
            "POST",
            f"/api/v1/namespaces/{space}/pods",
            body=json.dumps(pod).encode(),
            content_type="application/json",
            query={"dryRun": "All"},
        )
    except ApiError as error:
        return error.message
    finally:
        await client.close()
    return ""
