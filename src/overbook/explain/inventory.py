"""The objects in the input that concern pods: pods, objects that create pods, and namespaces.

An object is counted once: a Deployment is left out if its ReplicaSet or pods are in the input, and a
VirtualMachine if its launcher pod is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, convert
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN, Release
from overbook.core.kubevirt.vm import INSTANCE_KIND, VirtualMachineInstance, owning_instance
from overbook.explain.workloads import Workload, from_template, has_template
from overbook.kube.files.manifests import Document, kind_of

if TYPE_CHECKING:
    from overbook.core.kubevirt.settings import VmSettings
    from overbook.explain.virtual_machines import VmInput

NAMESPACE_UNSET: Final = "default"
"""Phases of pods that hold no memory any more."""
VM_KINDS: Final = frozenset(
    {
        "VirtualMachine",
        INSTANCE_KIND,
        "VirtualMachinePool",
        "VirtualMachineInstanceReplicaSet",
        "KubeVirt",
        "HyperConverged",
        "VirtualMachineInstancetype",
        "VirtualMachineClusterInstancetype",
        "VirtualMachinePreference",
        "VirtualMachineClusterPreference",
        "ControllerRevision",
        "ResourceQuota",
    }
)
"""Kinds that define VMs or decide about their pods; without them the rules for VMs are not imported."""
_Identity = tuple[str, str, str]
_NOBODY: Final = ("", "", "")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A pod, or an object and the pod that it becomes.

    Attributes:
        where: the file and document, for messages.
        kind: the object's kind.
        name: the object as ``namespace/name``.
        pod: the pod.
        replicas: the number of such pods that the object requests; ``None``: not given.
        vmi: the virtual machine in the pod, where its manifest is in the input, with KubeVirt's defaults.
        missing: the VM's instancetype or preference, where the input does not have it; its size is unknown.
        refusal: why KubeVirt or the API server refuses the VM; empty: neither does.
        owners: the owner references of the object.
        running: whether the pod itself was in the input.
    """

    where: str
    kind: str
    name: str
    pod: Pod
    replicas: int | None = 1
    vmi: VirtualMachineInstance | None = None
    missing: str = ""
    refusal: str = ""
    owners: tuple[OwnerReference, ...] = ()
    running: bool = True

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.pod.metadata.namespace or NAMESPACE_UNSET


