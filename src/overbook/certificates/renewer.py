"""The renewal of the certificate in the Secret, whose CA is in the ``caBundle`` of the API server.

Every few seconds the renewer reads both, publishes the CAs that are missing, and takes the next step of
:mod:`overbook.certificates.rotation` if there is one. If two processes take a step at once, the second gets a
conflict (409) and reads again.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from overbook.certificates.make_certificate import Certificate, Wanted, make
from overbook.certificates.objects import (
    CONFIGURATIONS,
    SECRETS,
    STAGED,
    Secret,
    WebhookConfiguration,
    entries,
    pair_of,
)
from overbook.certificates.rotation import Held, Step, Waits, next_step, split, wanted_bundle
from overbook.certificates.settings import SECRET_NAME
from overbook.core.say_once import SayOnce
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.kinds import Kind, T

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 10.0
MOST_STEPS: Final = 4
"""The most steps without a pause: a step that another program undoes at once must not fill a core."""
_CONFLICT: Final = 409


class CertificateRenewer:
    """A task that keeps the webhook's certificate valid, and the CA in the API server's configuration.

    Args:
        client: to the API server.
        wanted: the names and lifetime of a new certificate; by the first name the API server calls.
        namespace: the Secret's namespace.
        configuration: the name of the MutatingWebhookConfiguration.
        waits: how long a new CA is published before its certificate is used.
        poll_seconds: the time between two rounds.
        clock: seconds that only grow.
        wall_clock: seconds since 1970.
        make: makes a certificate.
    """

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        *,
        namespace: str,
        configuration: str,
        waits: Waits,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        make: Callable[[Wanted], Awaitable[Certificate]] = make,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._namespace = namespace
        self._configuration = configuration
        self._waits = waits
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._make = make
        self._known: dict[str, float] = {}
        self._problems = SayOnce(log.warning)

    async def run(self) -> None:
        """Run until cancelled. The same problem is logged once."""
        while True:
            try:
                for _ in range(MOST_STEPS):
                    if await self.take_step() == "Nothing":
                        break
                self._problems.over("round")
            except KubeError as error:
                if isinstance(error, ApiError) and (error.is_not_found or error.status == _CONFLICT):
                    log.info("another program changed an object meanwhile: %s", error)
                else:
                    self._problems(f"the certificate could not be checked: {error}", "round")
            except RuntimeError as error:
                self._problems(f"no certificate could be made: {error}", "round")
            except Exception:
                log.exception("the certificate could not be checked")
            await asyncio.sleep(self._poll_seconds)

    async def take_step(self) -> Step:
        """Read both objects, publish what is missing, and take one step."""
        secret = await self._read(SECRETS, SECRET_NAME, self._namespace)
        held = self._held(secret)
        bundle = await self._publish(held)
        since = self._known.get(held.staged.authority) if held.staged is not None else None
        known_seconds = self._clock() - since if since is not None else 0.0
        step = next_step(held, bundle, self._wall_clock(), known_seconds, self._waits)
        if step == "Stage":
            await self._write(secret, entries(STAGED, await self._make(self._wanted)))
            log.info("the next certificate is in the Secret, and not used yet")
        elif step == "Promote":
            await self._write(secret, entries("", held.staged) | entries(STAGED, None))
            log.info("the next certificate is used from now on")
        return step

    async def _read(self, kind: Kind[T], name: str, namespace: str | None = None) -> T | None:
        try:
            return await self._client.get(kind, name, namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    def _held(self, secret: Secret | None) -> Held:
        """The certificates in the Secret that can be used; why one cannot is logged."""
        data = (secret and secret.data) or {}
        pairs = []
        for prefix in ("", STAGED):
            pair, reason = pair_of(data, prefix, self._wanted.dns_names[0])
            if reason:
                place = f"Secret {self._namespace}/{SECRET_NAME}"
                self._problems(f"{place}: unusable, and will be replaced: {reason}", prefix)
            else:
                self._problems.over(prefix)
            pairs.append(pair)
        return Held(*pairs)

    async def _publish(self, held: Held) -> str | None:
        """Publish the CA of every certificate that a server may use.

        Returns:
            The published bundle; ``None``: nothing calls the webhook.
        """
        found = await self._read(CONFIGURATIONS, self._configuration)
        bundles = found.bundles() if found is not None else []
        if found is None or not bundles:
            self._known.clear()
            return None
        present = set[str].intersection(*(set(split(one)) for one in bundles))
        self._known = {one: since for one, since in self._known.items() if one in present}
        bundle = "".join(bundles)
        if held != Held():
            bundle = wanted_bundle(held, bundle, self._wall_clock())
            outdated = [number for number, one in enumerate(bundles) if one != bundle]
            if outdated:
                await self._write_bundle(found, outdated, bundle)
        now = self._clock()
        self._known = {one: self._known.get(one, now) for one in split(bundle)}
        return bundle

    async def _write_bundle(self, found: WebhookConfiguration, outdated: list[int], bundle: str) -> None:
        encoded = base64.b64encode(bundle.encode()).decode()
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version}
        ]
        operations += [
            {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": encoded}
            for number in outdated
        ]
        await self._client.json_patch(CONFIGURATIONS, self._configuration, operations)
        log.info("updated the caBundle of %s", self._configuration)

    async def _write(self, secret: Secret | None, data: dict[str, Any]) -> None:
        if secret is None:
            about = {"name": SECRET_NAME, "namespace": self._namespace}
            await self._client.create(SECRETS, {"metadata": about, "type": "Opaque", "data": data})
            return
        patch = {"metadata": {"resourceVersion": secret.metadata.resource_version}, "data": data}
        await self._client.merge_patch(SECRETS, SECRET_NAME, patch, self._namespace)
