"""The life of a virtual machine: its pod is made, it runs, it is evacuated, it ends."""

from typing import Any, Final

from overbook_sandbox.kubevirt.documents import (
    EVACUATION_ANNOTATION,
    FINALIZER,
    IN_PROGRESS_ANNOTATION,
    INSTANCE_FINALIZER,
    INSTANCES,
    MIGRATIONS,
    NODE_LABEL,
    PODS,
    SOURCE_ANNOTATION,
    KubeVirtDocument,
)
from overbook_sandbox.kubevirt.launcher import READINESS_GATE, launcher_pod
from overbook_sandbox.kubevirt.outage import Outage
from overbook_sandbox.kubevirt.store import Store, instance_key

MIGRATABLE_ANNOTATION: Final = "sandbox.overbook.dev/live-migratable"
"""An annotation of a VM: `False` if the VM cannot be live-migrated."""


class Machines:
    """The part of the stand-in for KubeVirt's controllers of VMs and their evacuation.

    Args:
        store: The cluster.
        outage: Whether virt-controller works.
    """

    def __init__(self, store: Store, outage: Outage) -> None:
        self._store = store
        self._outage = outage

    async def look(self, key: str) -> float | None:
        """Do the next step for a VM. Returns the seconds until the next call, or None."""
        if self._outage.controller:
            return self._outage.look_seconds
        instance = await self._store.find(INSTANCES, key)
        if instance is None:
            return None
        pods = await self._store.pods_of(instance)
        if instance.metadata.deletion_timestamp:
            await self._end(instance, pods)
            return None
        if instance.is_finished:
            return None
        if INSTANCE_FINALIZER not in instance.metadata.finalizers:
            await self._admit(instance)
            return None
        for pod in pods:
            await self._unpause(pod)
        if instance.phase == "Running":
            await self._run(key, instance, pods)
        else:
            await self._bring_up(instance, pods)
        return None

    async def _run(self, key: str, instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> None:
        node = instance.status.get("nodeName")
        here = [pod for pod in pods if pod.spec.get("nodeName") == node]
        if not any(not pod.is_finished for pod in here):
            ended_well = any(pod.phase == "Succeeded" for pod in here)
            await self._store.patch_instance(instance, {"phase": "Succeeded" if ended_well else "Failed"})
            return
        marked = "evacuationNodeName" in instance.status
        for pod in here:
            await self._show(pod, is_evacuated=marked)
        if marked:
            await self._evacuate(key)

    async def _admit(self, instance: KubeVirtDocument) -> None:
        """Write what virt-api writes into a new VM: its eviction strategy is that of the cluster then."""
        strategy = (await self._store.configuration()).get("evictionStrategy") or "None"
        await self._store.client.merge_patch(
            INSTANCES,
            instance.metadata.name,
            {
                "metadata": {
                    "uid": instance.uid,
                    "finalizers": [*instance.metadata.finalizers, INSTANCE_FINALIZER],
                },
                "spec": {"evictionStrategy": instance.spec.get("evictionStrategy") or strategy},
                "status": {"phase": "Pending"},
            },
            instance.namespace,
        )

    async def _bring_up(self, instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> None:
        if not pods:
            await self._store.client.create(PODS, launcher_pod(instance, await self._store.percent()))
        if not pods or instance.phase == "Pending":
            await self._store.patch_instance(instance, {"phase": "Scheduling"})
            return
        pod = pods[0]
        if pod.is_finished:
            await self._store.patch_instance(instance, {"phase": "Failed"})
        elif pod.phase == "Running" and instance.phase == "Scheduling":
            node = pod.spec["nodeName"]
            status = {"phase": "Scheduled", "nodeName": node, "activePods": {pod.uid: node}}
            await self._store.patch_instance(instance, status, {NODE_LABEL: node})
        elif pod.phase == "Running":
            migratable = instance.annotations.get(MIGRATABLE_ANNOTATION, "True")
            guest = (instance.spec.get("domain", {}).get("memory") or {}).get("guest")
            conditions = [
                {"type": "Ready", "status": "True"},
                {"type": "LiveMigratable", "status": migratable},
            ]
            memory = {"memory": {"guestAtBoot": guest, "guestCurrent": guest}} if guest else {}
            await self._store.patch_instance(
                instance, {"phase": "Running", "conditions": conditions, **memory}
            )

    async def _unpause(self, pod: KubeVirtDocument) -> None:
        if pod.phase == "Running" and not pod.holds(READINESS_GATE):
            condition = {"type": READINESS_GATE, "status": "True", "reason": "NotPaused"}
            await self._store.patch_pod(pod, status={"conditions": [condition]})

    async def _show(self, pod: KubeVirtDocument, *, is_evacuated: bool) -> None:
        if is_evacuated != (IN_PROGRESS_ANNOTATION in pod.annotations):
            value = "true" if is_evacuated else None
            await self._store.patch_pod(pod, {"annotations": {IN_PROGRESS_ANNOTATION: value}})

    async def _end(self, instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> None:
        """Delete the pods of a deleted VM, and let it go when they have gone."""
        for pod in pods:
            if pod.metadata.deletion_timestamp is None:
                await self._store.delete_pod(pod)
        if not pods and INSTANCE_FINALIZER in instance.metadata.finalizers:
            await self._store.release(INSTANCES, instance, INSTANCE_FINALIZER)

    async def _evacuate(self, key: str) -> None:
        """Make the migration of a marked VM at once; it waits for its place by itself."""
        # Read the migrations before the VM: a migration removes the mark before it becomes finished.
        migrations = await self._store.migrations()
        if any(instance_key(each) == key and not each.is_finished for each in migrations):
            return
        instance = await self._store.find(INSTANCES, key)
        if instance is None or not instance.holds("LiveMigratable"):
            return
        node = instance.status.get("evacuationNodeName")
        if not node or node != instance.status.get("nodeName"):
            return
        if instance.spec.get("evictionStrategy") == "External":
            return
        by_descheduler = instance.annotations.get(SOURCE_ANNOTATION) == "descheduler"
        migration: dict[str, Any] = {
            "metadata": {
                "generateName": "kubevirt-evacuation-",
                "namespace": instance.namespace,
                "labels": {"kubevirt.io/vmi-name": instance.metadata.name},
                "annotations": {EVACUATION_ANNOTATION: node},
                "finalizers": [FINALIZER],
            },
            "spec": {
                "vmiName": instance.metadata.name,
                "priority": "system-maintenance" if by_descheduler else "system-critical",
            },
        }
        await self._store.client.create(MIGRATIONS, migration)
