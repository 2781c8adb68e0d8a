"""Memory of the real ``overbook agent`` process with everything on: its pods come from a real API server."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from bench.fake_node import CONTAINERS_PER_POD, MEMORY_BYTES, POD_MEMORY_BYTES, launcher_pod
from bench.figure import Benchmark, Figure, say
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.testing import container_files, container_path, make_cgroup, make_node
from overbook.kube.client import Client
from overbook.kube.configuration import load_config
from overbook.kube.kinds import NAMESPACES, NODES, PODS, Kind
from overbook.kube.objects import Namespace
from overbook.lifecycle.installation import Installation
from overbook.lifecycle.parts import PARTS
from overbook.lifecycle.yaml_text import yaml_text
from overbook.runtime.nri_socket import NRI_SOCKETS
from overbook.runtime.testing import RuntimeStandIn
from overbook.sandbox.control_plane import ControlPlane
from overbook.sandbox.errors import SandboxUnavailableError

COMMAND = "python -m bench api"
MOST_MIB = 45.0
OWN_PODS = 250
ALL_PODS, QUICK_PODS = 5000, 1000
SETTLED_TICKS = 20
"""At the usual interval of 1 s: the window of 10 s is full."""
NODE = "node-1"
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount", True, Namespace)


def run(quick: bool) -> Iterator[Figure]:
    pods = QUICK_PODS if quick else ALL_PODS
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="overbook-bench-"))
        try:
            cluster = ControlPlane(os.path.join(root, "cluster"), components=())
        except SandboxUnavailableError as error:
            say(str(error))
            return
        say("starting a control plane")
        stack.enter_context(cluster)
        _install(cluster)
        # What is installed begins by observing; everything is on only where it acts.
        cluster.kubectl(
            "patch", "overcommit", "cluster", "--type=merge", '--patch={"spec": {"mode": "Enforce"}}'
        )
        say(f"making {pods} pods, {OWN_PODS} of them on {NODE}")
        asyncio.run(_fill(cluster, os.path.join(root, "node"), pods))
        port = _free_port()
        node = os.path.join(root, "node")
        runtime = stack.enter_context(RuntimeStandIn(os.path.join(node, NRI_SOCKETS[0])))
        command = [sys.executable, "-m", "overbook", "agent", "--kube", "--kubeconfig", cluster.kubeconfig]
        command += ["--node-name", NODE, "--fsroot", node]
        command += ["--config", _config(root), "--listen", f"127.0.0.1:{port}"]
        with open(os.path.join(root, "agent.log"), "wb") as log:
            agent = subprocess.Popen(command, stderr=log)  # noqa: S603 - ours
        stack.callback(_end, agent)
        runtime.accept()
        _until(port, SETTLED_TICKS)
        asked = _ask(runtime, node)
        yield Figure(
            name=f"resident memory, {OWN_PODS} pods of {pods}, API on",
            value=round(_resident(agent.pid), 1),
            unit="MiB",
            at_most=MOST_MIB,
            command=COMMAND,
            note=f"{OWN_PODS * CONTAINERS_PER_POD} containers; after {SETTLED_TICKS} ticks and {asked} "
            "questions of the runtime",
        )
        _starve(node)
        _until(port, 2 * SETTLED_TICKS)
        yield Figure(
            name="the same with a request standing",
            value=round(_resident(agent.pid), 1),
            unit="MiB",
            at_most=MOST_MIB,
            command=COMMAND,
            note="decision, status, taint and events written",
        )


def _config(root: str) -> str:
    """Settings as an installation has them, so that what reads YAML is counted."""
    path = os.path.join(root, "agent.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("apiVersion: overbook.dev/v1alpha1\nkind: AgentConfiguration\nswap:\n  percent: 150\n")
    return path


def _install(cluster: ControlPlane) -> None:
    for group, kinds in (("crds", None), ("base", {"Namespace", "Overcommit"})):
        parts = [part for part in PARTS if part.group == group]
        objects = [
            each
            for part in parts
            for each in part.objects(Installation())
            if not kinds or each["kind"] in kinds
        ]
        for _ in range(100):
            try:
                cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml_text(objects))
                break
            except SandboxUnavailableError:
                raise
            except Exception:  # noqa: BLE001 - discovery follows a definition within seconds
                time.sleep(0.2)


async def _fill(cluster: ControlPlane, root: str, pods: int) -> None:
    make_node(
        root,
        mem_total_bytes=MEMORY_BYTES,
        mem_available_bytes=MEMORY_BYTES // 2,
        swap_total_bytes=MEMORY_BYTES // 2,
        swap_free_bytes=MEMORY_BYTES // 2,
    )
    client = Client(load_config(cluster.kubeconfig))
    try:
        for number in range(pods // OWN_PODS):
            await client.create(NODES, {"metadata": {"name": f"node-{number + 1}"}})
        for number in range(10):
            name = f"shop-{number}"
            await client.create(NAMESPACES, {"metadata": {"name": name}})
            await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, name)
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
            _make_cgroups(root, made.metadata.uid or "", pod["status"]["containerStatuses"])


def _make_cgroups(root: str, uid: str, statuses: list[dict[str, Any]]) -> None:
    for place, status in enumerate(statuses):
        held = POD_MEMORY_BYTES if place == 0 else 20 << 20
        files = container_files(memory_current=held, memory_swap_max=0)
        make_cgroup(root, container_path(uid, status["containerID"].partition("://")[2]), files)


def _ask(runtime: RuntimeStandIn, root: str) -> int:
    """Have each pod start a container; how many did."""
    pods = PodScanner(root).scan()
    for number, pod in enumerate(pods):
        given = runtime.create(pod.uid, "compute", f"{number:064x}")
        assert given is not None, "the agent does not know the pod"
    return len(pods)


def _starve(root: str) -> None:
    make_node(
        root,
        mem_total_bytes=MEMORY_BYTES,
        mem_available_bytes=MEMORY_BYTES // 100,
        swap_total_bytes=MEMORY_BYTES // 2,
        swap_free_bytes=MEMORY_BYTES // 200,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _until(port: int, ticks: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            time.sleep(0.2)  # it does not listen yet
            continue
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        if float(values["overbook_ticks_total"]) >= ticks:
            assert float(values["overbook_pods_known"]) == OWN_PODS
            assert float(values["overbook_api_publishes_total"]) > 0
            return
        time.sleep(0.5)
    raise TimeoutError(f"the agent did not reach {ticks} ticks")


def _resident(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def _end(agent: "subprocess.Popen[bytes]") -> None:
    agent.terminate()
    agent.wait(30)


BENCHMARK = Benchmark("api", "Memory of the agent on a real API server", run)
