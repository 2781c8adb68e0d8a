"""A watch of KubeVirt's migrations, limits and default strategy; KubeVirt may be installed later."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.controller.kinds import KUBEVIRTS, MIGRATIONS
from overbook.core.kubevirt.objects import KubeVirt, Migration
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.core.relief.case import MigrationLimits
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.reflector import Reflector

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 30.0
"""How often the controller checks whether KubeVirt has been installed."""


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""


class _Resources(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


class KubeVirtWatch:
    """The state of KubeVirt that relief needs.

    Args:
        client: to the API server.
        changed: called when a migration or a limit has changed.
        probe_seconds: how often to check whether KubeVirt has been installed.
    """

    def __init__(
        self, client: Client, changed: Callable[[], None], probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._client = client
        self._changed = changed
        self._probe_seconds = probe_seconds
        self._migrations: Reflector[Migration] = Reflector(client, MIGRATIONS, on_change=self._notice)
        self._kubevirts: Reflector[KubeVirt] = Reflector(client, KUBEVIRTS, on_change=self._notice)
        self.present: bool | None = None
        """Whether KubeVirt's kinds exist; ``None``: not known yet."""

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """All known migrations."""
        return tuple(self._migrations.objects.values())

    @property
    def limits(self) -> MigrationLimits | None:
        """KubeVirt's limits on live migrations; ``None``: not known, or there is no KubeVirt."""
        if not (self.present and self._migrations.synced and self._kubevirts.synced):
            return None
        known = self._kubevirt
        return MigrationLimits(known.per_cluster, known.per_node)

    @property
    def eviction_strategy(self) -> str:
        """The eviction strategy of VMs without their own."""
        return self._kubevirt.eviction_strategy

    @property
    def _kubevirt(self) -> KubeVirt:
        return next(iter(self._kubevirts.objects.values()), KubeVirt())

    async def run(self) -> None:
        """Wait until KubeVirt is installed, then watch it, until cancelled."""
        while not await self._probe():  # noqa: ASYNC110 - what is waited for happens on a server
            await asyncio.sleep(self._probe_seconds)
        log.info("KubeVirt is installed: its migrations are watched")
        await asyncio.gather(self._migrations.run(), self._kubevirts.run())

    async def _probe(self) -> bool:
        try:
            body = await self._client.raw("GET", f"/apis/{KUBEVIRT_GROUP}/{MIGRATIONS.version}")
            names = {known.name for known in msgspec.json.decode(body, type=_Resources).resources}
        except ApiError as error:
            if error.status == 404:
                self._found(present=False)
            else:
                log.warning("it is not known whether KubeVirt is installed: %s", error)
            return False
        except (KubeError, msgspec.DecodeError) as error:
            log.warning("it is not known whether KubeVirt is installed: %s", error)
            return False
        self._found(present={MIGRATIONS.plural, KUBEVIRTS.plural} <= names)
        return bool(self.present)

    def _found(self, *, present: bool) -> None:
        if self.present != present:
            self.present = present
            self._changed()

    def _notice(self, _key: str, _old: object, _new: object) -> None:
        self._changed()
