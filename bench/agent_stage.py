"""The real ``overbook agent`` process with all features on, with a real API server and a kernel of files."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from bench.fake_node import CONTAINERS_PER_POD, POD_MEMORY_BYTES, ease, fill, launcher_pod
from bench.figure import say
from bench.process import free_port, used_mib
from overbook.deploy.installation import Installation
from overbook.deploy.parts import PARTS
from overbook.deploy.yaml_text import yaml_text
from overbook.kernel.kubepods import PodScanner
from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import NAMESPACES, NODES, PODS, Kind
from overbook.kube.api.objects import Namespace
from overbook.nri.connection import NRI_SOCKETS
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.fakes.kernel_files import container_files, container_path, make_cgroup
from overbook_sandbox.fakes.nri_runtime import RuntimeStandIn

NODE: Final = "node-1"
OWN_PODS: Final = 250
CONTAINERS: Final = OWN_PODS * CONTAINERS_PER_POD

_SERVICE_ACCOUNTS: Final = Kind("", "v1", "serviceaccounts", "ServiceAccount", True, Namespace)
_SECONDS: Final = 180.0
# As in an installation, so that the memory for reading YAML is counted.
_SETTINGS: Final = "apiVersion: overbook.dev/v1alpha1\nkind: AgentConfiguration\nswap:\n  percent: 150\n"


class AgentStage:
    """The agent and its environment.

    Attributes:
        cluster: the control plane: etcd and the API server.
        root: the folder with the files of the node's kernel.
        agent: the agent's process.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        root: str,
        runtime: RuntimeStandIn,
        agent: "subprocess.Popen[bytes]",
        port: int,
    ) -> None:
        self.cluster = cluster
        self.root = root
        self.agent = agent
        self._runtime = runtime
        self._port = port

    def metrics(self) -> dict[str, float]:
        """The agent's metrics by name with labels; empty if it does not listen yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        found = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in found}

    def until_tick(self, ticks: int) -> None:
        """Wait until the agent has made that many ticks, knows its pods and has written its status."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            values = self.metrics()
            if values.get("overbook_ticks_total", 0.0) >= ticks:
                assert values["overbook_pods_known"] == OWN_PODS
                assert values["overbook_api_publishes_total"] > 0
                return
            time.sleep(0.5)
        raise TimeoutError(f"the agent did not reach {ticks} ticks")

    def ask(self) -> int:
        """Start a container in each pod. Returns the number of containers."""
        pods = PodScanner(self.root).scan()
        for number, pod in enumerate(pods):
            given = self._runtime.create(pod.uid, "compute", f"{number:064x}")
            assert given is not None, "the agent does not know the pod"
        return len(pods)

    def starve(self) -> None:
        """Fill memory and swap, so that a rule fires."""
        fill(self.root)

    def calm(self) -> None:
        """Free half of the memory and all swap."""
        ease(self.root)

    def resident_mib(self) -> float:
        """The agent's resident memory."""
        return used_mib(self.agent.pid)["Rss"]


@contextmanager
def agent_stage(pods: int, settings: str = "") -> Iterator[AgentStage]:
    """Start the agent and its environment, and end them.

    Args:
        pods: the number of pods in the cluster, with those of the agent's node.
        settings: further lines of the agent's configuration file.

    Raises:
        SandboxUnavailableError: a control plane cannot run here.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="overbook-bench-"))
        cluster = ControlPlane(os.path.join(folder, "cluster"), components=())
        say("starting a control plane")
        stack.enter_context(cluster)
        _install(cluster)
        # An installation begins in Observe; all features are on only in Enforce.
        cluster.kubectl(
            "patch", "overcommit", "cluster", "--type=merge", '--patch={"spec": {"mode": "Enforce"}}'
        )
        say(f"making {pods} pods, {OWN_PODS} of them on {NODE}")
        root = os.path.join(folder, "node")
        ease(root)
        asyncio.run(_fill(cluster, root, pods))
        config, port = os.path.join(folder, "agent.yaml"), free_port()
        with open(config, "w", encoding="utf-8") as file:
            file.write(_SETTINGS + settings)
        runtime = stack.enter_context(RuntimeStandIn(os.path.join(root, NRI_SOCKETS[0])))
        command = [sys.executable, "-m", "overbook", "agent", "--kube", "--kubeconfig", cluster.kubeconfig]
        command += ["--node-name", NODE, "--fsroot", root]
        command += ["--config", config, "--listen", f"127.0.0.1:{port}"]
        with open(os.path.join(folder, "agent.log"), "wb") as log:
            agent = subprocess.Popen(command, stderr=log)  # noqa: S603 - ours
        stack.callback(_end, agent)
        runtime.accept()
        yield AgentStage(cluster, root, runtime, agent, port)


def _install(cluster: ControlPlane) -> None:
    for group, kinds in (("crds", None), ("base", {"Namespace"}), ("overcommit", None)):
        objects = [
            each
            for part in PARTS
            if part.group == group
            for each in part.objects(Installation())
            if not kinds or each["kind"] in kinds
        ]
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml_text(objects))
        if group == "crds":
            cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")


async def _fill(cluster: ControlPlane, root: str, pods: int) -> None:
    client = Client(load_config(cluster.kubeconfig))
    try:
        for number in range(pods // OWN_PODS):
            await client.create(NODES, {"metadata": {"name": f"node-{number + 1}"}})
        for number in range(10):
            name = f"shop-{number}"
            await client.create(NAMESPACES, {"metadata": {"name": name}})
            await client.create(_SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, name)
        numbers = iter(range(pods))
        await asyncio.gather(*(_make_pods(client, root, numbers) for _ in range(8)))
    finally:
        await client.close()


async def _make_pods(client: Client, root: str, numbers: Iterator[int]) -> None:
    for number in numbers:
        pod = launcher_pod(number)
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        pod["spec"]["nodeName"] = f"node-{number // OWN_PODS + 1}"
        pod["spec"]["tolerations"] = [{"operator": "Exists"}]
        made = await client.create(PODS, pod, namespace)
        if number < OWN_PODS:
            await client.merge_patch(PODS, name, {"status": pod["status"]}, namespace, "status")
            # The first pod holds more than it is covered for: it has to leave when memory is short.
            held = 4 * POD_MEMORY_BYTES if number == 0 else POD_MEMORY_BYTES
            _make_cgroups(root, made.metadata.uid or "", pod["status"]["containerStatuses"], held)


def _make_cgroups(root: str, uid: str, statuses: list[dict[str, Any]], compute_bytes: int) -> None:
    for place, status in enumerate(statuses):
        held = compute_bytes if place == 0 else 20 << 20
        files = container_files(memory_current=held, memory_swap_max=0)
        make_cgroup(root, container_path(uid, status["containerID"].partition("://")[2]), files)


def _end(agent: "subprocess.Popen[bytes]") -> None:
    agent.terminate()
    agent.wait(30)
