"""The certificate that all replicas share, in a Secret, with its CA in the ``caBundle`` of the API server.

Every few seconds each replica reads the Secret, uses its certificate, and takes the next step if there is
one. If two replicas take a step at once, the second gets a conflict (409) and reads again.
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
"""Includes the 5 minutes by which a CA's validity is dated back; the rest is for slow watches."""

_AUTHORITY_FILE: Final = "ca.crt"
_STAGED: Final = "staged-"
_LOGGED: Final = {
    "Make": "a certificate was made",
    "Stage": "the next certificate is in the Secret, and not used yet",
    "Promote": "the next certificate replaces the old one",
}
_BUSY: Final = (404, 409, 422)
"""Answers after which the next round tries again: not found, conflict, or a failed ``test``."""


class Secret(KubeStruct, frozen=True):
    """A Secret; its values are base64."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"


class ClientConfig(KubeStruct, frozen=True):
    """The part of a webhook's ``clientConfig`` that is used here."""

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
    """A task that keeps the served certificate, the Secret and the ``caBundle`` consistent.

    Args:
        client: to the API server.
        context: the TLS context that serves the certificate.
        wanted: the names and lifetime of a new certificate.
        namespace: the Secret's namespace.
        configuration: the name of the MutatingWebhookConfiguration.
        poll_seconds: the time between two rounds.
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
        """Run until cancelled."""
        while True:
            try:
                while await self._look():
                    pass
            except KubeError as error:
                if not is_status(error, *_BUSY):
                    log.warning("the shared certificate could not be checked: %s", error)
            except (RuntimeError, OSError, ValueError):
                log.exception("the shared certificate could not be checked")
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> bool:
        """Read the Secret, serve its certificate, and take one step. Returns whether there was one."""
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
            log.info("%s", _LOGGED[step])
        return step != "Nothing"

    def _serve(self, held: Held) -> None:
        if held.serving is None or held.serving == self._served:
            return
        use(self._context, held.serving.certificate, held.serving.key)
        log.info("serving the certificate of Secret %s/%s", self._namespace, SECRET_NAME)
        self._served = held.serving
        self.ready.set()

    async def _publish(self, held: Held) -> str:
        """Publish the CA of every certificate that a replica may use. Returns the published bundle."""
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
        log.info("updated the caBundle of %s", self._configuration)
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
