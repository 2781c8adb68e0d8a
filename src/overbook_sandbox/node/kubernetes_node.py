"""A real Kubernetes node in the emulator, with kubelet, containerd and runc, that joins a control plane."""

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from signal import Signals
from typing import Any, Final, NamedTuple, Self

import msgspec

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import NODES
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.go_programs import find
from overbook_sandbox.cluster.kubeconfig import write_kubeconfig
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.errors import NodeError
from overbook_sandbox.machine.image import Image
from overbook_sandbox.machine.image import prepare as prepare_machine
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.packages import Host, Say
from overbook_sandbox.machine.spec import HOST_ADDRESS, NODE_ADDRESS
from overbook_sandbox.node.container_runtime import ContainerRuntime, container_runtime
from overbook_sandbox.node.guest_link import GuestLink
from overbook_sandbox.node.kubernetes_messages import (
    RUNTIME_SCORE,
    CommandAnswer,
    GuestPlan,
    NodeReading,
    Read,
    Run,
    Signal,
    Start,
)
from overbook_sandbox.node.load_image import load_image
from overbook_sandbox.node.node_configuration import (
    CONTAINERD_SOCKET,
    KubernetesNodeSpec,
    containerd_configuration,
    kubelet_arguments,
    kubelet_configuration,
    network_configuration,
)

UP_SECONDS: Final = 300.0
"""The time limit until the node's programs run; usually 20 s on an idle machine."""
READY_SECONDS: Final = 300.0
"""The time limit until the node is Ready after that; usually 10 s."""

PLAN_FILE: Final = "plan.json"
_KUBELET_FILE: Final = "kubelet.json"

_WAIT_FOR_KUBELET: Final = """
import socket, time
while socket.socket().connect_ex(("127.0.0.1", 10250)):
    time.sleep(0.2)
"""
_GUEST_MODULE: Final = "overbook_sandbox.node.kubernetes_guest"
_KEPT_SAMPLES: Final = 7200
_POLL_SECONDS: Final = 0.3


class Parts(NamedTuple):
    """The parts from which a node is made.

    Attributes:
        machine: The image to boot.
        runtime: containerd and its helper programs.
        load_archive: The path of the archive with the pods' image.
    """

    machine: Image
    runtime: ContainerRuntime
    load_archive: str


def prepare(
    *, install_packages: bool = False, say: Say | None = None, environment: Mapping[str, str] = os.environ
) -> Parts:
    """Fetch and build the missing parts, except Kubernetes' own programs; fast if none is missing.

    Args:
        install_packages: Whether apt-get may install missing packages.
        say: Receives a line for each step.
        environment: May contain the cache folder.

    Raises:
        SandboxUnavailableError: A missing part may not or cannot be installed or fetched.
    """
    host = Host(install=install_packages, say=say or (lambda _line: None))
    cache = cache_folder(environment)
    return Parts(
        prepare_machine(install_packages=install_packages, say=say, environment=environment),
        container_runtime(host, cache),
        load_image(host, cache),
    )


