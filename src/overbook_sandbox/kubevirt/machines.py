"""The life of a virtual machine: its pod is made, it runs, it is evacuated, it ends."""

from typing import Any, Final

from overbook_sandbox.kubevirt.documents import (
    EVACUATION_ANNOTATION,
    FINALIZER,
    IN_PROGRESS_ANNOTATION,
    INSTANCES,
    MIGRATIONS,
    NODE_LABEL,
    PODS,
    KubeVirtDocument,
)
from overbook_sandbox.kubevirt.launcher import READINESS_GATE, launcher_pod
from overbook_sandbox.kubevirt.store import Store, instance_key

MIGRATABLE_ANNOTATION: Final = "sandbox.overbook.dev/live-migratable"
"""An annotation of a VM: `False` if the VM cannot be live-migrated."""

_PLACE_SECONDS: Final = 5.0
_PARALLEL_PER_CLUSTER: Final = 5
_PARALLEL_OUTBOUND_PER_NODE: Final = 2


class Machines:
    """The part of the stand-in for KubeVirt's controllers of VMs and their evacuation.

    Args:
        store: The cluster.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self, key: str) -> float | None:
        """Do the next step for a VM. Returns the seconds until the next call, or None."""
        instance = await self._store.find(INSTANCES, key)
        if instance is None or instance.metadata.deletion_timestamp or instance.is_finished:
            return None
        pods = await self._store.pods_of(instance)
        for pod in pods:
            await self._unpause(pod)
        if instance.phase != "Running":
            await self._bring_up(instance, pods)
            return None
        node = instance.status.get("nodeName")
        here = [pod for pod in pods if pod.spec.get("nodeName") == node]
        if not any(not pod.is_finished for pod in here):
            ended_well = any(pod.phase == "Succeeded" for pod in here)
            await self._store.patch_instance(instance, {"phase": "Succeeded" if ended_well else "Failed"})
            return None
        marked = "evacuationNodeName" in instance.status
        for pod in here:
            await self._show(pod, is_evacuated=marked)
        return await self._evacuate(key) if marked else None

    async def _bring_up(self, instance: KubeVirtDocument, pods: list[KubeVirtDocument]) -> None:
        if not pods:
            developer = (await self._store.configuration()).get("developerConfiguration", {})
            percent = int(developer.get("memoryOvercommit", 100))
            await self._store.client.create(PODS, launcher_pod(instance, percent))
            await self._store.patch_instance(instance, {"phase": "Scheduling"})
            return
        pod = pods[0]
        if pod.is_finished:
            await self._store.patch_instance(instance, {"phase": "Failed"})
        elif pod.phase == "Running":
            node = pod.spec["nodeName"]
            migratable = instance.annotations.get(MIGRATABLE_ANNOTATION, "True")
            status = {
                "phase": "Running",
                "nodeName": node,
                "activePods": {pod.uid: node},
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": "LiveMigratable", "status": migratable},
                ],
            }
            await self._store.patch_instance(instance, status, {NODE_LABEL: node})

    async def _unpause(self, pod: KubeVirtDocument) -> None:
        if pod.phase == "Running" and not pod.holds(READINESS_GATE):
            condition = {"type": READINESS_GATE, "status": "True", "reason": "NotPaused"}
            await self._store.patch_pod(pod, status={"conditions": [condition]})

    async def _show(self, pod: KubeVirtDocument, *, is_evacuated: bool) -> None:
        if is_evacuated != (IN_PROGRESS_ANNOTATION in pod.annotations):
            value = "true" if is_evacuated else None
            await self._store.patch_pod(pod, {"annotations": {IN_PROGRESS_ANNOTATION: value}})

    async def _evacuate(self, key: str) -> float | None:
        """Make the migration of a marked VM, as soon as the limits allow it."""
        # Read the migrations before the VM: a migration removes the mark before it becomes finished.
        active = await self._store.migrations()
        instance = await self._store.find(INSTANCES, key)
        if instance is None or not instance.holds("LiveMigratable"):
            return None
        node = instance.status.get("nodeName")
        if instance.status.get("evacuationNodeName") != node or any(
            instance_key(each) == key for each in active
        ):
            return None
        configuration = await self._store.configuration()
        if (instance.spec.get("evictionStrategy") or configuration.get("evictionStrategy")) == "External":
            return None
        per_cluster, per_node = limits(configuration)
        leaving = [each for each in active if each.annotations.get(EVACUATION_ANNOTATION) == node]
        if len(active) >= per_cluster or len(leaving) >= per_node:
            return _PLACE_SECONDS
        migration = {
            "metadata": {
                "generateName": "kubevirt-evacuation-",
                "namespace": instance.namespace,
                "annotations": {EVACUATION_ANNOTATION: node},
                "finalizers": [FINALIZER],
            },
            "spec": {"vmiName": instance.metadata.name, "priority": "system-critical"},
        }
        await self._store.client.create(MIGRATIONS, migration)
        return None


def limits(configuration: dict[str, Any]) -> tuple[int, int]:
    """The limits on migrations: in the cluster, and out of one node."""
    given = configuration.get("migrations", {})
    return (
        given.get("parallelMigrationsPerCluster", _PARALLEL_PER_CLUSTER),
        given.get("parallelOutboundMigrationsPerNode", _PARALLEL_OUTBOUND_PER_NODE),
    )
