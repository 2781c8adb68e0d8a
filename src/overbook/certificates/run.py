"""The process that renews the webhook's certificate. It listens on no port."""

import asyncio
import logging
import signal

from overbook.certificates.make_certificate import Wanted
from overbook.certificates.renewer import CertificateRenewer
from overbook.certificates.rotation import Waits
from overbook.certificates.settings import CertificateSettings, service_names
from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config

log = logging.getLogger(__name__)


def run(settings: CertificateSettings) -> None:
    """Renew until SIGTERM or SIGINT.

    Raises:
        InvalidInput: the kubeconfig cannot be used.
        OSError: a file cannot be read.
    """
    asyncio.run(_renew(settings))


async def _renew(settings: CertificateSettings) -> None:
    client = Client(load_config(settings.kubeconfig, settings.context), agent_name="overbook-certificates")
    names = service_names(settings.service, settings.namespace)
    renewer = CertificateRenewer(
        client,
        Wanted(names, ("127.0.0.1", "::1"), settings.certificate_seconds),
        namespace=settings.namespace,
        configuration=settings.configuration,
        waits=Waits(renewal=settings.settle_seconds, loss=settings.loss_seconds),
        poll_seconds=settings.poll_seconds,
    )
    work = asyncio.create_task(renewer.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await asyncio.wait((work,))
        if not work.cancelled():
            work.result()
        log.info("ended")
    finally:
        await client.close()
