"""The objects in the input that concern pods: pods, objects that create pods, and namespaces.

An object is counted once: a Deployment is left out if its ReplicaSet or pods are in the input, and a
VirtualMachine if its launcher pod is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, convert
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN, Release
from overbook.core.kubevirt.vm import INSTANCE_KIND, VirtualMachineInstance, is_kubevirt, owning_instance
from overbook.explain.workloads import (
    VIRTUAL_MACHINE_KINDS,
    Workload,
    from_template,
    from_virtual_machine,
    has_template,
)
from overbook.kube.files.manifests import Document, kind_of

NAMESPACE_UNSET: Final = "default"
"""Phases of pods that hold no memory any more."""
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
        vmi: the virtual machine in the pod, where its manifest is in the input.
        instancetype: the VM's instancetype, which is not read.
        owners: the owner references of the object.
        running: whether the pod itself was in the input.
    """

    where: str
    kind: str
    name: str
    pod: Pod
    replicas: int | None = 1
    vmi: VirtualMachineInstance | None = None
    instancetype: str | None = None
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
    """

    found: tuple[Found, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    ignored: Mapping[str, int]


def take_inventory(
    documents: Iterable[Document], policy: LauncherPolicy | None = None, running: Release = MAIN
) -> Inventory:
    """Decode the objects that concern pods, without those that another object of the input represents.

    Args:
        documents: the objects.
        policy: the cluster's settings that decide the requests of a VM's pod.
        running: the KubeVirt release.

    Raises:
        InvalidInput: an object does not fit its kind, or is in the input twice.
    """
    policy = policy or LauncherPolicy()
    seen: dict[_Identity, Document] = {}
    found: list[tuple[_Identity, Found]] = []
    namespaces: dict[str, Mapping[str, str]] = {}
    ignored: Counter[str] = Counter()
    for document in documents:
        kind = kind_of(document)
        manifest = document.manifest
        if kind == "Namespace":
            name, annotations = _namespace(document)
            namespaces[name] = annotations
            continue
        one = _found(document, kind, policy, running)
        if one is None:
            ignored[kind] += 1
            continue
        if one.pod.has_ended:
            ignored["finished Pod"] += 1
            continue
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
        elif not (isinstance(manifest, Pod) or _generated(manifest)):
            raise InvalidInput(f"{document.where}: {kind}: metadata.name", "", "a name")
        found.append((identity, one))
    return Inventory(_without_represented(found), namespaces, dict(ignored))


def _found(document: Document, kind: str, policy: LauncherPolicy, running: Release) -> Found | None:
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
            made = from_template(manifest, where)
        elif kind in VIRTUAL_MACHINE_KINDS and is_kubevirt(version):
            made = from_virtual_machine(manifest, where, policy, running)
        else:
            return None
    except RecursionError as error:
        raise InvalidInput(document.where, "too many levels", "less nesting") from error
    return _made(document, kind, label, made)


def _running(document: Document, pod: Pod) -> Found:
    return Found(document.where, "Pod", pod.label, pod, owners=pod.metadata.owner_references or ())


def _made(document: Document, kind: str, label: str, made: Workload) -> Found:
    return Found(
        document.where,
        kind,
        label,
        made.pod,
        made.replicas,
        made.vmi,
        made.instancetype,
        made.owners,
        running=False,
    )


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


def _namespace(document: Document) -> tuple[str, Mapping[str, str]]:
    decoded = convert(document.manifest, _Namespace, f"{document.where}: Namespace:")
    return decoded.metadata.name, decoded.metadata.annotations or {}


def _label(manifest: Any) -> str:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return f"{NAMESPACE_UNSET}/"
    return f"{metadata.get('namespace') or NAMESPACE_UNSET}/{metadata.get('name') or ''}"


def _generated(manifest: Any) -> bool:
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("generateName"))
