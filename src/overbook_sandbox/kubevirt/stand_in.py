"""The stand-in as one program: webhook, VMs, evacuation and migrations."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

import msgspec

from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.work_queue import WorkQueue
from overbook_sandbox.kubevirt import manifests
from overbook_sandbox.kubevirt.documents import CONTROLLER, NAMESPACE, SUBRESOURCES
from overbook_sandbox.kubevirt.machines import Machines
from overbook_sandbox.kubevirt.migrations import Migrations
from overbook_sandbox.kubevirt.outage import Outage, Pace
from overbook_sandbox.kubevirt.store import Store
from overbook_sandbox.kubevirt.virt_api import PATH, VirtApi

_HOST: Final = "127.0.0.1"
_NAME: Final = "localhost"
_TOKEN_SECONDS: Final = 24 * 3600


class KubeVirtStandIn:
    """A stand-in for KubeVirt's evictions and migrations.

    Args:
        control_plane: The control plane.
        configuration: The `spec.configuration` of the KubeVirt object.
    """

    def __init__(self, control_plane: ControlPlane, configuration: dict[str, Any] | None = None) -> None:
        self._control_plane = control_plane
        self._configuration = configuration
        self.outage = Outage()
        self.pace = Pace()

    def install(self) -> None:
        """Apply the kinds, the rights and the settings; a second call changes only the settings."""
        self._apply(*manifests.installation())
        self._control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self.configure(self._configuration)

    def configure(self, configuration: dict[str, Any] | None) -> None:
        """Replace KubeVirt's settings.

        Args:
            configuration: The `spec.configuration`; None: KubeVirt's defaults.
        """
        self._apply(manifests.settings(configuration))

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until cancelled.

        Args:
            ready: Called when the webhook and the controllers work.
        """
        plane = self._control_plane
        token = await asyncio.to_thread(plane.token, NAMESPACE, CONTROLLER, seconds=_TOKEN_SECONDS)
        client = Client(
            load_config(plane.kubeconfig_for(token, name=CONTROLLER)), agent_name="virt-controller"
        )
        machines = WorkQueue(workers=1)  # one worker, because it looks for migrations before it makes one
        migrations = WorkQueue()
        store = Store(client, machines.add, migrations.add)
        moving = Migrations(store, self.outage, self.pace)
        try:
            async with (
                VirtApi(client, self.outage).serving(self._tls(), _HOST) as port,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(machines.run(Machines(store, self.outage).look))
                group.create_task(migrations.run(moving.look))
                for reflector in store.reflectors:
                    group.create_task(reflector.run())
                for reflector in store.reflectors:
                    await reflector.wait_synced()
                await asyncio.to_thread(self._register, port)
                ready()
        finally:
            await client.close()

    def _register(self, port: int) -> None:
        authority = self._control_plane.pki.authority_pem
        self._apply(
            manifests.webhooks(f"https://{_HOST}:{port}{PATH}", authority),
            *manifests.served_api(_NAME, port, authority),
        )
        served = f"apiservice/v1.{SUBRESOURCES}"
        self._control_plane.kubectl("wait", "--for=condition=Available", served, "--timeout=60s")

    def _apply(self, *objects: dict[str, Any]) -> None:
        for each in objects:
            self._control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=msgspec.json.encode(each))

    def _tls(self) -> ssl.SSLContext:
        files = self._control_plane.pki.issue_server("virt-api", (manifests.SERVICE_NAME,), (_HOST,))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        return context
