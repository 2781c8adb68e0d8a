"""The pod that a workload would become, from a controller's template."""

from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, PodSpec, convert

KNATIVE_GROUP: Final = "serving.knative.dev"
SERVICE_LABEL: Final = "serving.knative.dev/service"
"""On the objects that Knative makes of a Service: the Service's name."""
LEAST_SCALE: Final = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")
"""Annotations of a Knative Service's template: how many pods run without any traffic."""
TEMPLATE_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "Deployment": ("apps/",),
    "StatefulSet": ("apps/",),
    "DaemonSet": ("apps/",),
    "ReplicaSet": ("apps/",),
    "ReplicationController": ("v1",),
    "Job": ("batch/",),
    "CronJob": ("batch/",),
    "DeploymentConfig": ("apps.openshift.io/", "v1"),
    "Rollout": ("argoproj.io/",),
    "Service": (f"{KNATIVE_GROUP}/",),
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
    completions: int | None = None


class _JobTemplate(KubeStruct, frozen=True):
    spec: _Spec


class _CronSpec(KubeStruct, frozen=True):
    job_template: _JobTemplate


class _JobStatus(KubeStruct, frozen=True):
    succeeded: int | None = None
    active: int | None = None


class _Controller(KubeStruct, frozen=True):
    spec: _Spec
    metadata: ObjectMeta = ObjectMeta()


class _Job(_Controller, frozen=True):
    status: _JobStatus | None = None


class _CronJob(KubeStruct, frozen=True):
    spec: _CronSpec
    metadata: ObjectMeta = ObjectMeta()


def has_template(kind: str, api_version: str) -> bool:
    """Whether the object is a controller with a pod template."""
    return kind in TEMPLATE_KINDS and api_version.startswith(TEMPLATE_KINDS[kind])


def from_template(manifest: Any, where: str) -> Workload:
    """The pod of a workload of :data:`TEMPLATE_KINDS`.

    Args:
        manifest: the parsed object.
        where: the object, for messages.

    Raises:
        InvalidInput: a field has the wrong type, or there is no template.
    """
    kind = manifest["kind"]
    status = _JobStatus()
    if kind == "CronJob":
        cron = convert(manifest, _CronJob, where)
        metadata, spec = cron.metadata, cron.spec.job_template.spec
    elif kind == "Job":
        job = convert(manifest, _Job, where)
        metadata, spec, status = job.metadata, job.spec, job.status or status
    else:
        controller = convert(manifest, _Controller, where)
        metadata, spec = controller.metadata, controller.spec
    if spec.template is None:
        raise InvalidInput(f"{where} spec.template", None, "a pod template")
    template = spec.template
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
        spec=_with_names(template.spec) if kind == "Service" else template.spec,
    )
    owners = metadata.owner_references or ()
    service = service_of(metadata.labels)
    return Workload(pod, _replicas(kind, spec, status), owners if service is None else (*owners, service))


def _replicas(kind: str, spec: _Spec, status: _JobStatus) -> int | None:
    match kind:
        case "DaemonSet":
            return None
        case "Job" | "CronJob":
            at_once = 1 if spec.parallelism is None else spec.parallelism
            reached = status.succeeded or 0
            if spec.completions is not None:
                return max(0, min(at_once, spec.completions - reached))
            # Once a pod of a work queue has succeeded, no other is started.
            return min(at_once, status.active or 0) if reached else at_once
        case "Service":
            annotations = (spec.template and spec.template.metadata.annotations) or {}
            least = next((annotations[name] for name in LEAST_SCALE if name in annotations), "")
            return max(1, int(least)) if least.isascii() and least.isdigit() else 1
    return 1 if spec.replicas is None else spec.replicas


def _with_names(spec: PodSpec) -> PodSpec:
    """The containers of a Knative Service with the names that Knative gives to those without one."""
    containers = spec.containers or ()
    names = [f"user-container-{number}" for number in range(len(containers))]
    if len(containers) == 1:
        names = ["user-container"]
    return msgspec.structs.replace(
        spec,
        containers=tuple(
            container if container.name else msgspec.structs.replace(container, name=name)
            for container, name in zip(containers, names, strict=True)
        ),
    )


def service_of(labels: dict[str, str] | None) -> OwnerReference | None:
    """The Knative Service that an object belongs to by its labels.

    Between the two are Revisions and Deployments, of which a list often has not all.
    """
    name = (labels or {}).get(SERVICE_LABEL)
    return None if not name else OwnerReference(f"{KNATIVE_GROUP}/v1", "Service", name, controller=True)


def referred_deployment(kind: str, manifest: Any) -> str | None:
    """The Deployment whose template a Rollout uses; ``None``: it has one of its own."""
    spec = manifest.get("spec") if kind == "Rollout" else None
    reference = spec.get("workloadRef") if isinstance(spec, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    of_deployment = isinstance(reference, dict) and reference.get("kind", "Deployment") == "Deployment"
    return name if isinstance(name, str) and of_deployment else None
