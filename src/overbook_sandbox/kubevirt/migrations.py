"""A live migration: a target pod is made on another node, the VM moves, and the source pod ends."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from overbook.kube.api.errors import ApiError
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
from overbook_sandbox.kubevirt.store import Store, instance_key

SECONDS_ANNOTATION: Final = "sandbox.overbook.dev/migration-seconds"
"""An annotation of a VM: how long the copy of its memory takes; default 1."""
OUTCOME_ANNOTATION: Final = "sandbox.overbook.dev/migration-outcome"
"""An annotation of a VM: `Succeeded` (the default), `Failed`, or `Stalled` (until it is deleted)."""

_UNSCHEDULABLE_SECONDS: Final = 300.0  # KubeVirt's default timeout of a target pod without a node
_STEPS: Final = ("Scheduled", "PreparingTarget", "TargetReady", "Running")


class Migrations:
    """The part of the stand-in for KubeVirt's controller of migrations.

    Args:
        store: The cluster.
        now: The time, with a time zone.
    """

    def __init__(self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now

    async def look(self, key: str) -> float | None:
        """Do the next step for a migration. Returns the seconds until the next call, or None."""
        migration = await self._store.find(MIGRATIONS, key)
        if migration is None:
            return None
        if migration.is_finished:
            await self._release(migration)
            return None
        instance = await self._store.find(INSTANCES, instance_key(migration))
        if instance is None or instance.is_finished:
            await self._set(migration, "Failed")
        elif instance.phase == "Running":
            return await self._advance(migration, instance)
        return None

    async def _advance(self, migration: KubeVirtDocument, instance: KubeVirtDocument) -> float | None:
        pods = await self._store.pods_of(instance)
        target = next((pod for pod in pods if pod.labels.get(MIGRATION_LABEL) == migration.uid), None)
        if migration.metadata.deletion_timestamp is not None:
            await self._fail(migration, instance, target, "the migration was cancelled")
        elif migration.phase == "":
            await self._set(migration, "Pending")
        elif target is None:
            await self._begin(migration, instance, pods)
        elif target.is_finished or target.metadata.deletion_timestamp is not None:
            await self._fail(migration, instance, target, "the target pod ended")
        elif target.phase != "Running":
            return await self._wait_for_target(migration, instance, target)
        elif migration.phase != "Running":
            await self._approach(migration, instance, pods, target)
        else:
            return await self._copy(migration, instance, pods, target)
        return None

    async def _begin(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, pods: list[KubeVirtDocument]
    ) -> None:
        source = _source(instance, pods)
        if migration.phase != "Pending" or source is None:
            await self._fail(migration, instance, None, "the source pod or the target pod is gone")
            return
        await self._store.client.create(PODS, target_pod(instance, source, migration))
        await self._set(migration, "Scheduling")

    async def _wait_for_target(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, target: KubeVirtDocument
    ) -> float | None:
        if migration.phase == "Pending":
            await self._set(migration, "Scheduling")
        created = datetime.fromisoformat(target.metadata.creation_timestamp or "")
        left = _UNSCHEDULABLE_SECONDS - (self._now() - created).total_seconds()
        if left <= 0:
            await self._fail(migration, instance, target, "the target pod found no node")
            return None
        return left

    async def _approach(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        pods: list[KubeVirtDocument],
        target: KubeVirtDocument,
    ) -> None:
        """Go to the next phase before the copy of memory."""
        done = _STEPS.index(migration.phase) + 1 if migration.phase in _STEPS else 0
        if _STEPS[done] != "Running":
            await self._set(migration, _STEPS[done])
            return
        if (source := _source(instance, pods)) is None:
            await self._fail(migration, instance, target, "the source pod is gone")
            return
        state = {
            "migrationUid": migration.uid,
            "startTimestamp": self._timestamp(),
            "sourceNode": source.spec["nodeName"],
            "sourcePod": source.metadata.name,
            "targetNode": target.spec["nodeName"],
            "targetPod": target.metadata.name,
        }
        of_an_earlier_one = dict.fromkeys(("completed", "failed", "failureReason", "endTimestamp"))
        await self._store.patch_instance(instance, {"migrationState": {**of_an_earlier_one, **state}})
        await self._set(migration, "Running", state)

    async def _copy(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        pods: list[KubeVirtDocument],
        target: KubeVirtDocument,
    ) -> float | None:
        state = instance.status.get("migrationState") or {}
        node = target.spec["nodeName"]
        if instance.status.get("nodeName") == node:  # interrupted after the move
            await self._end_source(migration, instance, pods)
            return None
        if _source(instance, pods) is None:
            await self._fail(migration, instance, target, "the source pod is gone")
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
            await self._fail(migration, instance, target, "the guest could not be copied")
            return None
        status = {
            "nodeName": node,
            "evacuationNodeName": None,
            "activePods": {target.uid: node},
            "migrationState": {"completed": True, "endTimestamp": self._timestamp()},
        }
        await self._store.patch_instance(instance, status, {NODE_LABEL: node})
        await self._end_source(migration, instance, pods)
        return None

    async def _end_source(
        self, migration: KubeVirtDocument, instance: KubeVirtDocument, pods: list[KubeVirtDocument]
    ) -> None:
        state = instance.status.get("migrationState") or {}
        for pod in pods:
            if pod.metadata.name == state.get("sourcePod"):
                await self._store.delete_pod(pod)
        await self._set(
            migration, "Succeeded", {**state, "completed": True, "endTimestamp": self._timestamp()}
        )

    async def _fail(
        self,
        migration: KubeVirtDocument,
        instance: KubeVirtDocument,
        target: KubeVirtDocument | None,
        reason: str,
    ) -> None:
        """End a migration with a failure; the VM stays on its node and may be evacuated again."""
        if target is not None:
            await self._store.delete_pod(target)
        ended = {
            "migrationUid": migration.uid,
            "failed": True,
            "failureReason": reason,
            "endTimestamp": self._timestamp(),
        }
        await self._store.patch_instance(instance, {"evacuationNodeName": None, "migrationState": ended})
        await self._set(migration, "Failed", {**(instance.status.get("migrationState") or {}), **ended})

    async def _set(
        self, migration: KubeVirtDocument, phase: str, state: dict[str, Any] | None = None
    ) -> None:
        reached = {"phase": phase, "phaseTransitionTimestamp": self._timestamp()}
        before = migration.status.get("phaseTransitionTimestamps") or []
        status: dict[str, Any] = {"phase": phase, "phaseTransitionTimestamps": [*before, reached]}
        if state is not None:
            status["migrationState"] = state
        meta = migration.metadata
        await self._store.client.merge_patch(
            MIGRATIONS, meta.name, {"status": status}, meta.namespace, "status"
        )

    async def _release(self, migration: KubeVirtDocument) -> None:
        """Remove the finalizer of a finished migration, so that it can be deleted."""
        if FINALIZER not in migration.metadata.finalizers:
            return
        kept = [each for each in migration.metadata.finalizers if each != FINALIZER]
        meta = migration.metadata
        try:
            await self._store.client.merge_patch(
                MIGRATIONS, meta.name, {"metadata": {"finalizers": kept}}, meta.namespace
            )
        except ApiError as error:
            if error.status != 404:
                raise

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _source(instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> KubeVirtDocument | None:
    """The present pod of a VM, unless it is being deleted."""
    node = instance.status.get("nodeName")
    for pod in pods:
        if pod.spec.get("nodeName") == node and not pod.is_finished:
            return None if pod.metadata.deletion_timestamp else pod
    return None
