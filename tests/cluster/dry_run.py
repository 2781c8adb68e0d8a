"""Pods are given to the real API server, which says what it would store, and stores nothing."""

import asyncio
import json
from typing import Any

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane

SENTINEL = {"type": "Container", "max": {"ephemeral-storage": "1Gi"}}
"""By which one sees that the API server knows a namespace's LimitRange: its view follows with a delay."""


def try_pods(cluster: ControlPlane, space: str, pods: list[dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Return each pod as it would be stored, or why it is refused."""
    return asyncio.run(_try_pods(cluster.kubeconfig, space, pods))


def knows_sentinel(cluster: ControlPlane, space: str) -> bool:
    """Return whether the API server enforces the sentinel in a namespace."""
    limits = {"limits": {"ephemeral-storage": "2Gi"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "c", "image": "c", "resources": limits}]},
    }
    (said,) = try_pods(cluster, space, [pod])
    return isinstance(said, str) and "maximum ephemeral-storage usage" in said


async def try_pod(client: Client, space: str, pod: dict[str, Any]) -> dict[str, Any]:
    """Return a pod as it would be stored.

    Raises:
        ApiError: It is refused.
    """
    stored = await client.raw(
        "POST",
        f"/api/v1/namespaces/{space}/pods",
        body=json.dumps(pod).encode(),
        content_type="application/json",
        query={"dryRun": "All"},
    )
    found: dict[str, Any] = json.loads(stored)
    return found


async def _try_pods(kubeconfig: str, space: str, pods: list[dict[str, Any]]) -> list[str | dict[str, Any]]:
    client = Client(load_config(kubeconfig))
    answers: list[str | dict[str, Any]] = []
    try:
        for pod in pods:
            try:
                answers.append(await try_pod(client, space, pod))
            except ApiError as error:
                answers.append(error.message)
    finally:
        await client.close()
    return answers