class KubernetesNode:
    """A node that joins a control plane.

    Args:
        cluster: The control plane, whose certificate is valid for `spec.HOST_ADDRESS`.
        spec: The node.
        parts: The node's parts.
        folder: A folder shared with the node, for configuration and logs; made if it is missing. Its files
            are at the same paths on the host and in the node.

    Attributes:
        samples: The samples of the node's kernel, oldest first, up to four hours of them.
        boot_seconds: The time from the start until the programs run.
        ready_seconds: The time from the start until the Node object is Ready.

    Raises:
        SandboxUnavailableError: There is no kubelet; the text says which command builds it.
    """

    def __init__(self, cluster: ControlPlane, spec: KubernetesNodeSpec, parts: Parts, folder: str) -> None:
        self.spec = spec
        self.folder = os.path.abspath(folder)
        self.samples: deque[NodeReading] = deque(maxlen=_KEPT_SAMPLES)
        self.boot_seconds = self.ready_seconds = 0.0
        self._cluster = cluster
        self._parts = parts
        self._ctr = (parts.runtime.path("ctr"), "--namespace=k8s.io")
        self._link = self._connect()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Boot the node and wait until the Node object is Ready.

        Raises:
            NodeError: The node was not Ready in time; the text has the last lines of its logs.
        """
        begun = time.monotonic()
        try:
            self._link.open(UP_SECONDS)
            self.boot_seconds = time.monotonic() - begun
            asyncio.run(self._become_ready(time.monotonic() + READY_SECONDS))
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.monotonic() - begun

    def stop(self) -> None:
        """End the node, as a power cut would; its Node object stays."""
        self._link.close()

    def run(
        self, *argv: str, environment: Mapping[str, str] | None = None, seconds: float = 60.0
    ) -> CommandAnswer:
        """Run a program in the node, as root and outside any pod, to its end.

        Raises:
            NodeError: The program could not be started or took too long.
        """
        return self._link.ask(
            Run(number=0, argv=argv, environment=dict(environment or {}), seconds=seconds), seconds
        )

    def read(self, *paths: str) -> dict[str, str | None]:
        """The contents of files of the node; None for a missing file."""
        return self._link.ask(Read(number=0, paths=paths)).contents

    def signal(self, cgroup: str, number: Signals) -> int:
        """Send a signal to all processes below a cgroup. Returns their number."""
        return self._link.ask(Signal(number=0, cgroup=cgroup, signal=number)).status

    def start_service(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        oom_score_adj: int = 0,
    ) -> int:
        """Start a program in `system.slice/NAME.service`; its log is `NAME.log` in the folder.

        Returns:
            The process id in the node.
        """
        self._link.forget(name)
        command = Start(
            number=0,
            name=name,
            argv=tuple(argv),
            environment=dict(environment or {}),
            oom_score_adj=oom_score_adj,
        )
        return self._link.ask(command).status

    def stop_service(self, name: str, number: Signals = Signals.SIGTERM, seconds: float = 60.0) -> int:
        """Send a signal to a service and wait for its end. Returns its exit status."""
        self.signal(f"system.slice/{name}.service", number)
        return self._link.wait_ended(name, seconds)

    def restart_kubelet(self, **fields: Any) -> None:
        """Restart the kubelet with some changed fields of its configuration, and wait until it listens.

        The node's containers keep running.

        Args:
            fields: The changed fields of the configuration file, by name.

        Raises:
            NodeError: The kubelet does not end, or does not listen again.
        """
        path = os.path.join(self.folder, _KUBELET_FILE)
        with open(path, "rb") as file:
            configuration = msgspec.json.decode(file.read())
        self._write_json(_KUBELET_FILE, {**configuration, **fields})
        self.stop_service("kubelet")
        self.start_service("kubelet", self._plan.kubelet, oom_score_adj=RUNTIME_SCORE)
        self.run(sys.executable, "-I", "-S", "-c", _WAIT_FOR_KUBELET, seconds=READY_SECONDS)

    def stop_containerd(self, number: Signals = Signals.SIGTERM) -> None:
        """End only containerd, as its unit does; the containers keep running.

        Raises:
            NodeError: containerd does not end.
        """
        procs = "/sys/fs/cgroup/system.slice/containerd.service/cgroup.procs"
        # The first process of its cgroup; the others are the containers' shims.
        pid = min(int(line) for line in (self.read(procs)[procs] or "").split())
        self._link.forget("containerd")
        # The shell's built-in `kill`, since not every Debian has such a program.
        self.run("/bin/sh", "-c", f"kill -{number.value} {pid}")
        self._link.wait_ended("containerd", UP_SECONDS)

    def start_containerd(self) -> None:
        """Start containerd again, without waiting for it."""
        self.start_service("containerd", self._plan.containerd, oom_score_adj=RUNTIME_SCORE)

    def ctr(self, *words: str) -> str:
        """Run containerd's client in the kubelet's namespace, such as `images import --local FILE`.

        Returns:
            The client's output.

        Raises:
            NodeError: The client failed.
        """
        done = self.run(*self._ctr, *words, seconds=READY_SECONDS)
        if done.status:
            raise NodeError(f"ctr {' '.join(words)}: {done.output}", self.log_tail("containerd"))
        return done.output

    def service_status(self, name: str) -> int | None:
        """The exit status of a service; None while it runs."""
        return self._link.ended(name)

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]:
        """The last lines of a service's log."""
        try:
            with open(
                os.path.join(self.folder, f"{service}.log"), encoding="utf-8", errors="replace"
            ) as file:
                return tuple(line.rstrip() for line in deque(file, maxlen=lines))
        except FileNotFoundError:
            return ()

    def write_kubeconfig(self, name: str, user: Mapping[str, str]) -> str:
        """Write a kubeconfig with which a program in the node reaches the API server.

        Args:
            name: The file's name in the folder.
            user: The user's entry: `token`, or `client-certificate` and `client-key` with paths.

        Returns:
            The file's path, on the host and in the node.
        """
        path = os.path.join(self.folder, name)
        server = f"https://{HOST_ADDRESS}:{self._cluster.port}"
        write_kubeconfig(path, server=server, authority_pem=self._cluster.pki.authority_pem, user=user)
        return path

    async def _become_ready(self, deadline: float) -> None:
        client = Client(load_config(self._cluster.kubeconfig))
        try:
            while not await _is_ready(client, self.spec.name):
                if self._link.ended("kubelet") is not None:
                    raise NodeError("the kubelet has ended", self.log_tail("kubelet"))
                if time.monotonic() > deadline:
                    problem = f"node {self.spec.name} is not Ready after {READY_SECONDS:.0f} s"
                    raise NodeError(problem, self.log_tail("kubelet"))
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await client.close()

    def _connect(self) -> GuestLink:
        network = os.path.join(self.folder, "network")
        os.makedirs(network, exist_ok=True)
        runtime, pki = self._parts.runtime, self._cluster.pki
        user = pki.issue_client(f"system:node:{self.spec.name}", ["system:nodes"])
        serving = pki.issue_server(f"kubelet-{self.spec.name}", [self.spec.name], [NODE_ADDRESS, "127.0.0.1"])
        kubeconfig = self.write_kubeconfig(
            "kubelet.kubeconfig", {"client-certificate": user.certificate, "client-key": user.key}
        )
        containerd = self._write("containerd.toml", containerd_configuration(runtime, network).encode())
        kubelet = self._write_json(_KUBELET_FILE, kubelet_configuration(self.spec, pki.authority, serving))
        self._write_json("network/pods.conflist", network_configuration())
        self._plan = plan = GuestPlan(
            containerd=(runtime.path("containerd"), f"--config={containerd}"),
            socket=CONTAINERD_SOCKET,
            import_image=(*self._ctr, "images", "import", "--local", self._parts.load_archive),
            kubelet=(
                find().path("kubelet"),
                *kubelet_arguments(self.spec, configuration=kubelet, kubeconfig=kubeconfig),
            ),
            sample_seconds=self.spec.sample_seconds,
        )
        job = Job(
            argv=(sys.executable, "-m", _GUEST_MODULE, self._write_json(PLAN_FILE, plan)),
            share=self.folder,
            environment={},
            directory=self.folder,
            takes_input=True,
        )
        machine = msgspec.structs.replace(self.spec.machine, network=True)
        return GuestLink(Machine(self._parts.machine, machine, job), self.samples.append)

    def _write_json(self, name: str, content: Any) -> str:
        return self._write(name, msgspec.json.encode(content))

    def _write(self, name: str, content: bytes) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content)
        return path


async def _is_ready(client: Client, name: str) -> bool:
    try:
        node = await client.get(NODES, name)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or ())
