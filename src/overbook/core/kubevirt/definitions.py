"""The objects that define VMs, and the instances that KubeVirt makes of them.

A VirtualMachine defines one VM; a VirtualMachinePool and a VirtualMachineInstanceReplicaSet define several. A
VM's own labels and annotations do not reach its instance; those of its template do. Sources:
``kubevirt.io/api/core/v1``, ``kubevirt.io/api/pool`` and ``pkg/virt-controller/watch`` of KubeVirt main of
2026-08.
"""

from typing import Any, Final, Literal

from msgspec.structs import replace

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, convert
from overbook.core.kubevirt.vm import (
    INSTANCE_KIND,
    VM_KIND,
    InstanceSpec,
    VirtualMachineInstance,
    is_kubevirt,
)

POOL_KIND: Final = "VirtualMachinePool"
REPLICA_SET_KIND: Final = "VirtualMachineInstanceReplicaSet"
POOL_GROUP: Final = "pool.kubevirt.io"
RUN_STRATEGIES: Final = ("Always", "RerunOnFailure", "Once", "Manual", "Halted", "WaitAsReceiver")

_WITH_INSTANCE: Final = frozenset(
    {
        "Running",
        "Paused",
        "Migrating",
        "Starting",
        "Stopping",
        "ErrorUnschedulable",
        "ErrorPvcNotFound",
        "ErrImagePull",
        "ImagePullBackOff",
    }
)
"""``status.printableStatus`` of VMs that have an instance; the other words are about their disks."""


class Matcher(KubeStruct, frozen=True):
    """A reference to an instancetype or a preference.

    Attributes:
        kind: its kind; empty: the cluster's.
        name: its name; KubeVirt fills it in where it is inferred from a volume.
        revision_name: the ControllerRevision that keeps it as it was when the VM was first started.
        infer_from_volume: the volume whose labels name it.
    """

    kind: str | None = None
    name: str | None = None
    revision_name: str | None = None
    infer_from_volume: str | None = None

    @property
    def of_cluster(self) -> bool:
        """Whether the object belongs to no namespace."""
        return not self.kind or "cluster" in self.kind.lower()


class _RevisionReference(KubeStruct, frozen=True):
    name: str | None = None


class _StoredReference(KubeStruct, frozen=True):
    controller_revision_ref: _RevisionReference | None = None


