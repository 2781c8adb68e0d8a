"""The access of the stand-in's controllers to the cluster."""

from collections.abc import Callable
from typing import Any

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import Kind
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.hollow_status import HOLLOW_RUNTIME
from overbook_sandbox.kubevirt.documents import (
    APP_LABEL,
    CREATED_BY_LABEL,
    INSTANCES,
    KUBEVIRTS,
    LAUNCHER,
    MIGRATIONS,
    NAMESPACE,
    PODS,
    KubeVirtDocument,
)


class Store:
    """Local copies of objects, and requests where a copy may be outdated.

    Args:
        client: A client with the service account of KubeVirt's controller.
        changed: Called with a VM's key after a change that concerns it.
        migration_changed: Called with a migration's key after a change that concerns it.
    """

    def __init__(
        self, client: Client, changed: Callable[[str], None], migration_changed: Callable[[str], None]
    ) -> None:
        self.client = client
        self._changed = changed
        self._migration_changed = migration_changed
        self._pods = Reflector(
            client, PODS, label_selector=f"{APP_LABEL}={LAUNCHER}", on_change=self._pod_changed
        )
        self._instances = Reflector(client, INSTANCES, on_change=self._instance_changed)
        self._migrations = Reflector(client, MIGRATIONS, on_change=self._one_migration_changed)
        self.reflectors = (self._pods, self._instances, self._migrations)

    async def find(self, kind: Kind[KubeVirtDocument], key: str) -> KubeVirtDocument | None:
        """Read an object's present state; None if it does not exist."""
        namespace, _, name = key.partition("/")
        try:
            return await self.client.get(kind, name, namespace)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def pods_of(self, instance: KubeVirtDocument) -> list[KubeVirtDocument]:
        """Read a VM's present launcher pods, including finished ones."""
        selector = f"{CREATED_BY_LABEL}={instance.uid}"
        return [pod async for pod in self.client.list(PODS, instance.namespace, label_selector=selector)]

    async def migrations(self) -> list[KubeVirtDocument]:
        """Read all present migrations of the cluster, including finished ones."""
        return [each async for each in self.client.list(MIGRATIONS)]

    async def configuration(self) -> dict[str, Any]:
        """Read KubeVirt's settings."""
        kubevirt = await self.find(KUBEVIRTS, f"{NAMESPACE}/kubevirt")
        configuration: dict[str, Any] = kubevirt.spec.get("configuration", {}) if kubevirt else {}
        return configuration

    async def percent(self) -> int:
        """Read the percentage of memory overcommit, as it is now."""
        developer = (await self.configuration()).get("developerConfiguration", {})
        return int(developer.get("memoryOvercommit", 100))

    async def release(self, kind: Kind[KubeVirtDocument], obj: KubeVirtDocument, finalizer: str) -> None:
        """Remove a finalizer; a missing object is no error."""
        kept = [each for each in obj.metadata.finalizers if each != finalizer]
        meta = obj.metadata
        try:
            await self.client.merge_patch(kind, meta.name, {"metadata": {"finalizers": kept}}, meta.namespace)
        except ApiError as error:
            if error.status != 404:
                raise

    async def patch_instance(
        self, instance: KubeVirtDocument, status: dict[str, Any], labels: dict[str, str] | None = None
    ) -> None:
        """Change fields of a VM's status, and labels."""
        patch: dict[str, Any] = {"metadata": {"uid": instance.uid, "labels": labels or {}}, "status": status}
        await self.client.merge_patch(INSTANCES, instance.metadata.name, patch, instance.namespace)

    async def patch_pod(
        self,
        pod: KubeVirtDocument,
        metadata: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
    ) -> None:
        """Change a pod's metadata or its status."""
        name, own = pod.metadata.name, {"uid": pod.uid, **(metadata or {})}
        if metadata:
            await self.client.merge_patch(PODS, name, {"metadata": own}, pod.namespace)
        if status:
            patch = {"metadata": own, "status": status}
            await self.client.strategic_patch(PODS, name, patch, pod.namespace, "status")

    async def complete_pod(self, pod: KubeVirtDocument) -> None:
        """Let a pod end as one whose containers have exited with 0.

        The pod of a real kubelet is deleted instead: that kubelet owns the status of its pods, and nothing
        else here makes a launcher exit.
        """
        if _has_runtime(pod):
            await self.delete_pod(pod)
            return
        ready = {"type": "Ready", "status": "False", "reason": "PodCompleted"}
        await self.patch_pod(pod, status={"phase": "Succeeded", "conditions": [ready]})

    async def delete_pod(self, pod: KubeVirtDocument) -> None:
        """Delete a pod; a missing pod is no error."""
        try:
            await self.client.delete(PODS, pod.metadata.name, pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _pod_changed(self, _key: str, old: KubeVirtDocument | None, new: KubeVirtDocument | None) -> None:
        pod = new or old
        for owner in (pod and pod.metadata.owner_references) or ():
            if pod is not None and owner.kind == INSTANCES.kind:
                self._about(f"{pod.namespace}/{owner.name}")

    def _instance_changed(
        self, key: str, _old: KubeVirtDocument | None, _new: KubeVirtDocument | None
    ) -> None:
        self._about(key)

    def _one_migration_changed(
        self, key: str, old: KubeVirtDocument | None, new: KubeVirtDocument | None
    ) -> None:
        self._migration_changed(key)
        if (migration := new or old) is not None:
            self._changed(instance_key(migration))
            if new is None or new.is_finished:  # a waiting migration may now start
                for waiting, other in self._migrations.objects.items():
                    if other.phase == "Pending":
                        self._migration_changed(waiting)

    def _about(self, key: str) -> None:
        self._changed(key)
        for other, migration in self._migrations.objects.items():
            if instance_key(migration) == key and not migration.is_finished:
                self._migration_changed(other)


def _has_runtime(pod: KubeVirtDocument) -> bool:
    """Whether a container runtime runs the pod; pods of hollow nodes only have a status."""
    containers = [each.get("containerID") or "" for each in pod.status.get("containerStatuses") or ()]
    return any(each and not each.startswith(HOLLOW_RUNTIME) for each in containers)


def instance_key(migration: KubeVirtDocument) -> str:
    """The key of a migration's VM."""
    return f"{migration.namespace}/{migration.spec.get('vmiName', '')}"
