"""The pod that a workload would become: from a controller's template, or a virtual machine's launcher pod."""

from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import (
    Container,
    KubeStruct,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodSpec,
    ResourceList,
    ResourceRequirements,
    convert,
)
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts
from overbook.core.kubevirt.memory import LauncherPolicy, launcher_memory
from overbook.core.kubevirt.overhead import OVERHEAD_ANNOTATION, Release
from overbook.core.kubevirt.vm import (
    COMPUTE_CONTAINER,
    INSTANCE_KIND,
    VirtualMachineInstance,
    decode_virtual_machine,
)

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
VIRTUAL_MACHINE_KINDS: Final = ("VirtualMachine", INSTANCE_KIND)


class Workload(msgspec.Struct, frozen=True, gc=False):
    """The pod that an object becomes.

    Attributes:
        pod: the pod, without a UID; its name ends in ``*``.
        replicas: the number of such pods that the object requests; ``None``: not given (a DaemonSet runs one
            on each node).
        owners: the owner references of the object itself.
        vmi: the virtual machine in the pod.
        instancetype: the instancetype that the VM's size comes from, which is not in the manifest.
    """

    pod: Pod
    replicas: int | None = None
    owners: tuple[OwnerReference, ...] = ()
    vmi: VirtualMachineInstance | None = None
    instancetype: str | None = None


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


def from_virtual_machine(manifest: Any, where: str, policy: LauncherPolicy, running: Release) -> Workload:
    """The launcher pod of a VirtualMachine or VirtualMachineInstance.

    The pod has only the compute container: the containers that KubeVirt adds for container disks, hooks and
    the guest's console take a few tens of megabytes, which depend on its configuration.

    Args:
        manifest: the parsed object.
        where: the object, for messages.
        policy: the cluster's settings, the percentage among them.
        running: the KubeVirt release.

    Raises:
        InvalidInput: a field has the wrong type or a quantity is not valid.
    """
    try:
        vmi = decode_virtual_machine(manifest)
        memory = launcher_memory(vmi, policy, running=running)
    except InvalidInput as error:
        raise error.inside(f"{where} ") from error
    metadata = vmi.metadata
    owner = OwnerReference(
        vmi.api_version or "kubevirt.io/v1", INSTANCE_KIND, metadata.name, metadata.uid or "", controller=True
    )
    requests, limits = memory.resources.requests, memory.resources.limits
    compute = Container(
        name=COMPUTE_CONTAINER,
        resources=ResourceRequirements(requests=_listed(requests), limits=_listed(limits)),
    )
    pod = Pod(
        api_version="v1",
        kind="Pod",
        metadata=ObjectMeta(
            namespace=metadata.namespace,
            generate_name=f"virt-launcher-{metadata.name or metadata.generate_name or ''}-",
            annotations={
                **(metadata.annotations or {}),
                "kubevirt.io/domain": metadata.name,
                OVERHEAD_ANNOTATION: str(memory.overhead_bytes),
            },
            owner_references=(owner,),
        ),
        spec=PodSpec(containers=(compute,)),
    )
    spec = manifest.get("spec") or {}
    instancetype = spec.get("instancetype") if manifest["kind"] == "VirtualMachine" else None
    named = instancetype.get("name") if isinstance(instancetype, dict) else None
    named = named if isinstance(named, str) else None
    return Workload(pod, 1, metadata.owner_references or (), vmi, named)


def _listed(amounts: Amounts) -> ResourceList | None:
    listed: ResourceList = {}
    if amounts.cpu_milli is not None:
        listed[CPU] = f"{amounts.cpu_milli}m"
    if amounts.memory_bytes is not None:
        listed[MEMORY] = str(amounts.memory_bytes)
    return listed or None
