"""The webhook's process: its start, its work and its end."""

import asyncio
import gc
import logging
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import uvloop

from overbook.certificates import make_certificate
from overbook.core.errors import InvalidInput
from overbook.probes import answers
from overbook.probes.in_event_loop import ProbesInEventLoop
from overbook.webhook import tls, tls_profile
from overbook.webhook.endpoints import OVERRIDE_PATH, review_handler
from overbook.webhook.limits import limits_for, memory_limit
from overbook.webhook.manifests import read_documents, take
from overbook.webhook.metrics import WebhookMetrics
from overbook.webhook.policies import Policies
from overbook.webhook.review import Reviewer
from overbook.webhook.server import Server
from overbook.webhook.settings import WebhookSettings

if TYPE_CHECKING:
    from overbook.kube.api.client import Client
    from overbook.webhook.cluster import ClusterWatch

log = logging.getLogger(__name__)


def run(settings: WebhookSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InvalidInput: a setting or a manifest cannot be used.
        OSError: a file cannot be read, or the address cannot be used.
    """
    if bool(settings.certificate_folder) == settings.self_signed:
        raise InvalidInput(
            "--certificates, --self-signed",
            settings.certificate_folder,
            "one of the two: a folder with tls.crt and tls.key, or self-signed certificates",
        )
    if settings.self_signed and not settings.manifests:
        raise InvalidInput(
            "--self-signed",
            "without --manifests",
            "it only without a cluster; in a cluster `overbook certificates` makes the certificate, and"
            " --certificates DIR names the folder where its Secret is mounted",
        )
    uvloop.run(WebhookServer(settings).serve())


class WebhookServer:
    """The webhook's server process."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._policies = Policies(settings.mode, settings.virtual_machine_makers)
        self._metrics = WebhookMetrics()
        self._reviews = Server(
            review_handler(Reviewer(self._policies, self._metrics)), limits_for(memory_limit())
        )
        self._ports = self._status_ports()
        self._context = tls.server_context()
        if settings.client_ca_file is not None:
            tls.require_clients(self._context, settings.client_ca_file)
        tls_profile.restrict(self._context, settings.tls_min_version, settings.tls_cipher_suites)
        self._watch: ClusterWatch | None = None
        self._client: Client | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Start, serve, drain and stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        try:
            self._read_files()
            for port in self._ports:
                port.start()
            if not self._settings.manifests:
                self._follow_cluster()
            if await self._has_certificate():
                await self._reviews.start(self._settings.host, self._settings.port, self._context)
                log.info("reviews: https, port %d, %s", self._reviews.port, OVERRIDE_PATH)
                await self._settle()
                await self._ended.wait()
                await self._drain()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.close()

    def _read_files(self) -> None:
        settings = self._settings
        paths = [*settings.manifests, *([settings.override_file] if settings.override_file else [])]
        if paths:
            taken = take(self._policies, read_documents(paths))
            log.info("%d overrides in %s", taken.number, ", ".join(paths))
            for note in taken.notes:
                log.warning("%s", note)

    def _follow_cluster(self) -> None:
        """Start the watch of the cluster. The client is imported only here, because files need none."""
        from overbook.kube.api.client import Client  # noqa: PLC0415 - loaded only where it is needed
        from overbook.kube.api.find_cluster import load_config  # noqa: PLC0415 - loaded only where it is needed
        from overbook.webhook.cluster import ClusterWatch  # noqa: PLC0415

        settings = self._settings
        self._client = Client(load_config(settings.kubeconfig), agent_name="overbook-webhook")
        self._watch = ClusterWatch(
            self._client,
            self._policies,
            overrides=settings.override_file is None,
            discovery_seconds=settings.discovery_seconds,
        )
        self._start(self._watch.run())

    async def _has_certificate(self) -> bool:
        """Wait for the first certificate. Returns False if the process is stopped before."""
        settings = self._settings
        if settings.certificate_folder is None:
            made = await make_certificate.make(self._wanted())
            tls.use(self._context, made.certificate, made.key)
            return not self._ended.is_set()
        folder = tls.CertificateFolder(self._context, settings.certificate_folder)
        if settings.manifests:
            folder.load()  # a wrong folder is an error; in a cluster the certificate may be made later
        self._start(folder.keep_current(settings.certificate_poll_seconds))
        loaded = asyncio.create_task(folder.loaded.wait())
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait((loaded, ended), return_when=asyncio.FIRST_COMPLETED)
        loaded.cancel()
        ended.cancel()
        return not self._ended.is_set()

    async def _settle(self) -> None:
        """Wait until all policies are known, and then exclude the present objects from garbage collection."""
        ended = asyncio.create_task(self._ended.wait())
        while self._not_ready() and not ended.done():
            await asyncio.wait((ended,), timeout=0.1)
        ended.cancel()
        gc.collect()
        gc.freeze()
        log.info("ready")

    async def _drain(self) -> None:
        """Answer the remaining requests, each with ``Connection: close``, for the drain time."""
        self._reviews.draining = True
        log.info("draining for %g s", self._settings.drain_seconds)
        await asyncio.sleep(self._settings.drain_seconds)
        await self._reviews.stop()
        for port in self._ports:
            port.close()
        log.info("ended")

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._failed)
        self._tasks.append(task)

    def _failed(self, task: asyncio.Task[Any]) -> None:
        """Stop the process if one of its tasks ends, which should not happen; Kubernetes starts it again."""
        if not task.cancelled() and not self._ended.is_set():
            log.error("a task of the webhook ended unexpectedly", exc_info=task.exception())
            self._ended.set()

    def _wanted(self) -> make_certificate.Wanted:
        settings = self._settings
        return make_certificate.Wanted(settings.dns_names, ("127.0.0.1", "::1"), settings.certificate_seconds)

    def _not_ready(self) -> str:
        if self._reviews.draining:
            return "draining"
        if not self._reviews.port:
            return "there is no certificate yet"
        missing = self._watch.not_synced() if self._watch is not None else ""
        return missing and f"not known yet: {missing}"

    def _status_ports(self) -> list[ProbesInEventLoop]:
        """The port for metrics and health, and the one for health alone."""
        settings = self._settings
        health = {
            "/healthz": lambda: answers.health(""),
            "/readyz": lambda: answers.health(self._not_ready()),
        }
        status = {**health, "/metrics": lambda: answers.metrics(self._exposition())}
        example = "an address and a free port"
        ports = [
            ProbesInEventLoop(
                f"[{settings.host}]:{settings.status_port}", status, "--host, --status-port", example
            )
        ]
        if settings.probe_port is not None:
            ports.append(
                ProbesInEventLoop(
                    f"[{settings.host}]:{settings.probe_port}", health, "--host, --probe-port", example
                )
            )
        return ports

    def _exposition(self) -> bytes:
        return self._metrics.render(
            self._reviews.responses,
            ready=not self._not_ready(),
            connections=self._reviews.connections,
            dropped=self._reviews.dropped,
        )
