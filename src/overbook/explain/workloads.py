"""The pod that a workload would become, from a controller's template."""

from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, PodSpec, convert

TEMPLATE_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "Deployment": ("apps/",),
    "StatefulSet": ("apps/",),
    "DaemonSet": ("apps/",),
    "ReplicaSet": ("apps/",),
    "ReplicationController": ("v1",),
    "Job": ("batch/",),
    "CronJob": ("batch/",),
}
"""Kinds with a pod template, and how their ``apiVersion`` begins."""


class Workload(msgspec.Struct, frozen=True, gc=False):
    """The pod that an object becomes.

    Attributes:
        pod: the pod, without a UID; its name ends in ``*``.
        replicas: the number of such pods that the object requests; ``None``: not given (a DaemonSet runs one
            on each node).
        owners: the owner references of the object itself.
    """

    pod: Pod
    replicas: int | None = None
    owners: tuple[OwnerReference, ...] = ()


class _Template(KubeStruct, frozen=True):
    spec: PodSpec
    metadata: ObjectMeta = ObjectMeta()


class _Spec(KubeStruct, frozen=True):
    template: _Template | None = None
    replicas: int | None = None
    parallelism: int | None = None


class _JobTemplate(KubeStruct, frozen=True):
    spec: _Spec


class _CronSpec(KubeStruct, frozen=True):
    job_template: _JobTemplate


class _Controller(KubeStruct, frozen=True):
    spec: _Spec
    metadata: ObjectMeta = ObjectMeta()


class _CronJob(KubeStruct, frozen=True):
    spec: _CronSpec
    metadata: ObjectMeta = ObjectMeta()


def has_template(kind: str, api_version: str) -> bool:
    """Whether the object is a controller with a pod template."""
    return kind in TEMPLATE_KINDS and api_version.startswith(TEMPLATE_KINDS[kind])


def from_template(manifest: Any, where: str) -> Workload:
    """The pod of a Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job or CronJob.

    Args:
        manifest: the parsed object.
        where: the object, for messages.

    Raises:
        InvalidInput: a field has the wrong type, or there is no template.
    """
    kind = manifest["kind"]
    if kind == "CronJob":
        cron = convert(manifest, _CronJob, where)
        metadata, spec = cron.metadata, cron.spec.job_template.spec
    else:
        controller = convert(manifest, _Controller, where)
        metadata, spec = controller.metadata, controller.spec
    if spec.template is None:
        raise InvalidInput(f"{where} spec.template", None, "a pod template")
    template = spec.template
    replicas = {"DaemonSet": None, "Job": spec.parallelism or 1, "CronJob": spec.parallelism or 1}.get(
        kind, 1 if spec.replicas is None else spec.replicas
    )
    owner = OwnerReference(manifest["apiVersion"], kind, metadata.name, metadata.uid or "", controller=True)
    pod = Pod(
        api_version="v1",
        kind="Pod",
        metadata=ObjectMeta(
            namespace=metadata.namespace,
            generate_name=f"{metadata.name or metadata.generate_name or ''}-",
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            owner_references=(owner,),
        ),
        spec=template.spec,
    )
    return Workload(pod, replicas, metadata.owner_references or ())
