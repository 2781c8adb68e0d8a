"""A watch of KubeVirt's migrations, limits and default strategy; KubeVirt may be installed later."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.controller.kinds import KUBEVIRTS, MIGRATIONS
from overbook.core.kubevirt.objects import KubeVirt, Migration
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.core.relief.case import MigrationLimits
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError
from overbook.kube.api.reflector import Reflector

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 30.0
"""How often the controller checks whether KubeVirt has been installed, while the API server says that it is
not. Where it does not say, the controller asks again soon."""


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Groups(msgspec.Struct, frozen=True):
    groups: tuple[_Named, ...]


class _Resources(msgspec.Struct, frozen=True):
    resources: tuple[_Named, ...]


class KubeVirtWatch:
    """The state of KubeVirt that relief needs.

    Args:
        client: to the API server.
        changed: called when a migration or a limit has changed.
        probe_seconds: how often to check whether KubeVirt has been installed.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        client: Client,
        changed: Callable[[], None],
        probe_seconds: float = PROBE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._changed = changed
        self._probe_seconds = probe_seconds
        self._clock = clock
        self._looked = asyncio.Event()
        self._migrations: Reflector[Migration] = Reflector(
            client, MIGRATIONS, on_change=self._notice, clock=clock
        )
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
    def silent_seconds(self) -> float | None:
        """How long ago the watch of the migrations last said anything; ``None``: never.

        What happened to a migration since then is not known. 0 without KubeVirt, where there is none.
        """
        if self.present is False:
            return 0.0
        heard = self._migrations.last_contact
        return None if self.limits is None or heard is None else max(0.0, self._clock() - heard)

    async def wait_looked(self) -> None:
        """Wait until the API server was asked once whether KubeVirt is installed."""
        await self._looked.wait()

    @property
    def eviction_strategy(self) -> str:
        """The eviction strategy of VMs without their own."""
        return self._kubevirt.eviction_strategy

    @property
    def _kubevirt(self) -> KubeVirt:
        return next(iter(self._kubevirts.objects.values()), KubeVirt())

    async def run(self) -> None:
        """Wait until KubeVirt is installed, then watch it, until cancelled."""
        backoff = Backoff(most_seconds=self._probe_seconds)
        while not self.present:
            error = await self._probe()
            self._looked.set()
            if error is not None:
                log.warning("it is not known whether KubeVirt is installed: %s", error)
                await asyncio.sleep(backoff.next_seconds(error))
            elif not self.present:
                backoff.reset()
                await asyncio.sleep(self._probe_seconds)
        log.info("KubeVirt is installed: its migrations are watched")
        await asyncio.gather(self._migrations.run(), self._kubevirts.run())

    async def _probe(self) -> Exception | None:
        """Look whether KubeVirt's kinds exist. Returns why that is still not known.

        The list of groups proves that there is none; a 404 may come from a proxy in between.
        """
        try:
            groups = msgspec.json.decode(await self._client.raw("GET", "/apis"), type=_Groups).groups
            names: set[str] = set()
            if KUBEVIRT_GROUP in {group.name for group in groups}:
                body = await self._client.raw("GET", f"/apis/{KUBEVIRT_GROUP}/{MIGRATIONS.version}")
                names = {known.name for known in msgspec.json.decode(body, type=_Resources).resources}
        except (KubeError, msgspec.DecodeError) as error:
            return error
        self._found(present={MIGRATIONS.plural, KUBEVIRTS.plural} <= names)
        return None

    def _found(self, *, present: bool) -> None:
        if self.present != present:
            self.present = present
            self._changed()

    def _notice(self, _key: str, _old: object, _new: object) -> None:
        self._changed()
