"""A live migration: a target pod is made on another node, the VM moves, and the source pod ends."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from overbook.kube.api.errors import ApiError
from overbook_sandbox.kubevirt import places
from overbook_sandbox.kubevirt.documents import (
    FINALIZER,
    INSTANCES,
    MIGRATION_LABEL,
    MIGRATIONS,
    NODE_LABEL,
    PODS,
    KubeVirtDocument,
)
from overbook_sandbox.kubevirt.launcher import target_pod
from overbook_sandbox.kubevirt.outage import Outage, Pace
from overbook_sandbox.kubevirt.store import Store, instance_key

SECONDS_ANNOTATION: Final = "sandbox.overbook.dev/migration-seconds"
"""An annotation of a VM: how long the copy of its memory takes; default 1."""
OUTCOME_ANNOTATION: Final = "sandbox.overbook.dev/migration-outcome"
"""An annotation of a VM: `Succeeded` (the default), `Failed`, or `Stalled` (until it is deleted)."""

_PLACE_SECONDS: Final = 1.0
_STEPS: Final = ("Scheduled", "PreparingTarget", "TargetReady", "Running")
_FAILED: Final = "Live migration stuck for 150 seconds and has been aborted"
_ABORTED: Final = "Live migration has been aborted"


class Migrations:
    """The part of the stand-in for KubeVirt's controller of migrations, and for both virt-handlers.

    Args:
        store: The cluster.
        outage: Whether virt-controller works.
        pace: KubeVirt's times.
        now: The time, with a time zone.
    """

    def __init__(
        self,
        store: Store,
        outage: Outage,
        pace: Pace,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._outage = outage
        self._pace = pace
        self._now = now
        self._starting = asyncio.Lock()  # migrations are counted before one starts

    async def look(self, key: str) -> float | None:
        """Do the next step for a migration. Returns the seconds until the next call, or None."""
        if self._outage.controller:
            return self._outage.look_seconds
        migration = await self._store.find(MIGRATIONS, key)
        if migration is None:
            return None
        instance = await self._store.find(INSTANCES, instance_key(migration))
        pods = [] if instance is None else await self._store.pods_of(instance)
        if migration.is_finished:
            return await self._settle(migration, instance, pods)
        if instance is None or instance.is_finished:
            await self._set(migration, "Failed")
        elif instance.metadata.deletion_timestamp is not None:
            if not any(not pod.is_finished for pod in pods):
                await self._set(migration, "Failed", _state_of(migration, instance))
        elif instance.phase == "Running":
            return await self._advance(migration, instance, pods)
        return None

    async def _advance(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, pods: list[KubeVirtDocument]
    ) -> float | None:
        target = next((pod for pod in pods if pod.labels.get(MIGRATION_LABEL) == migration.uid), None)
        if migration.metadata.deletion_timestamp is not None:
            await self._abort(migration, instance, target)
        elif migration.phase == "":
            source = _source(instance, pods)
            state = {"sourcePod": source.metadata.name} if source else {}
            await self._set(migration, "Pending", state)
        elif target is None:
            return await self._begin(migration, instance, pods)
        elif target.is_finished or target.metadata.deletion_timestamp is not None:
            await self._fail(migration, instance, "the target pod ended")
        elif target.phase != "Running":
            return await self._wait_for_target(migration, target)
        elif migration.phase != "Running":
            await self._approach(migration, instance, pods, target)
        else:
            return await self._copy(migration, instance, pods, target)
        return None

    async def _begin(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, pods: list[KubeVirtDocument]
    ) -> float | None:
        if migration.phase != "Pending" or _source(instance, pods) is None:
            await self._set(migration, "Failed")
            return None
        async with self._starting:
            known = await self._store.migrations()
            now = self._now().timestamp()
            pending = [each for each in known if each.phase == "Pending"]
            starts = {each.uid: places.starts_at(each, known, self._pace.retry_seconds) for each in pending}
            if starts.get(migration.uid, 0.0) > now:
                return starts[migration.uid] - now
            ready = [each for each in pending if starts[each.uid] <= now]
            if not places.may_start(
                migration, ready, known, places.limits(await self._store.configuration())
            ):
                return _PLACE_SECONDS
            try:
                pod = target_pod(instance, migration, await self._store.percent())
                await self._store.client.create(PODS, pod)
            except ApiError as error:
                if error.status != 403 or "exceeded quota" not in error.message:
                    raise
                await self._condition(migration, "migrationRejectedByResourceQuota")
                return _PLACE_SECONDS
            await self._set(migration, "Scheduling")
        return None

    async def _wait_for_target(self, migration: KubeVirtDocument, target: KubeVirtDocument) -> float | None:
        if migration.phase == "Pending":
            await self._set(migration, "Scheduling")
        if target.spec.get("nodeName"):
            return None
        created = datetime.fromisoformat(target.metadata.creation_timestamp or "")
        left = self._pace.unschedulable_seconds - (self._now() - created).total_seconds()
        if left > 0:
            return left
        await self._store.delete_pod(target)
        await self._set(migration, "Failed")  # without a reason, as KubeVirt does it
        return None

    async def _approach(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        pods: list[KubeVirtDocument],
        target: KubeVirtDocument,
    ) -> None:
        """Go to the next phase before the copy of memory."""
        done = _STEPS.index(migration.phase) + 1 if migration.phase in _STEPS else 0
        state = instance.status.get("migrationState") or {}
        if (source := _source(instance, pods)) is None:
            await self._fail(migration, instance, "the source pod is gone")
            return
        if done == 1 and state.get("migrationUid") != migration.uid:
            new = {
                "migrationUid": migration.uid,
                "mode": "PreCopy",
                "sourceNode": source.spec["nodeName"],
                "sourcePod": source.metadata.name,
                "targetNode": target.spec["nodeName"],
                "targetPod": target.metadata.name,
            }
            moving = {"migrationState": {**dict.fromkeys(state), **new}}
            both = {"activePods": {target.uid: target.spec["nodeName"]}}
            await self._store.patch_instance(instance, {**moving, **both})
        if _STEPS[done] == "Running":
            started = {"migrationState": {"startTimestamp": self._timestamp()}}
            await self._store.patch_instance(instance, started)
        await self._set(migration, _STEPS[done])

    async def _copy(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        pods: list[KubeVirtDocument],
        target: KubeVirtDocument,
    ) -> float | None:
        state = instance.status.get("migrationState") or {}
        node = target.spec["nodeName"]
        if instance.status.get("nodeName") == node:
            if not state.get("completed"):
                ended = {"completed": True, "endTimestamp": self._timestamp()}
                await self._store.patch_instance(instance, {"migrationState": ended})
            await self._set(migration, "Succeeded")
            return None
        if state.get("failed"):  # interrupted
            await self._set(migration, "Failed")
            return None
        if _source(instance, pods) is None:
            await self._fail(migration, instance, "the source pod is gone")
            return None
        outcome = instance.annotations.get(OUTCOME_ANNOTATION, "Succeeded")
        if outcome == "Stalled":
            return None
        started = datetime.fromisoformat(state["startTimestamp"])
        seconds = float(instance.annotations.get(SECONDS_ANNOTATION, "1"))
        left = seconds - (self._now() - started).total_seconds()
        if left > 0:
            return left
        if outcome == "Failed":
            await self._fail(migration, instance, _FAILED)
            return None
        only = {**dict.fromkeys(instance.status.get("activePods") or {}), target.uid: node}
        status = {"nodeName": node, "evacuationNodeName": None, "activePods": only}
        await self._store.patch_instance(instance, status, {NODE_LABEL: node})
        return self._pace.second_write_seconds

    async def _abort(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, target: KubeVirtDocument | None
    ) -> None:
        """End a migration that was deleted. A marked VM gets another one."""
        if target is None or migration.phase != "Running":
            await self._set(migration, "Failed")
            return
        requested = {"abortRequested": True}
        await self._store.patch_instance(instance, {"migrationState": requested})
        await self._condition(migration, "migrationAbortRequested")
        await self._fail(migration, instance, _ABORTED, {"abortStatus": "Succeeded"})

    async def _fail(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        reason: str,
        more: dict[str, Any] | None = None,
    ) -> None:
        """End a migration with a failure; the VM stays on its node, and marked."""
        ended = {
            "completed": True,
            "failed": True,
            "failureReason": reason,
            "endTimestamp": self._timestamp(),
            **(more or {}),
        }
        home = instance.status.get("nodeName")
        active = instance.status.get("activePods") or {}
        gone = {uid: None for uid, node in active.items() if node != home}
        await self._store.patch_instance(instance, {"migrationState": ended, "activePods": gone})
        await self._set(migration, "Failed")

    async def _settle(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument | None,
        pods: list[KubeVirtDocument],
    ) -> float | None:
        """After the end: the second write, the pods that are not needed, old migrations, the finalizer."""
        written = migration.status.get("migrationState") or {}
        if instance is not None and not written.get("endTimestamp"):
            state = instance.status.get("migrationState") or {}
            if state.get("migrationUid") == migration.uid and state.get("completed"):
                await asyncio.sleep(self._pace.second_write_seconds)
                await self._write(migration, {"migrationState": state})
                return None
        moved = instance is not None and migration.phase == "Succeeded"
        for pod in pods:
            is_target = pod.labels.get(MIGRATION_LABEL) == migration.uid
            is_source = pod.metadata.name == written.get("sourcePod")
            over = is_source if moved else is_target
            if over and not pod.is_finished and pod.metadata.deletion_timestamp is None:
                await self._store.complete_pod(pod)
        for old in places.surplus(await self._store.migrations(), instance_key(migration)):
            await self._delete(old)
        if FINALIZER in migration.metadata.finalizers:
            await self._store.release(MIGRATIONS, migration, FINALIZER)
        return None

    async def _delete(self, migration: KubeVirtDocument) -> None:
        meta = migration.metadata
        try:
            await self._store.client.delete(MIGRATIONS, meta.name, meta.namespace, uid=meta.uid)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def _condition(self, migration: KubeVirtDocument, kind: str) -> None:
        if not migration.holds(kind):
            await self._write(migration, {"conditions": [{"type": kind, "status": "True"}]})

    async def _set(
        self, migration: KubeVirtDocument, phase: str, state: dict[str, Any] | None = None
    ) -> None:
        reached = {"phase": phase, "phaseTransitionTimestamp": self._timestamp()}
        before = migration.status.get("phaseTransitionTimestamps") or []
        status: dict[str, Any] = {"phase": phase, "phaseTransitionTimestamps": [*before, reached]}
        if state is not None:
            status["migrationState"] = state
        await self._write(migration, status)

    async def _write(self, migration: KubeVirtDocument, status: dict[str, Any]) -> None:
        meta = migration.metadata
        await self._store.client.merge_patch(
            MIGRATIONS, meta.name, {"status": status}, meta.namespace, "status"
        )

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _source(instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> KubeVirtDocument | None:
    """The present pod of a VM, unless it is being deleted."""
    node = instance.status.get("nodeName")
    for pod in pods:
        if pod.spec.get("nodeName") == node and not pod.is_finished:
            return None if pod.metadata.deletion_timestamp else pod
    return None


def _state_of(migration: KubeVirtDocument, instance: KubeVirtDocument) -> dict[str, Any] | None:
    state: dict[str, Any] = instance.status.get("migrationState") or {}
    return state if state.get("migrationUid") == migration.uid else None
