"""The real agent runs on a fake node, with the rights of its installation, against a real API server."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import yaml

from overbook.core.api.overcommit_node import TAINT_KEY
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.kubeconfig import write_kubeconfig
from overbook_sandbox.fakes.kernel_files import container_files, container_path, make_cgroup
from tests.agent.fake_node import GI, MI, FakeNode
from tests.cluster.as_user import MERGE, UserClient
from tests.waiting import wait_for

NODES: Final = "/api/v1/nodes"
OBJECTS: Final = "/apis/overbook.dev/v1alpha1/overcommitnodes"
OVERCOMMITS: Final = "/apis/overbook.dev/v1alpha1/overcommits"
QUICK: Final[dict[str, Any]] = {
    "intervalSeconds": 0.2,
    "calmSeconds": 2.0,
    "heartbeatSeconds": 2.0,
    "lockMemory": False,
    "swap": {"eligibility": "Burstable", "percent": 150},
    "ruleset": {"settleSeconds": 1.0},
}
"""Settings with which a test does not wait long."""


class Cluster:
    """A control plane with Overbook's objects in it, as its administrator sees it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.admin = UserClient(plane.kubeconfig)

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object; None if it does not exist."""
        if self.admin.refusal("GET", path):
            return None
        found: dict[str, Any] = self.admin.ask("GET", path)
        return found

    def spec(self, **spec: Any) -> None:
        """Change the spec of the cluster's Overcommit."""
        self.admin.ask("PATCH", f"{OVERCOMMITS}/cluster", {"spec": spec}, MERGE)