class _Template(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: InstanceSpec = InstanceSpec()


class _StateChange(KubeStruct, frozen=True):
    action: str = ""


class _VmStatus(KubeStruct, frozen=True):
    created: bool | None = None
    ready: bool | None = None
    printable_status: str | None = None
    state_change_requests: tuple[_StateChange, ...] | None = None
    instancetype_ref: _StoredReference | None = None
    preference_ref: _StoredReference | None = None


class _VmSpec(KubeStruct, frozen=True):
    template: _Template | None = None
    running: bool | None = None
    run_strategy: str | None = None
    instancetype: Matcher | None = None
    preference: Matcher | None = None


class VirtualMachine(KubeStruct, frozen=True):
    """A virtual machine's definition, with the template of its instance."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: _VmSpec = _VmSpec()
    status: _VmStatus | None = None

    def instance(self) -> VirtualMachineInstance:
        """The instance that is created at start, without the additions of an instancetype or a preference."""
        template = self.spec.template or _Template()
        metadata = replace(
            self.metadata, labels=template.metadata.labels, annotations=template.metadata.annotations
        )
        return VirtualMachineInstance(
            api_version=self.api_version, kind=INSTANCE_KIND, metadata=metadata, spec=template.spec
        )

    @property
    def instancetype(self) -> Matcher | None:
        """The instancetype, with the revision that KubeVirt stored for this VM."""
        return _with_revision(self.spec.instancetype, self.status.instancetype_ref if self.status else None)

    @property
    def preference(self) -> Matcher | None:
        """The preference, with the revision that KubeVirt stored for this VM."""
        return _with_revision(self.spec.preference, self.status.preference_ref if self.status else None)

    @property
    def stopped_because(self) -> str:
        """Why the VM does not run and is not about to; empty: it runs, or will."""
        status = self.status or _VmStatus()
        if any(change.action == "Start" for change in status.state_change_requests or ()):
            return ""
        strategy = self.spec.run_strategy
        # An instance that has ended may still be there: the VM is Stopped all the same.
        created = (status.created or status.ready) and status.printable_status != "Stopped"
        exists = created or status.printable_status in _WITH_INSTANCE
        if exists or strategy == "Always" or self.spec.running:
            return ""
        if strategy == "Halted":
            return "runStrategy Halted"
        if strategy is None and self.spec.running is False:
            return "running: false"
        if strategy in ("Manual", "WaitAsReceiver"):
            return f"runStrategy {strategy}, and it was not started"
        if strategy in ("Once", "RerunOnFailure") and status.printable_status == "Stopped":
            return f"runStrategy {strategy}, and it has ended"
        return ""

    @property
    def refusal(self) -> str:
        """Why KubeVirt refuses the definition itself; empty: it does not."""
        strategy = self.spec.run_strategy
        if self.spec.template is None:
            return "spec.template is missing"
        if (strategy is None) == (self.spec.running is None):
            return "exactly one of spec.runStrategy and spec.running must be given"
        if strategy is not None and strategy not in RUN_STRATEGIES:
            return f"spec.runStrategy {strategy} is not one of {', '.join(RUN_STRATEGIES)}"
        return ""


class _ReplicaSetSpec(KubeStruct, frozen=True):
    replicas: int | None = None
    template: _Template | None = None


class _ReplicaSet(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _ReplicaSetSpec = _ReplicaSetSpec()


class _VmTemplate(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _VmSpec = _VmSpec()


class _PoolSpec(KubeStruct, frozen=True):
    replicas: int | None = None
    virtual_machine_template: _VmTemplate = _VmTemplate()


class _Pool(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _PoolSpec = _PoolSpec()


def defines_vm(kind: str, api_version: object) -> bool:
    """Whether the object is a VM, an instance, or defines several of them."""
    if kind == POOL_KIND:
        return isinstance(api_version, str) and api_version.startswith(f"{POOL_GROUP}/")
    return kind in (VM_KIND, INSTANCE_KIND, REPLICA_SET_KIND) and is_kubevirt(api_version)


def decode_definition(manifest: Any, label: str) -> tuple[VirtualMachine | VirtualMachineInstance, int]:
    """The VM or instance that a parsed object defines, and how many of them.

    A VM of a pool, or an instance of a set, has the owner's name.

    Args:
        manifest: an object of the kinds of :func:`defines_vm`.
        label: the object, for messages.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    kind = manifest["kind"]
    if kind == INSTANCE_KIND:
        return convert(manifest, VirtualMachineInstance, label), 1
    if kind == VM_KIND:
        return convert(manifest, VirtualMachine, label), 1
    if kind == POOL_KIND:
        pool = convert(manifest, _Pool, label)
        template = pool.spec.virtual_machine_template
        vm = VirtualMachine(
            api_version="kubevirt.io/v1", kind=VM_KIND, metadata=pool.metadata, spec=template.spec
        )
        return vm, _replicas(pool.spec.replicas)
    owner = convert(manifest, _ReplicaSet, label)
    template_of_set = owner.spec.template or _Template()
    metadata = replace(
        owner.metadata,
        labels=template_of_set.metadata.labels,
        annotations=template_of_set.metadata.annotations,
    )
    instance = VirtualMachineInstance(
        api_version=manifest["apiVersion"], kind=INSTANCE_KIND, metadata=metadata, spec=template_of_set.spec
    )
    return instance, _replicas(owner.spec.replicas)


def decode_virtual_machine(manifest: Any) -> VirtualMachineInstance:
    """The instance that a parsed VirtualMachine or VirtualMachineInstance manifest describes.

    Raises:
        InvalidInput: the manifest is neither of them, or a field has the wrong type.
    """
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind not in (VM_KIND, INSTANCE_KIND):
        raise InvalidInput("kind", kind, f"VirtualMachine or {INSTANCE_KIND}")
    if not is_kubevirt(manifest.get("apiVersion")):
        raise InvalidInput("apiVersion", manifest.get("apiVersion"), "kubevirt.io/v1")
    decoded, _ = decode_definition(manifest, kind)
    return decoded.instance() if isinstance(decoded, VirtualMachine) else decoded


def has_ended(manifest: Any) -> Literal["Succeeded", "Failed", ""]:
    """The final phase of a parsed VirtualMachineInstance; empty: it has not ended."""
    status = manifest.get("status")
    phase = status.get("phase") if isinstance(status, dict) else None
    return phase if phase in ("Succeeded", "Failed") else ""


def _replicas(written: int | None) -> int:
    return 1 if written is None else max(0, written)


def _with_revision(matcher: Matcher | None, stored: _StoredReference | None) -> Matcher | None:
    reference = stored.controller_revision_ref if stored else None
    if matcher is None or reference is None or not reference.name or matcher.revision_name:
        return matcher
    return replace(matcher, revision_name=reference.name)
