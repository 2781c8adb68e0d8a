"""The status of each ``ResourceOverride``: whether it has an effect, and what to do if it has none.

The webhook does not write it: it has no right to write anything that tenants read, and there are several.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.controller.metrics import ControllerMetrics
from overbook.controller.pauses import Pauses
from overbook.core.api.group import GROUP, VERSION
from overbook.core.api.override import NAMESPACED_GROUP, ResourceOverride, ResourceOverrideStatus
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.override.admission import ENABLED_LABEL
from overbook.core.override.conditions import changed_conditions, wanted_conditions
from overbook.core.override.switches import NOT_OPTED_IN, NamespaceSwitches
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError, is_status
from overbook.kube.api.kinds import Kind
from overbook.kube.api.reflector import Reflector

log = logging.getLogger(__name__)

LEAST_SECONDS_BETWEEN: Final = 0.2
"""Five statuses a second at most, however many tenants change their overrides."""
DISCOVERY_SECONDS: Final = 30.0
MOST_BACKOFF_SECONDS: Final = 300.0


class KeptOverride(ResourceOverride, frozen=True):
    """A ``ResourceOverride`` with its status, which anyone with the right to write it may have written."""

    metadata: ObjectMeta = ObjectMeta()
    status: ResourceOverrideStatus | None = None


KEPT_OVERRIDES: Final = Kind(GROUP, VERSION, "resourceoverrides", "ResourceOverride", True, KeptOverride)
ENABLING_NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, NamespaceSwitches)


class OverrideKeeper:
    """The task that keeps the status of overrides right.

    Args:
        client: to the API server.
        leads: returns whether this process leads.
        metrics: counts failures.
        wall_clock: seconds since the epoch.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        client: Client,
        leads: Callable[[], bool],
        metrics: ControllerMetrics,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._leads = leads
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._overrides = Reflector(client, KEPT_OVERRIDES, on_change=lambda key, _old, _new: self._note(key))
        # Only namespaces that have opted in are known; one without the label is as one that has not.
        self._namespaces = Reflector(
            client,
            ENABLING_NAMESPACES,
            label_selector=ENABLED_LABEL,
            on_change=lambda name, _old, _new: self._note_namespace(name),
        )
        self._openshift: bool | None = None
        self._pending: set[str] = set()
        self._some = asyncio.Event()
        self._pauses = Pauses(DISCOVERY_SECONDS, MOST_BACKOFF_SECONDS, clock)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._overrides.run())
            tasks.create_task(self._namespaces.run())
            tasks.create_task(self._discover())
            tasks.create_task(self._work())

    async def _discover(self) -> None:
        """Look periodically whether OpenShift's kind exists, and for overrides that are to be tried again."""
        while True:
            try:
                found = await self._has_openshifts_kind()
            except (KubeError, msgspec.DecodeError) as error:
                log.warning("whether OpenShift's ResourceOverride exists is not known: %s", error)
            else:
                if found is not self._openshift:
                    self._openshift = found
                    self._pending.update(self._overrides.objects)
            self._pending.update(self._pauses.over())
            self._some.set()
            await asyncio.sleep(DISCOVERY_SECONDS)

    async def _has_openshifts_kind(self) -> bool:
        try:
            data = await self._client.raw("GET", f"/apis/{NAMESPACED_GROUP}/v1")
        except ApiError as error:
            if is_status(error, 404):
                return False
            raise
        return b'"resourceoverrides"' in data

    async def _work(self) -> None:
        await self._overrides.wait_synced()
        await self._namespaces.wait_synced()
        while True:
            while not self._pending or self._openshift is None:
                self._some.clear()
                await self._some.wait()
            key = self._pending.pop()
            if not self._leads() or self._pauses.hold(key):
                continue
            self._pauses.begin(key)
            try:
                written = await self._keep(key)
            except KubeError as error:
                self._later(key, "override", error)
                log.warning("the status of ResourceOverride %s is not written: %s", key, error)
            except Exception as error:  # a defect for one override must not end the work for the others
                self._later(key, "defect", error)
                log.exception("the status of ResourceOverride %s could not be kept right", key)
            else:
                self._pauses.succeeded(key)
                if not written:
                    continue
            await asyncio.sleep(LEAST_SECONDS_BETWEEN)

    async def _keep(self, key: str) -> bool:
        """Write an override's status if it is not right. Returns whether it was written."""
        one = self._overrides.objects.get(key)
        if one is None:
            return False
        namespace, _, name = key.partition("/")
        known = self._namespaces.objects.get(namespace)
        opted_in = NOT_OPTED_IN if known is None else known.opted_in
        wanted = wanted_conditions(one, opted_in, openshift=bool(self._openshift))
        present = () if one.status is None else one.status.conditions
        changed = changed_conditions(present, wanted, self._wall_clock())
        if changed is None:
            return False
        patch = {"status": {"conditions": msgspec.to_builtins(changed)}}
        try:
            await self._client.merge_patch(KEPT_OVERRIDES, name, patch, namespace, subresource="status")
        except ApiError as error:
            if not error.is_not_found:
                raise
        return True

    def _later(self, key: str, kind: str, error: Exception) -> None:
        self._metrics.failures[kind] += 1
        self._pauses.failed(key, error)

    def _note(self, key: str) -> None:
        if key not in self._overrides.objects:
            self._pauses.forget(key)
        self._pending.add(key)
        self._some.set()

    def _note_namespace(self, name: str) -> None:
        self._pending.update(key for key in self._overrides.objects if key.startswith(f"{name}/"))
        self._some.set()
