"""ConfigMaps are the cheapest objects for tests that need many; here they are a kind of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import Kind
from overbook_sandbox.cluster.control_plane import ControlPlane


class Note(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None


NOTES: Final = Kind("", "v1", "configmaps", "ConfigMap", True, Note)
MINE: Final = "test=notes"
"""Selects notes; the controller manager puts a ConfigMap of its own into every namespace."""


def note(name: str, text: str = "", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"test": "notes", **labels}}, "data": {"text": text}}


@asynccontextmanager
async def client_of(config: ClusterConfig | ControlPlane, **how: Any) -> AsyncIterator[Client]:
    known = load_config(config.kubeconfig) if isinstance(config, ControlPlane) else config
    client = Client(known, **how)
    try:
        yield client
    finally:
        await client.close()