class Worker:
    """A worker is a Node of the API and the fake files of its kernel.

    Args:
        cluster: where it is a node.
        folder: an empty directory.
        name: of the node.
    """

    def __init__(self, cluster: Cluster, folder: pathlib.Path, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.files = FakeNode(folder)
        self.agents: list[AgentProcess] = []
        self.token_file = folder / "token"
        self._tokens = 0
        self._pods: dict[str, str] = {}
        self.register()
        self.renew_token()

    # The node in the API.

    def register(self, **spec: Any) -> None:
        """Make the Node object."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}, "spec": spec}
        self.cluster.admin.ask("POST", NODES, node)

    def unregister(self) -> None:
        self.cluster.admin.ask("DELETE", f"{NODES}/{self.name}")

    @property
    def taints(self) -> set[str]:
        """Return the keys of the node's taints."""
        node = self.cluster.get(f"{NODES}/{self.name}") or {"spec": {}}
        return {taint["key"] for taint in node["spec"].get("taints", ())}

    def remove_taints(self) -> None:
        """Remove all of the node's taints, as another program might."""
        patch = {"spec": {"taints": None}}
        self.cluster.admin.ask("PATCH", f"{NODES}/{self.name}", patch, MERGE)

    @property
    def tainted(self) -> bool:
        return TAINT_KEY in self.taints

    @property
    def status(self) -> dict[str, Any]:
        """Return the status of the node's OvercommitNode; empty if there is none."""
        found = self.cluster.get(f"{OBJECTS}/{self.name}") or {}
        status: dict[str, Any] = found.get("status", {})
        return status

    @property
    def request(self) -> dict[str, Any] | None:
        request: dict[str, Any] | None = self.status.get("request")
        return request

    def asked(self) -> dict[str, Any]:
        """Return the relief request, once there is one."""
        return wait_for(lambda: self.request, f"a request of {self.name}")

    def relief(self, **record: Any) -> None:
        """Write the controller's part of the status."""
        obj = {
            "apiVersion": "overbook.dev/v1alpha1",
            "kind": "OvercommitNode",
            "metadata": {"name": self.name},
            "status": {"relief": record},
        }
        self.cluster.admin.apply(f"{OBJECTS}/{self.name}/status", obj, "overbook-controller")

    def events(self, kind: str = "Node", namespace: str = "default") -> list[dict[str, Any]]:
        """Return events about the node, or about pods."""
        found = self.cluster.admin.ask("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
        return [
            event
            for event in found
            if event["involvedObject"]["kind"] == kind and event["source"].get("host") == self.name
        ]

    # Pods, in the API and in the kernel.

    def pod(self, namespace: str, name: str, *, request: str = "64Mi", **files: Any) -> str:
        """Create a pod with a cgroup and return its UID."""
        uid = self.describe(namespace, name, request=request)
        self.run(uid, **files)
        return uid

    def describe(self, namespace: str, name: str, *, request: str = "64Mi", **metadata: Any) -> str:
        """Create a pod in the API, bound to this node, and return its UID."""
        container = {"name": "main", "image": "none", "resources": {"requests": {"memory": request}}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, **metadata},
            "spec": {
                "nodeName": self.name,
                "containers": [container],
                "tolerations": [{"operator": "Exists"}],
                "terminationGracePeriodSeconds": 0,
            },
        }
        made = self.cluster.admin.ask("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
        uid: str = made["metadata"]["uid"]
        self._pods[uid] = f"/api/v1/namespaces/{namespace}/pods/{name}"
        return uid

    def run(self, uid: str, **files: Any) -> str:
        """Make the cgroup of a container, name it in the pod's status, and return its path."""
        id_ = f"{int(uid[:8], 16):064x}"
        path = container_path(uid, id_)
        make_cgroup(self.files.root, path, container_files(**files))
        if uid in self._pods:
            known = {"name": "main", "image": "none", "imageID": "", "containerID": f"containerd://{id_}"}
            state = {"ready": True, "restartCount": 0}
            status = {"status": {"containerStatuses": [{**known, **state}]}}
            self.cluster.admin.ask("PATCH", f"{self._pods[uid]}/status", status, MERGE)
        return path

    def end(self, uid: str) -> None:
        """Remove a pod's cgroups."""
        path = self.files.root / "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice"
        slice_ = path / f"kubepods-burstable-pod{uid.replace('-', '_')}.slice"
        for file in sorted(slice_.rglob("*"), reverse=True):
            if file.is_dir():
                file.rmdir()
            else:
                os.truncate(file, 0)
                file.unlink()
        slice_.rmdir()

    # Pressure.

    def trouble(self) -> None:
        """Fill memory and swap: a rule without a window fires."""
        self.files.set(mem_available_bytes=10 * MI, swap_free_bytes=MI)

    def calm(self) -> None:
        self.files.set(mem_available_bytes=GI // 2, swap_free_bytes=512 * MI)

    # Its agent.

    def renew_token(self) -> None:
        """Write a token of the agent's account into the token file, bound to a new agent pod on this node."""
        self._tokens += 1
        name = f"agent-{self.name}-{self._tokens}"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "overbook-node"},
            "spec": {
                "nodeName": self.name,
                "serviceAccountName": "overbook-agent",
                "containers": [{"name": "agent", "image": "none"}],
                "tolerations": [{"operator": "Exists"}],
                "terminationGracePeriodSeconds": 0,
            },
        }
        self.cluster.admin.ask("POST", "/api/v1/namespaces/overbook-node/pods", pod)
        token = self.cluster.plane.token("overbook-node", "overbook-agent", bound_pod=name)
        fresh = self.token_file.with_suffix(".new")
        fresh.write_text(token)
        fresh.rename(self.token_file)

    def revoke_token(self) -> None:
        """Revoke the token by deleting the pod that it is bound to."""
        name = f"agent-{self.name}-{self._tokens}"
        path = f"/api/v1/namespaces/overbook-node/pods/{name}"
        self.cluster.admin.ask("DELETE", path, {"gracePeriodSeconds": 0})

    def start(self, server: str = "", settings: dict[str, Any] | None = None, **more: Any) -> "AgentProcess":
        """Start an agent.

        Args:
            server: the API server's URL, where not its own.
            settings: instead of the quick ones.
            more: settings beside them.
        """
        agent = AgentProcess(self, server or self.cluster.plane.server, {**(settings or QUICK), **more})
        self.agents.append(agent)
        return agent

    def close(self) -> None:
        for agent in self.agents:
            agent.kill()
            print(agent.said)  # shown where a test fails
        self.cluster.plane.kubectl("delete", "overcommitnode", self.name, "--ignore-not-found")
        self.cluster.plane.kubectl("delete", "node", self.name, "--ignore-not-found")


class AgentProcess:
    """A running ``overbook agent``."""

    def __init__(self, worker: Worker, server: str, settings: dict[str, Any]) -> None:
        folder = worker.files.root.parent
        number = len(worker.agents)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        config = folder / f"agent-{number}.yaml"
        config.write_text(yaml.safe_dump(settings))
        kubeconfig = str(folder / f"agent-{number}.kubeconfig")
        authority = worker.cluster.plane.pki.authority_pem
        user = {"tokenFile": str(worker.token_file)}
        write_kubeconfig(kubeconfig, server=server, authority_pem=authority, user=user)
        self.log = folder / f"agent-{number}.log"
        command = [sys.executable, "-m", "overbook", "agent", "--kube", "--kubeconfig", kubeconfig]
        command += ["--config", str(config), "--fsroot", str(worker.files.root), "--node-name", worker.name]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        hidden = {"FSROOT", "VERBOSITY", "NODE_NAME", "KUBERNETES_SERVICE_HOST"}
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, env=environment)  # noqa: S603 - our own argv

    @property
    def said(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> str:
        """Return an endpoint's body, whatever its status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    def metric(self, name: str) -> float | None:
        """Return a single metric, once the agent listens."""
        try:
            found = re.search(rf"^overbook_{name} (\S+)$", self.get("/metrics"), re.MULTILINE)
        except OSError:
            assert self.process.poll() is None, self.said
            return None
        return float(found[1]) if found else None

    def ready(self) -> "AgentProcess":
        """Wait until the agent is ready."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.said
            try:
                return self.get("/readyz") == "ok\n"
            except OSError:
                return False

        self._until(is_ready, "the agent is ready")
        return self

    def says(self, text: str) -> None:
        """Wait until the agent has logged something."""
        self._until(lambda: text in self.said, f"the agent says {text!r}")

    def stop(self) -> str:
        """End the agent by SIGTERM and return its log."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.said
        return self.said

    def kill(self) -> None:
        """Kill the agent."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def resident_mib(self) -> float:
        """Return the agent's resident memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) / 1024

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_for(condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said}") from None


def lasts(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            return False
        time.sleep(0.1)
    return True


def pretty(value: Any) -> str:
    """Format an object for a failure's text."""
    return json.dumps(value, indent=1)
