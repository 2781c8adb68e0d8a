"""Two replicas serve behind a service while pods are created: each pod is overridden, whatever happens."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.certificates import certified
from tests.cluster.dry_run import try_pod
from tests.cluster.installing import apply_manifests
from tests.cluster.webhooks import (
    ACCOUNT,
    install_webhook,
    open_namespace,
    point_to,
    start_webhook,
    wait_for_warning,
)
from tests.waiting import wait_for
from tests.webhook.running import Webhook, free_port

CALLERS = 4
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "cart"},
    "spec": {"containers": [{"name": "c0", "image": "cart", "resources": {"limits": {"memory": "1000Mi"}}}]},
}


class Service:
    """A service's port leads to a ready replica, as in Kubernetes; connections are not moved."""

    def __init__(self) -> None:
        self.replicas: list[Webhook] = []
        self.port = free_port()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._connected, "127.0.0.1", self.port):
            await asyncio.to_thread(self._stopped.wait)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for replica in list(self.replicas):
            if await asyncio.to_thread(_is_ready, replica):
                other_reader, other_writer = await asyncio.open_connection("127.0.0.1", replica.port)
                try:
                    await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
                finally:
                    other_writer.close()
                    writer.close()
                return
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def _is_ready(replica: Webhook) -> bool:
    try:
        return replica.get("/readyz")[0] == 200
    except OSError:
        return False


class Callers:
    """Callers create pods (dry-run) until they are stopped, and keep those that were not overridden."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        self.created = 0
        self.missed: list[Any] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(cluster.kubeconfig, namespace))
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)

    def wait_for_more(self, pods: int) -> None:
        wanted = self.created + pods
        wait_for(lambda: self.created >= wanted, f"{pods} more pods")

    def _run(self, kubeconfig: str, namespace: str) -> None:
        asyncio.run(self._call(kubeconfig, namespace))

    async def _call(self, kubeconfig: str, namespace: str) -> None:
        clients = [Client(load_config(kubeconfig)) for _ in range(CALLERS)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(self._create(client, namespace))
        for client in clients:
            await client.close()

    async def _create(self, client: Client, namespace: str) -> None:
        while not self._stopped.is_set():
            stored = await try_pod(client, namespace, POD)
            requests = stored["spec"]["containers"][0]["resources"]["requests"]
            self.created += 1
            if requests != {"memory": "500Mi"}:
                self.missed.append(requests)


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    for replica in one.replicas:
        replica.stop()
    one.stop()


class World(NamedTuple):
    """A webhook whose certificate is renewed every few seconds serves a namespace."""

    cluster: ControlPlane
    service: Service
    kubeconfig: str
    mount: Path
    namespace: str

    def replica(self) -> Webhook:
        return start_webhook(self.kubeconfig, self.mount, "--drain-seconds=5")


@pytest.fixture
def world(cluster: ControlPlane, service: Service, tmp_path: Path) -> Iterator[World]:
    kubeconfig = install_webhook(cluster)
    point_to(cluster, service.port)
    space = open_namespace(cluster)
    override = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "ResourceOverride",
        "metadata": {"name": "all", "namespace": space},
        "spec": {"podResourceOverride": {"memoryRequestToLimitPercent": 50}},
    }
    apply_manifests(cluster, [override])
    soon = ("--certificate-seconds=120", "--settle-seconds=6", "--loss-seconds=6")
    try:
        with certified(cluster, tmp_path, *soon) as mount:
            world = World(cluster, service, kubeconfig, mount, space)
            service.replicas += [world.replica(), world.replica()]
            for replica in service.replicas:
                replica.wait_ready()
            wait_for_warning(cluster, space, POD, "50 % of limit, ResourceOverride/all")
            yield world
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", ACCOUNT, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", space, "--wait=false")


def test_restarts_and_new_certificates_miss_no_pod(world: World) -> None:
    cluster, service = world.cluster, world.service
    callers = Callers(cluster, world.namespace)
    try:
        callers.wait_for_more(50)
        first = _certificate(cluster)
        wait_for(lambda: _certificate(cluster) != first, "the first rotation", 120)
        callers.wait_for_more(50)
        for _ in range(2):
            old = service.replicas[0]
            new = world.replica()
            new.wait_ready()
            service.replicas.append(new)
            status, log = old.stop()
            service.replicas.remove(old)
            assert status == 0, log
            assert "Traceback" not in log
            callers.wait_for_more(50)
        second = _certificate(cluster)
        wait_for(lambda: _certificate(cluster) != second, "another rotation", 120)
        callers.wait_for_more(50)
    finally:
        callers.stop()
    assert callers.missed == []


def test_a_deleted_and_a_spoilt_secret_miss_no_pod(world: World) -> None:
    """The servers keep what they have, and the API server trusts the next one before they show it."""
    cluster = world.cluster
    callers = Callers(cluster, world.namespace)
    change = {"data": {"tls.key": base64.b64encode(b"junk").decode()}}
    spoil = ("patch", "secret", "overbook-webhook-tls", "-n", "overbook", "--patch", json.dumps(change))
    delete = ("delete", "secret", "overbook-webhook-tls", "-n", "overbook")
    try:
        for harm in (delete, spoil):
            callers.wait_for_more(50)
            before = {_shown(replica) for replica in world.service.replicas}
            cluster.kubectl(*harm)
            wait_for(
                lambda before=before: before.isdisjoint(_shown(one) for one in world.service.replicas),  # type: ignore[misc]
                "each replica shows a new certificate",
                60,
            )
        callers.wait_for_more(50)
    finally:
        callers.stop()
    assert callers.missed == []


def _shown(replica: Webhook) -> bytes:
    with replica.socket() as connection:
        return connection.getpeercert(binary_form=True) or b""


def _certificate(cluster: ControlPlane) -> str:
    return cluster.kubectl(
        "get", "secret", "overbook-webhook-tls", "-n", "overbook", "-o", "jsonpath={.data['tls\\.crt']}"
    )
