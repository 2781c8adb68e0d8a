"""A cluster requests relief: resources, nodes, pods and requests, and the controller as a process."""

import asyncio
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import (
    AGENT_MANAGER,
    OvercommitNode,
    ReliefCandidate,
    ReliefRecord,
    ReliefRequest,
)
from overbook.core.kubernetes.pod import Pod
from overbook.core.timestamp import to_timestamp
from overbook.deploy.installation import CONTROLLER
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import NODES, OVERCOMMIT_NODES, OVERCOMMITS, PODS
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.waiting import wait_for

T = TypeVar("T")
NAMESPACE = "overbook"
READY = {"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": None}


def ask(cluster: ControlPlane, question: Callable[[Client], Awaitable[T]]) -> T:
    """Make one request to the API server, with a client of its own."""

    async def with_client() -> T:
        client = Client(load_config(cluster.kubeconfig))
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(with_client())


def controllers_kubeconfig(cluster: ControlPlane) -> str:
    """Return a kubeconfig with the rights of the installed controller, and no others."""
    return cluster.kubeconfig_for(cluster.token(NAMESPACE, CONTROLLER), name=CONTROLLER)


def configure(cluster: ControlPlane, *, mode: str = "Enforce", paused: bool = False, **relief: Any) -> None:
    """Write the spec of the cluster's Overcommit."""
    spec = {"mode": mode, "paused": paused, "relief": relief}
    obj = {"apiVersion": API_VERSION, "kind": "Overcommit", "metadata": {"name": "cluster"}, "spec": spec}
    ask(cluster, lambda client: client.apply(OVERCOMMITS, obj, manager="test"))


def make_node(cluster: ControlPlane, name: str, *taints: dict[str, str]) -> None:
    """Create a node that is ready and that no controller maintains."""

    async def make(client: Client) -> None:
        node: dict[str, Any] = {"metadata": {"name": name}, "spec": {"taints": list(taints)}}
        await client.create(NODES, node)
        await client.strategic_patch(NODES, name, {"status": {"conditions": [READY]}}, subresource="status")

    ask(cluster, make)


def make_pod(cluster: ControlPlane, namespace: str, name: str, node: str, **metadata: Any) -> ReliefCandidate:
    """Create a pod bound to a node. Without grace it is gone as soon as it is deleted, kubelet or not."""
    manifest = {
        "metadata": {"name": name, **metadata},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}

    async def make(client: Client) -> Pod:
        await client.create(PODS, manifest, namespace)
        return await client.strategic_patch(PODS, name, running, namespace, subresource="status")

    pod = ask(cluster, make)
    assert pod.metadata.uid
    return ReliefCandidate(uid=pod.metadata.uid, namespace=namespace, name=name, over_request_bytes=1)


def pod_exists(cluster: ControlPlane, candidate: ReliefCandidate) -> bool:
    try:
        pod = ask(cluster, lambda client: client.get(PODS, candidate.name, candidate.namespace))
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return pod.metadata.uid == candidate.uid


def report(
    cluster: ControlPlane,
    node: str,
    *candidates: ReliefCandidate,
    request_id: str = "r1",
    state: str = "Critical",
) -> None:
    """Write the node's report: a request for relief or, without candidates, that the node is calm."""
    now = to_timestamp(time.time())
    status: dict[str, Any] = {"observedAt": now, "mode": "Enforce", "pressure": {"state": state}}
    if candidates:
        status["request"] = ReliefRequest(
            id=request_id, decided_at=now, rule="work stalls on memory", candidates=candidates
        )
    plain = {"apiVersion": API_VERSION, "kind": "OvercommitNode", "metadata": {"name": node}}

    async def write(client: Client) -> None:
        await client.apply(OVERCOMMIT_NODES, plain, manager=AGENT_MANAGER)
        await client.apply(
            OVERCOMMIT_NODES, {**plain, "status": status}, manager=AGENT_MANAGER, subresource="status"
        )

    ask(cluster, write)


def overcommit_node(cluster: ControlPlane, node: str) -> OvercommitNode:
    return ask(cluster, lambda client: client.get(OVERCOMMIT_NODES, node))


def record(cluster: ControlPlane, node: str) -> ReliefRecord:
    return overcommit_node(cluster, node).status.relief or ReliefRecord()


def outcomes(cluster: ControlPlane, node: str) -> list[tuple[str, str]]:
    return [(known.victim, known.outcome) for known in record(cluster, node).outcomes]


def wait_for_stage(cluster: ControlPlane, node: str, *stages: str | None) -> ReliefRecord:
    def reached() -> ReliefRecord | None:
        known = record(cluster, node)
        return known if known.stage in stages else None

    return wait_for(reached, f"relief of {node} reaches {stages}: {record(cluster, node)}")


class ControllerProcess:
    """``overbook controller`` under test.

    Args:
        kubeconfig: how it reaches the API server.
        folder: for its log.
        flags: further ones.
    """

    def __init__(self, kubeconfig: str, folder: pathlib.Path, *flags: str) -> None:
        self.log = folder / f"controller-{time.monotonic_ns()}.log"
        arguments = ["--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0", "-v", *flags]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "overbook", "controller", *arguments],
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End the controller by SIGTERM and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @property
    def port(self) -> int:
        """Return the controller's port, once it listens."""

        def found() -> int:
            for line in self.log.read_text().splitlines():
                if "probes and metrics: http" in line:
                    return int(line.rpartition("port ")[2])
            assert self.process.poll() is None, self.log.read_text()
            return 0

        return wait_for(found, "the controller listens")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def resident_bytes(self) -> int:
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def controller(kubeconfig: str, folder: pathlib.Path, *flags: str) -> Iterator[ControllerProcess]:
    process = ControllerProcess(kubeconfig, folder, *flags)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()
        print(process.log.read_text())  # pytest shows it where a test fails
