"""A Kubernetes control plane on this machine: real etcd, API server, controller manager and scheduler.

It listens on loopback only, and ends with its data when the process that started it ends. Several can run at
once. Authorization, admission and credentials are as in production.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from http.client import HTTPException, HTTPSConnection
from ssl import SSLContext, create_default_context
from typing import Final, Self

from overbook_sandbox.cluster import control_plane_arguments as arguments
from overbook_sandbox.cluster.go_programs import Programs, find
from overbook_sandbox.cluster.kubeconfig import write_kubeconfig
from overbook_sandbox.cluster.pki import CertificateFiles, Pki
from overbook_sandbox.cluster.service import Service, ServiceError
from overbook_sandbox.machine.errors import SandboxError

READY_SECONDS: Final = 120.0
"""The time limit for the start of a part on a busy machine; usually all start within 5 s."""

COMPONENTS: Final = ("controller-manager", "scheduler")

_POLL_SECONDS: Final = 0.1
_PROBE_SECONDS: Final = 5.0
_KUBECTL_SECONDS: Final = 120.0
_FIRST_WORK: Final = "/api/v1/namespaces/default/serviceaccounts/default"  # made by the controller manager


class KubectlError(SandboxError):
    """kubectl failed; the text has its error output."""


class ControlPlane:
    """A Kubernetes control plane on this machine.

    Args:
        folder: The folder for data, keys and logs; made if it is missing.
        components: The programs in addition to etcd and the API server.
        programs: The folder of programs; None: `find()`.
        addresses: IP addresses besides loopback by which clients reach the API server (through a forwarded
            port), for its certificate.
        api_server_arguments: Additional arguments for the API server.

    Attributes:
        folder: The folder's absolute path.
        pki: The cluster's authority, also for servers and users of a test.
        port: The API server's port.
        server: The API server's URL.
        kubeconfig: The path of a kubeconfig with all rights.

    Raises:
        SandboxUnavailableError: A program is missing; the text says what to run.
    """

    def __init__(
        self,
        folder: str,
        *,
        components: Sequence[str] = COMPONENTS,
        programs: Programs | None = None,
        addresses: Iterable[str] = (),
        api_server_arguments: Sequence[str] = (),
    ) -> None:
        self.folder = os.path.abspath(folder)
        self._programs = programs or find()
        self.pki = Pki(os.path.join(self.folder, "pki"), (arguments.API_SERVICE_ADDRESS, *addresses))
        self._reserved: list[socket.socket] = []
        self.port = self._reserve_port()
        self.server = f"https://127.0.0.1:{self.port}"
        kubelet_client = self.pki.issue_client("kube-apiserver-kubelet-client", ["system:masters"])
        self._etcd = self._service("etcd", arguments.etcd())
        self._api_server = self._service(
            "kube-apiserver",
            [*arguments.api_server(self.pki, self.port, kubelet_client), *api_server_arguments],
        )
        self._controller_manager = self._scheduler = None
        if "controller-manager" in components:
            config = self.user_kubeconfig("system:kube-controller-manager")
            options = arguments.controller_manager(self.pki, self._reserve_port(), config)
            self._controller_manager = self._service("kube-controller-manager", options)
        if "scheduler" in components:
            config = self.user_kubeconfig("system:kube-scheduler")
            self._scheduler_port = self._reserve_port()
            options = arguments.scheduler(self.pki, self._scheduler_port, config)
            self._scheduler = self._service("kube-scheduler", options)
        administrator = self.pki.issue_client("kubernetes-admin", ["system:masters"])
        self.kubeconfig = self._kubeconfig_of(administrator)
        self._ssl = _client_context(self.pki, administrator)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all components, and wait until they are ready.

        Raises:
            ServiceError: A component ended, or was not ready in time.
        """
        try:
            self._etcd.start()
            self.start_api_server()
            for service in filter(None, (self._controller_manager, self._scheduler)):
                service.start()
            # A component that loses the API server during its start gives up, but not later.
            if self._controller_manager:
                self._wait(self._controller_manager, lambda: self._answers(self.port, _FIRST_WORK))
            if self._scheduler:
                self._wait(self._scheduler, lambda: self._answers(self._scheduler_port, "/readyz"))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all components and delete the data; keys and logs stay."""
        for service in reversed(self._services()):
            service.kill()
        for reserved in self._reserved:
            reserved.close()
        shutil.rmtree(os.path.join(self.folder, "data"), ignore_errors=True)

    def process_ids(self) -> dict[str, int]:
        """The process ids of the components, by name."""
        return {service.name: service.process_id for service in self._services()}

    def require_running(self) -> None:
        """Raise a ServiceError with the end of the log if a component has ended by itself."""
        for service in self._services():
            service.require_running()

    def kill_api_server(self) -> None:
        """Kill the API server; its port refuses connections until it is started again."""
        self._api_server.kill()

    def start_api_server(self, ready_seconds: float = READY_SECONDS) -> None:
        """Start the API server with the same port and etcd as before, and wait until it is ready.

        Args:
            ready_seconds: The time limit.

        Raises:
            ServiceError: The API server ended, or was not ready in time.
        """
        self._api_server.start()
        self._wait(self._api_server, self.ready, ready_seconds)

    def ready(self) -> bool:
        """Whether the API server is ready (`/readyz`)."""
        return self._answers(self.port, "/readyz")

    def kubectl(self, *argv: str, stdin: str | bytes | None = None, kubeconfig: str | None = None) -> str:
        """Run kubectl.

        Args:
            argv: The arguments.
            stdin: The standard input, for `-f -`.
            kubeconfig: The kubeconfig; None: the one with all rights.

        Returns:
            The standard output.

        Raises:
            KubectlError: kubectl failed, or took longer than two minutes.
        """
        command = (self._programs.path("kubectl"), f"--kubeconfig={kubeconfig or self.kubeconfig}", *argv)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        environment = {"HOME": self.folder, "PATH": os.environ.get("PATH", os.defpath)}
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                input=data,
                capture_output=True,
                check=False,
                env=environment,
                timeout=_KUBECTL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {' '.join(argv)}: no end after {_KUBECTL_SECONDS:.0f} s") from error
        if done.returncode:
            errors = done.stderr.decode(errors="replace").strip()
            raise KubectlError(f"kubectl {' '.join(argv)}: {errors or done.returncode}")
        return done.stdout.decode(errors="replace")

    def token(
        self, namespace: str, service_account: str, *, bound_pod: str | None = None, seconds: int = 3600
    ) -> str:
        """Request a service account's token (TokenRequest).

        Args:
            namespace: The account's namespace.
            service_account: The account's name.
            bound_pod: A pod of that account. The token contains the pod and its node, and becomes invalid
                with it.
            seconds: How long the token is valid, at least 600.

        Raises:
            KubectlError: There is no such account or pod.
        """
        bound = () if bound_pod is None else ("--bound-object-kind=Pod", f"--bound-object-name={bound_pod}")
        return self.kubectl(
            *(
                "create",
                "token",
                service_account,
                f"--namespace={namespace}",
                f"--duration={seconds}s",
                *bound,
            )
        ).strip()

    def kubeconfig_for(self, token: str, *, name: str = "token") -> str:
        """Write a kubeconfig that authenticates with a token.

        Args:
            token: A bearer token.
            name: The file's name; an existing file is replaced.

        Returns:
            The file's path.
        """
        return self._write_kubeconfig(name, {"token": token})

    def user_kubeconfig(self, user: str, groups: Iterable[str] = ()) -> str:
        """Write a kubeconfig of a user with a client certificate.

        Args:
            user: The user name, such as `system:node:worker-1`.
            groups: The groups, such as `system:nodes`.

        Returns:
            The file's path.
        """
        return self._kubeconfig_of(self.pki.issue_client(user, groups))

    def _services(self) -> list[Service]:
        optional = (self._controller_manager, self._scheduler)
        return [self._etcd, self._api_server, *filter(None, optional)]

    def _service(self, name: str, options: list[str]) -> Service:
        return Service(name, [self._programs.path(name), *options], self.folder)

    def _reserve_port(self) -> int:
        """Reserve a free port of loopback with a socket that does not listen, so connections are refused."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        self._reserved.append(reserved)
        port: int = reserved.getsockname()[1]
        return port

    def _wait(
        self, service: Service, is_ready: Callable[[], bool], ready_seconds: float = READY_SECONDS
    ) -> None:
        deadline = time.monotonic() + ready_seconds
        while not is_ready():
            self._etcd.require_running()
            service.require_running()
            if time.monotonic() > deadline:
                raise ServiceError(f"{service.name} was not ready after {ready_seconds:.0f} s", service)
            time.sleep(_POLL_SECONDS)

    def _answers(self, port: int, path: str) -> bool:
        connection = HTTPSConnection("127.0.0.1", port, timeout=_PROBE_SECONDS, context=self._ssl)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _kubeconfig_of(self, files: CertificateFiles) -> str:
        name = os.path.basename(files.certificate).removesuffix(".crt")
        return self._write_kubeconfig(
            name, {"client-certificate": files.certificate, "client-key": files.key}
        )

    def _write_kubeconfig(self, name: str, user: dict[str, str]) -> str:
        path = os.path.join(self.folder, f"{name}.kubeconfig")
        write_kubeconfig(path, server=self.server, authority_pem=self.pki.authority_pem, user=user)
        return path


def _client_context(pki: Pki, client: CertificateFiles) -> SSLContext:
    context = create_default_context(cafile=pki.authority)
    context.load_cert_chain(client.certificate, client.key)
    return context
