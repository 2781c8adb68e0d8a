"""The certificate that all replicas share: a Secret, and the ``caBundle`` by which the API server knows it.

Each replica looks every few seconds, does the next step if there is one, and takes what is there. Whoever
is second finds the Secret changed (409) and looks again.
"""

import asyncio
import base64
import logging
import ssl
import time
from typing import Any, Final

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError, is_status
from overbook.kube.api.kinds import Kind
from overbook.webhook.make_certificate import Certificate, Wanted, make
from overbook.webhook.rotation import Held, next_step, wanted_bundle
from overbook.webhook.tls import CERTIFICATE_FILE, KEY_FILE, use

log = logging.getLogger(__name__)

SECRET_NAME: Final = "overbook-webhook-tls"  # noqa: S105 - a name
POLL_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 900.0
"""A CA's life begins 5 minutes before it is made, for slow clocks; the rest is for slow watches."""

_AUTHORITY_FILE: Final = "ca.crt"
_STAGED: Final = "staged-"
_BUSY: Final = (404, 409, 422)
"""Answers after which the next look tells more: gone, changed meanwhile, a ``test`` that did not hold."""


class Secret(KubeStruct, frozen=True):
    """A Secret; its values are base64."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"


class ClientConfig(KubeStruct, frozen=True):
    """How the API server reaches a webhook, as far as it concerns us."""

    ca_bundle: str | None = None


class WebhookEntry(KubeStruct, frozen=True):
    """One webhook of a configuration."""

    client_config: ClientConfig = ClientConfig()


class WebhookConfiguration(KubeStruct, frozen=True):
    """A ``MutatingWebhookConfiguration``."""

    metadata: ObjectMeta = ObjectMeta()
    webhooks: tuple[WebhookEntry, ...] | None = None


SECRETS: Final = Kind("", "v1", "secrets", "Secret", True, Secret)
CONFIGURATIONS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    False,
    WebhookConfiguration,
)


class SharedCertificate:
    """Keeps the certificate served, the Secret and the ``caBundle`` in step.

    Args:
        client: to the API server.
        context: that serves the certificate.
        wanted: what a certificate is to be for.
        namespace: of the Secret.
        configuration: name of the MutatingWebhookConfiguration.
        poll_seconds: between two looks.
        settle_seconds: see :func:`next_step`.
    """

    def __init__(
        self,
        client: Client,
        context: ssl.SSLContext,
        wanted: Wanted,
        *,
        namespace: str,
        configuration: str,
        poll_seconds: float = POLL_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._client = client
        self._context = context
        self._wanted = wanted
        self._namespace = namespace
        self._configuration = configuration
        self._poll_seconds = poll_seconds
        self._settle_seconds = settle_seconds
        self._served: Certificate | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while await self._look():
                    pass
            except KubeError as error:
                if not is_status(error, *_BUSY):
                    log.warning("the shared certificate: %s", error)
            except (RuntimeError, OSError, ValueError):
                log.exception("the shared certificate")
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> bool:
        """See what there is, take it, and do one step; whether there was one to do."""
        try:
            secret = await self._client.get(SECRETS, SECRET_NAME, self._namespace)
        except KubeError as error:
            if not is_status(error, 404):
                raise
            secret = None
        held = _held(secret)
        self._serve(held)
        bundle = await self._publish(held)
        step = next_step(held, bundle, time.time(), self._settle_seconds)
        match step:
            case "Make":
                await self._write(secret, {"": await make(self._wanted), _STAGED: None})
            case "Stage":
                await self._write(secret, {_STAGED: await make(self._wanted)})
            case "Promote":
                await self._write(secret, {"": held.staged, _STAGED: None})
        if step != "Nothing":
            log.info("certificate: %s", {"Make": "made", "Stage": "next one staged"}.get(step, "promoted"))
        return step != "Nothing"

    def _serve(self, held: Held) -> None:
        if held.serving is None or held.serving == self._served:
            return
        use(self._context, held.serving.certificate, held.serving.key)
        log.info("serving the certificate of Secret %s/%s", self._namespace, SECRET_NAME)
        self._served = held.serving
        self.ready.set()

    async def _publish(self, held: Held) -> str:
        """Have every CA that a replica may show in the configuration; gives the bundle that is there then."""
        try:
            found = await self._client.get(CONFIGURATIONS, self._configuration)
        except KubeError as error:
            if is_status(error, 404):
                return ""  # not installed yet
            raise
        bundles = [_decoded(one.client_config.ca_bundle) for one in found.webhooks or ()]
        wanted = wanted_bundle(held, "".join(bundles), time.time())
        outdated = [number for number, bundle in enumerate(bundles) if bundle != wanted]
        if not outdated or held.serving is None:
            return wanted if bundles else ""
        encoded = base64.b64encode(wanted.encode()).decode()
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version}
        ]
        operations += [
            {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": encoded}
            for number in outdated
        ]
        await self._client.json_patch(CONFIGURATIONS, self._configuration, operations)
        log.info("caBundle of %s brought up to date", self._configuration)
        return wanted

    async def _write(self, secret: Secret | None, pairs: dict[str, Certificate | None]) -> None:
        data: dict[str, str | None] = {}
        for prefix, pair in pairs.items():
            for name, text in (
                (CERTIFICATE_FILE, pair and pair.certificate),
                (KEY_FILE, pair and pair.key),
                (_AUTHORITY_FILE, pair and pair.authority),
            ):
                data[prefix + name] = base64.b64encode(text.encode()).decode() if text else None
        if secret is None:
            manifest = {
                "metadata": {"name": SECRET_NAME, "namespace": self._namespace},
                "type": "Opaque",
                "data": data,
            }
            await self._client.create(SECRETS, manifest)
            return
        patch = {"metadata": {"resourceVersion": secret.metadata.resource_version}, "data": data}
        await self._client.merge_patch(SECRETS, SECRET_NAME, patch, self._namespace)


def _held(secret: Secret | None) -> Held:
    data = (secret and secret.data) or {}
    return Held(_pair(data, ""), _pair(data, _STAGED))


def _pair(data: dict[str, str], prefix: str) -> Certificate | None:
    texts = [_decoded(data.get(prefix + name)) for name in (_AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE)]
    return Certificate(*texts) if all(texts) else None


def _decoded(encoded: str | None) -> str:
    return base64.b64decode(encoded or "").decode(errors="replace")
