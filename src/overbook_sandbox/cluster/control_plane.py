"""A Kubernetes control plane on this machine: real etcd, API server, controller manager and scheduler.

It listens on loopback only and is gone, with what it stored, when the process that started it is. Several can
run at once. Authorization, admission and credentials are those of production.
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
"""How long a part may take to start on a machine that is busy with other things; 5 s are usual for all."""

COMPONENTS: Final = ("controller-manager", "scheduler")

_POLL_SECONDS: Final = 0.1
_PROBE_SECONDS: Final = 5.0
_KUBECTL_SECONDS: Final = 120.0
_FIRST_WORK: Final = "/api/v1/namespaces/default/serviceaccounts/default"  # the controller manager makes it


class KubectlError(SandboxError):
    """kubectl failed; the text is what it said."""


class ControlPlane:
    """A control plane.

    Args:
        folder: For its data, keys and logs; made if it is missing.
        components: What runs beside etcd and the API server.
        programs: The programs; None finds them.
        addresses: IP addresses besides loopback by which clients reach the API server (through a forwarded
            port), for its certificate.
        api_server_arguments: More arguments for the API server.

    Attributes:
        folder: As given, absolute.
        pki: Its authority, for servers and users of a test's own.
        port: The API server's.
        server: URL of the API server.
        kubeconfig: Path of a kubeconfig with all rights.

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
        """Start everything, and wait until all of it works.

        Raises:
            ServiceError: A component ended, or was not ready in time.
        """
        try:
            self._etcd.start()
            self.start_api_server()
            for service in filter(None, (self._controller_manager, self._scheduler)):
                service.start()
            # A component that loses the API server while it starts gives up; later it would not.
            if self._controller_manager:
                self._wait(self._controller_manager, lambda: self._answers(self.port, _FIRST_WORK))
            if self._scheduler:
                self._wait(self._scheduler, lambda: self._answers(self._scheduler_port, "/readyz"))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything and delete what was stored; keys and logs stay."""
        for service in reversed(self._services()):
            service.kill()
        for reserved in self._reserved:
            reserved.close()
        shutil.rmtree(os.path.join(self.folder, "data"), ignore_errors=True)

    def require_running(self) -> None:
        """Raise a ServiceError with the end of its log if a component has ended by itself."""
        for service in self._services():
            service.require_running()

    def kill_api_server(self) -> None:
        """End the API server with SIGKILL; its port refuses connections until it is started again."""
        self._api_server.kill()

    def start_api_server(self, ready_seconds: float = READY_SECONDS) -> None:
        """Start the API server on its port and its etcd, and wait until it is ready.

        Args:
            ready_seconds: How long it may take.

        Raises:
            ServiceError: It ended, or was not ready in time.
        """
        self._api_server.start()
        self._wait(self._api_server, self.ready, ready_seconds)

    def ready(self) -> bool:
        """Whether the API server says that it is ready (`/readyz`)."""
        return self._answers(self.port, "/readyz")

    def kubectl(self, *argv: str, stdin: str | bytes | None = None, kubeconfig: str | None = None) -> str:
        """Run kubectl.

        Args:
            argv: Its arguments.
            stdin: What it reads from `-f -`.
            kubeconfig: Whose rights it has; None means all.

        Returns:
            Its standard output.

        Raises:
            KubectlError: It failed, or took longer than two minutes.
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
            said = done.stderr.decode(errors="replace").strip()
            raise KubectlError(f"kubectl {' '.join(argv)}: {said or done.returncode}")
        return done.stdout.decode(errors="replace")

    def token(
        self, namespace: str, service_account: str, *, bound_pod: str | None = None, seconds: int = 3600
    ) -> str:
        """Ask for a service account's token (TokenRequest).

        Args:
            namespace: The account's.
            service_account: Its name.
            bound_pod: A pod of that account; the token names it and its node, and ends with it.
            seconds: How long it is valid, at least 600.

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
            name: The file's name; a file of that name is replaced.

        Returns:
            Its path.
        """
        return self._write_kubeconfig(name, {"token": token})

    def user_kubeconfig(self, user: str, groups: Iterable[str] = ()) -> str:
        """Write a kubeconfig of a user known by a certificate.

        Args:
            user: User name, such as `system:node:worker-1`.
            groups: Groups, such as `system:nodes`.

        Returns:
            Its path.
        """
        return self._kubeconfig_of(self.pki.issue_client(user, groups))

    def _services(self) -> list[Service]:
        optional = (self._controller_manager, self._scheduler)
        return [self._etcd, self._api_server, *filter(None, optional)]

    def _service(self, name: str, options: list[str]) -> Service:
        return Service(name, [self._programs.path(name), *options], self.folder)

    def _reserve_port(self) -> int:
        """Keep a free port of loopback by a socket that does not listen: connecting to it is refused."""
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