class _Namespace(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class Inventory(msgspec.Struct, frozen=True, gc=False):
    """The objects in the input.

    Attributes:
        found: pods and objects that create pods, in the order of the input.
        namespaces: annotations of the Namespace objects in the input, by name.
        ignored: kinds that do not concern pods, and the number of objects of each.
        vm_settings: the settings that a KubeVirt or HyperConverged object of the input gives; ``None``: it
            has neither.
    """

    found: tuple[Found, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    ignored: Mapping[str, int]
    vm_settings: "VmSettings | None" = None


def take_inventory(
    documents: Iterable[Document],
    policy: LauncherPolicy | None = None,
    running: Release = MAIN,
    *,
    percent_given: bool = True,
) -> Inventory:
    """Decode the objects that concern pods, without those that another object of the input represents.

    Args:
        documents: the objects.
        policy: the cluster's settings that decide the requests of a VM's pod.
        running: the KubeVirt release.
        percent_given: whether the policy's percentage wins over that of a KubeVirt or HyperConverged object
            in the input.

    Raises:
        InvalidInput: an object does not fit its kind, or is in the input twice.
    """
    vms = _WaitingVms(policy or LauncherPolicy(), running, percent_given=percent_given)
    seen: dict[_Identity, Document] = {}
    found: list[tuple[_Identity, Found]] = []
    namespaces: dict[str, Mapping[str, str]] = {}
    ignored: Counter[str] = Counter()
    for document in documents:
        kind = kind_of(document)
        if kind == "Namespace":
            metadata = _namespace(document)
            namespaces[metadata.name] = metadata.annotations or {}
            vms.labels[metadata.name] = metadata.labels or {}
            continue
        if kind in VM_KINDS and vms.take(document, kind, len(found)):
            continue
        one = _found(document, kind)
        if one is None:
            ignored[kind] += 1
            continue
        if one.pod.has_ended:
            ignored["finished Pod"] += 1
            continue
        found.append((_identity(seen, document, kind, one), one))
    found = vms.merged(found, seen, ignored)
    return Inventory(_without_represented(found), namespaces, dict(ignored), vms.settings)


class _WaitingVms:
    """The VMs in the input, which become pods at its end, and the objects that decide about them.

    Attributes:
        labels: the labels of the namespaces in the input.
    """

    def __init__(self, policy: LauncherPolicy, running: Release, *, percent_given: bool) -> None:
        self.labels: dict[str, dict[str, str]] = {}
        self._arguments = (policy, running, percent_given)
        self._input: VmInput | None = None
        self._waiting: list[tuple[int, Document, str]] = []

    def take(self, document: Document, kind: str, place: int) -> bool:
        """Keep an object of ``VM_KINDS`` that stands at this place; whether it is of a group that counts."""
        from overbook.explain.virtual_machines import (  # noqa: PLC0415 - most inputs have none
            VmInput,
            defines_vm,
        )

        if self._input is None:
            policy, running, percent_given = self._arguments
            self._input = VmInput(policy, running, self.labels, percent_given=percent_given)
        manifest = document.manifest
        if defines_vm(kind, manifest["apiVersion"]):
            self._waiting.append((place, document, kind))
            return True
        return self._input.take(kind, manifest, f"{document.where}: {kind} {_label(manifest)}:")

    @property
    def settings(self) -> "VmSettings | None":
        """The settings that an object of the input gives."""
        return self._input.given_settings if self._input is not None else None

    def merged(
        self, found: list[tuple[_Identity, Found]], seen: dict[_Identity, Document], ignored: Counter[str]
    ) -> list[tuple[_Identity, Found]]:
        """The objects with the VMs among them, at their places; those that do not run are counted."""
        if self._input is None:
            return found
        if not self._waiting:
            ignored.update(self._input.of_vms_alone)
        merged: list[tuple[_Identity, Found]] = []
        start = 0
        for place, document, kind in self._waiting:
            merged += found[start:place]
            start = place
            made = _virtual_machine(document, kind, self._input)
            if isinstance(made, str):
                ignored[made] += 1
            else:
                merged.append((_identity(seen, document, kind, made), made))
        return merged + found[start:]


def _identity(seen: dict[_Identity, Document], document: Document, kind: str, one: Found) -> _Identity:
    """The object's identity, which no other object of the input may have."""
    name = one.pod.metadata.name if kind == "Pod" else one.name.partition("/")[2]
    identity = (kind, one.namespace, name)
    if name:
        if identity in seen:
            raise InvalidInput(
                document.where,
                f"{kind} {one.name}",
                f"each object once; it is in {seen[identity].where}, too",
            )
        seen[identity] = document
    elif not (isinstance(document.manifest, Pod) or _generated(document.manifest)):
        raise InvalidInput(f"{document.where}: {kind}: metadata.name", "", "a name")
    return identity


def _found(document: Document, kind: str) -> Found | None:
    manifest = document.manifest
    if isinstance(manifest, Pod):
        return _running(document, manifest)
    version = manifest["apiVersion"]
    label = _label(manifest)
    where = f"{document.where}: {kind} {label}:"
    try:
        if kind == "Pod" and version == "v1":
            return _running(document, convert(manifest, Pod, where))
        if has_template(kind, version):
            return _made(document, kind, label, from_template(manifest, where))
    except RecursionError as error:
        raise InvalidInput(document.where, "too many levels", "less nesting") from error
    return None


def _virtual_machine(document: Document, kind: str, vms: "VmInput") -> Found | str:
    """The pod of a VM's definition, or for one that has no pod the words under which it is left out."""
    manifest = document.manifest
    label = _label(manifest)
    try:
        made = vms.made(manifest, f"{document.where}: {kind} {label}:")
    except RecursionError as error:
        raise InvalidInput(document.where, "too many levels", "less nesting") from error
    if made.stopped:
        return f"{'finished' if kind == INSTANCE_KIND else 'stopped'} {kind}"
    return Found(
        document.where,
        kind,
        label,
        made.pod,
        made.replicas,
        made.vmi,
        made.missing,
        made.refusal,
        made.owners,
        running=False,
    )


def _running(document: Document, pod: Pod) -> Found:
    return Found(document.where, "Pod", pod.label, pod, owners=pod.metadata.owner_references or ())


def _made(document: Document, kind: str, label: str, made: Workload) -> Found:
    return Found(document.where, kind, label, made.pod, made.replicas, owners=made.owners, running=False)


def _without_represented(found: list[tuple[_Identity, Found]]) -> tuple[Found, ...]:
    """The objects without the owners of others in the list; a VM's manifest is kept with its pod."""
    owners: set[_Identity] = set()
    instances: dict[tuple[str, str], VirtualMachineInstance] = {}
    for identity, one in found:
        for reference in one.owners:
            if reference.controller:
                owners.add((reference.kind, one.namespace, reference.name))
        if one.vmi is not None:
            instances[one.namespace, one.vmi.metadata.name] = one.vmi
            owners.add(("VirtualMachine", *identity[1:]) if one.kind == INSTANCE_KIND else _NOBODY)
        instance = owning_instance(one.pod) if one.running else None
        if instance is not None:
            # A VirtualMachine and its VirtualMachineInstance have the same name.
            owners.add(("VirtualMachine", one.namespace, instance.name))
    kept: list[Found] = []
    for identity, one in found:
        idle = one.replicas == 0 and any(reference.controller for reference in one.owners)
        if identity in owners or idle:
            continue
        instance = owning_instance(one.pod) if one.running and instances else None
        vmi = instances.get((one.namespace, instance.name)) if instance else None
        kept.append(msgspec.structs.replace(one, vmi=vmi) if vmi else one)
    return tuple(kept)


def _namespace(document: Document) -> ObjectMeta:
    return convert(document.manifest, _Namespace, f"{document.where}: Namespace:").metadata


def _label(manifest: Any) -> str:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return f"{NAMESPACE_UNSET}/"
    return f"{metadata.get('namespace') or NAMESPACE_UNSET}/{metadata.get('name') or ''}"


def _generated(manifest: Any) -> bool:
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("generateName"))
