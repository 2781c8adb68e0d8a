"""Tests that are no coroutines make requests to a cluster by these functions."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import Kind
from overbook_sandbox.cluster.control_plane import ControlPlane

T = TypeVar("T")


def ask(kubeconfig: str, question: Callable[[Client], Awaitable[T]]) -> T:
    """Make one request, with a client of its own."""

    async def with_client() -> T:
        client = Client(load_config(kubeconfig))
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(with_client())


def get(cluster: ControlPlane, kind: Kind[Any], name: str, namespace: str | None = None) -> Any:
    """Return an object as plain values; None if it does not exist."""
    try:
        return json.loads(
            ask(cluster.kubeconfig, lambda client: client.raw("GET", kind.path(name, namespace)))
        )
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def get_list(cluster: ControlPlane, kind: Kind[Any], namespace: str, selector: str = "") -> list[Any]:
    """Return a list's objects as plain values."""
    query, path = {"labelSelector": selector}, kind.path(None, namespace)
    text = ask(cluster.kubeconfig, lambda client: client.raw("GET", path, query=query))
    items: list[Any] = json.loads(text)["items"]
    return items


def create(cluster: ControlPlane, manifest: dict[str, Any], namespace: str) -> Any:
    """Create an object and return it as the API server has it."""
    text = json.dumps(manifest)
    return json.loads(
        cluster.kubectl("create", f"--namespace={namespace}", "--output=json", "-f", "-", stdin=text)
    )


def eviction_of(cluster: ControlPlane, pod: Any, *, dry_run: bool = False) -> ApiError | None:
    """Request a pod's eviction and return the refusal, or None if it was granted."""
    meta = pod["metadata"]
    try:
        ask(
            cluster.kubeconfig,
            lambda client: client.evict(meta["namespace"], meta["name"], uid=meta["uid"], dry_run=dry_run),
        )
    except ApiError as error:
        return error
    return None
