"""Policies from the cluster, kept up to date: namespaces, LimitRanges and overrides."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from overbook.core.api.group import GROUP, VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit
from overbook.core.api.override import (
    CLUSTER_GROUP,
    CLUSTER_NAME,
    NAMESPACED_GROUP,
    ClusterResourceOverride,
    OpenShiftResourceOverride,
    ResourceOverride,
)
from overbook.core.override.source import OverrideSource, cluster_source, namespaced_sources
from overbook.core.override.switches import NamespaceSwitches
from overbook.core.override.unknown_fields import not_honoured
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError, is_status
from overbook.kube.api.kinds import LIMIT_RANGES, OVERCOMMITS, Kind
from overbook.kube.api.reflector import Reflector
from overbook.webhook.policies import Origin, Policies

log = logging.getLogger(__name__)

NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, NamespaceSwitches)
CLUSTER_RESOURCE_OVERRIDES: Final = Kind(
    CLUSTER_GROUP, "v1", "clusterresourceoverrides", "ClusterResourceOverride", False, ClusterResourceOverride
)
RESOURCE_OVERRIDES: Final = Kind(
    NAMESPACED_GROUP, "v1", "resourceoverrides", "ResourceOverride", True, OpenShiftResourceOverride
)
OWN_RESOURCE_OVERRIDES: Final = Kind(
    GROUP, VERSION, "resourceoverrides", "ResourceOverride", True, ResourceOverride
)
_OPTIONAL: Final = (CLUSTER_RESOURCE_OVERRIDES, RESOURCE_OVERRIDES, OWN_RESOURCE_OVERRIDES, OVERCOMMITS)

OnObject = Callable[[str, Any], None]


class ClusterWatch:
    """A watch that keeps the policies up to date with the cluster.

    Args:
        client: to the API server.
        policies: the policies to update.
        overrides: whether overrides are watched; otherwise they come from a file.
        discovery_seconds: the time between two checks which kinds exist: an operator may be installed later
            or removed.
    """

    def __init__(
        self,
        client: Client,
        policies: Policies,
        *,
        overrides: bool = True,
        discovery_seconds: float,
    ) -> None:
        self._client = client
        self._policies = policies
        self._overrides = overrides
        self._discovery_seconds = discovery_seconds
        self._discovered = not overrides
        self._reflectors: dict[Kind[Any], Reflector[Any]] = {}
        self._tasks: dict[Kind[Any], asyncio.Task[None]] = {}
        self._complete: set[Kind[Any]] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        self._watch(NAMESPACES)
        self._watch(LIMIT_RANGES)
        try:
            while True:
                if self._overrides:
                    await self._discover()
                await asyncio.sleep(self._discovery_seconds if self._discovered else 1.0)
        finally:
            for kind in list(self._tasks):
                await self._cancel(kind)

    def not_synced(self) -> str:
        """The kinds that are not complete yet, without which admissions cannot be decided; empty: none."""
        missing = [] if self._discovered else ["the kinds of overrides"]
        missing += [kind.plural for kind in self._tasks if kind not in self._complete]
        return ", ".join(missing or ([] if self._tasks else ["everything"]))

    async def _discover(self) -> None:
        """Watch the kinds that exist, and no others."""
        existing: set[Kind[Any]] = set()
        try:
            for version in {kind.api_version for kind in _OPTIONAL}:
                plurals = await self._plurals(version)
                existing |= {
                    kind for kind in _OPTIONAL if kind.api_version == version and kind.plural in plurals
                }
        except (KubeError, msgspec.DecodeError) as error:
            log.warning("the kinds of overrides in this cluster are not known: %s", error)
            return
        for kind in _OPTIONAL:
            if kind in existing and kind not in self._tasks:
                self._watch(kind)
            elif kind in self._tasks and kind not in existing:
                log.info("the kind %s of %s no longer exists", kind.kind, kind.group)
                await self._cancel(kind)
                self._choose_origins()
        self._discovered = True

    async def _plurals(self, api_version: str) -> set[str]:
        try:
            data = await self._client.raw("GET", f"/apis/{api_version}")
        except KubeError as error:
            if is_status(error, 404):
                return set()
            raise
        return {one.name for one in msgspec.json.decode(data, type=_ResourceList).resources}

    def _watch(self, kind: Kind[Any]) -> None:
        handle = self._handler(kind)
        reflector = Reflector(self._client, kind, on_change=lambda key, _, new: handle(key, new))
        self._reflectors[kind] = reflector
        self._tasks[kind] = asyncio.create_task(self._follow(kind, reflector), name=kind.plural)

    async def _follow(self, kind: Kind[Any], reflector: Reflector[Any]) -> None:
        """Follow a kind, which is used as soon as all of its objects are known."""
        async with asyncio.TaskGroup() as group:
            group.create_task(reflector.run())
            await reflector.wait_synced()
            self._complete.add(kind)
            self._choose_origins()
            log.info("%d %s known", len(reflector.objects), kind.plural)

    async def _cancel(self, kind: Kind[Any]) -> None:
        task = self._tasks.pop(kind)
        self._complete.discard(kind)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        handle = self._handler(kind)
        for key in list(self._reflectors.pop(kind).objects):
            handle(key, None)

    def _choose_origins(self) -> None:
        def origin(kind: Kind[Any]) -> Origin:
            return "OpenShift" if kind in self._complete else "Own"

        if OVERCOMMITS in self._complete:
            self._policies.set_overcommit_served()
        self._policies.set_origins(
            namespaced=origin(RESOURCE_OVERRIDES), cluster=origin(CLUSTER_RESOURCE_OVERRIDES)
        )

    def _handler(self, kind: Kind[Any]) -> OnObject:
        """The handler for an object of the kind that was added, changed or (``None``) deleted."""
        policies = self._policies

        def cluster_override(key: str, one: ClusterResourceOverride | None) -> None:
            if key == CLUSTER_NAME:
                policies.set_cluster_override(one)
                _log_problem(key, cluster_source(one))
            elif one is not None:
                log.warning("%s/%s has no effect: only the one named %s counts", one.kind, key, CLUSTER_NAME)
            _log_not_honoured(key, one)

        def overcommit(key: str, one: Overcommit | None) -> None:
            if key == OVERCOMMIT_NAME:
                policies.set_overcommit(one)
                _log_problem(key, cluster_source(one))

        def namespaced(origin: Origin) -> OnObject:
            def handle(key: str, one: ResourceOverride | None) -> None:
                policies.set_override(origin, *_split(key), one)
                if one is not None:
                    _log_problem(key, *namespaced_sources([one]))
                _log_not_honoured(key, one)

            return handle

        handlers: dict[Kind[Any], OnObject] = {
            NAMESPACES: policies.set_namespace,
            LIMIT_RANGES: lambda key, one: policies.set_limit_range(*_split(key), one),
            CLUSTER_RESOURCE_OVERRIDES: cluster_override,
            RESOURCE_OVERRIDES: namespaced("OpenShift"),
            OWN_RESOURCE_OVERRIDES: namespaced("Own"),
            OVERCOMMITS: overcommit,
        }
        return handlers[kind]


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""


class _ResourceList(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


def _split(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _log_not_honoured(key: str, one: ClusterResourceOverride | ResourceOverride | None) -> None:
    if one is not None:
        for text in not_honoured(one):
            log.warning("%s (%s): %s", one.kind, key, text)


def _log_problem(key: str, source: OverrideSource) -> None:
    if source.problem:
        log.warning("%s (%s) cannot be used, its pods stay unchanged: %s", source.label, key, source.problem)
