"""A VM's pod from its definition: instancetype and preference, KubeVirt's defaults, its checks, the pod.

The objects that a definition refers to stand in a :class:`Catalog`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, KubeStruct, ObjectMeta, Pod, convert
from overbook.core.kubernetes.quantity import from_raw
from overbook.core.kubevirt.defaults import with_vm_defaults
from overbook.core.kubevirt.definitions import Matcher, VirtualMachine
from overbook.core.kubevirt.instancetype import InstancetypeSpec, applied, decode_instancetype
from overbook.core.kubevirt.launcher import launcher_pod
from overbook.core.kubevirt.memory import HUGEPAGES_PREFIX, LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN, Release
from overbook.core.kubevirt.preference import PreferenceSpec, decode_preference, unmet_requirement
from overbook.core.kubevirt.refusals import vm_refusal
from overbook.core.kubevirt.vm import VirtualMachineInstance

_KINDS: Final = {
    "VirtualMachineInstancetype": "instancetype",
    "VirtualMachineClusterInstancetype": "instancetype",
    "VirtualMachinePreference": "preference",
    "VirtualMachineClusterPreference": "preference",
}
CATALOG_KINDS: Final = (*_KINDS, "ControllerRevision")


class _Named(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class Catalog:
    """The instancetypes, preferences and stored revisions that VMs may refer to."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str, str], Any] = {}

    def add(self, manifest: Any) -> None:
        """Add a parsed object of the kinds of ``CATALOG_KINDS``; a later one of the same name wins.

        Raises:
            InvalidInput: its name or namespace is no text.
        """
        kind = manifest["kind"]
        metadata = convert(manifest, _Named, f"{kind}:").metadata
        namespace = "" if "Cluster" in kind else metadata.namespace or "default"
        self._objects[_KINDS.get(kind, "revision"), namespace, metadata.name] = manifest

    def instancetype(self, matcher: Matcher, namespace: str) -> InstancetypeSpec | None:
        """The instancetype that a VM refers to; ``None``: it is not here.

        Raises:
            InvalidInput: the instancetype has a field of the wrong type.
        """
        found = self._found("instancetype", matcher, namespace)
        return None if found is None else decode_instancetype(found, f"instancetype {matcher.name}")

    def preference(self, matcher: Matcher, namespace: str) -> PreferenceSpec | None:
        """The preference that a VM refers to; ``None``: it is not here.

        Raises:
            InvalidInput: the preference has a field of the wrong type.
        """
        found = self._found("preference", matcher, namespace)
        return None if found is None else decode_preference(found, f"preference {matcher.name}")

    def _found(self, what: str, matcher: Matcher, namespace: str) -> Any:
        """The object, as it was when the VM was first started where its revision is here."""
        namespace = namespace or "default"
        revision = self._objects.get(("revision", namespace, matcher.revision_name or ""))
        if revision is not None and isinstance(revision.get("data"), dict):
            return revision["data"]
        return self._objects.get((what, "" if matcher.of_cluster else namespace, matcher.name or ""))


class MadeVm(msgspec.Struct, frozen=True, gc=False):
    """A VM as KubeVirt stores it, and its pod.

    Attributes:
        vmi: the VM with its instancetype, its preference and KubeVirt's defaults.
        pod: the launcher pod as KubeVirt creates it, also where ``refusal`` says that it never does.
        refusal: why the VM is refused or its pod is; empty: neither is.
        missing: the instancetype or preference that the VM refers to and that is not in the catalog.
    """

    vmi: VirtualMachineInstance
    pod: Pod
    refusal: str = ""
    missing: str = ""


def made_vm(
    definition: VirtualMachine | VirtualMachineInstance,
    policy: LauncherPolicy,
    catalog: Catalog,
    running: Release = MAIN,
) -> MadeVm:
    """The VM and the pod that KubeVirt makes of a definition.

    Args:
        definition: the object as a user submits it, or as the cluster stores it.
        policy: the settings of the cluster and of the VM's namespace.
        catalog: the instancetypes and preferences.
        running: the KubeVirt release.

    Raises:
        InvalidInput: a quantity that the API server refuses, or a setting out of range.
    """
    missing = refusal = ""
    instancetype = preference = None
    if isinstance(definition, VirtualMachine):
        vmi = definition.instance()
        refusal = definition.refusal
        namespace = definition.metadata.namespace or "default"
        if definition.instancetype is not None:
            instancetype = catalog.instancetype(definition.instancetype, namespace)
            missing = "" if instancetype else f"instancetype {_name(definition.instancetype)}"
        if definition.preference is not None:
            preference = catalog.preference(definition.preference, namespace)
            missing = missing or ("" if preference else f"preference {_name(definition.preference)}")
        try:
            vmi = applied(vmi, instancetype, preference)
        except InvalidInput as error:
            refusal = refusal or str(error)
    else:
        vmi = definition
    vmi = with_vm_defaults(vmi, policy)
    pod = launcher_pod(vmi, policy, running=running)
    # Without the instancetype the size is not known, and nothing can be said about it.
    if not missing and not refusal:
        vcpus = instancetype.cpu.guest if instancetype is not None else None
        refusal = (
            (unmet_requirement(vmi, preference, vcpus) if preference is not None else "")
            or vm_refusal(vmi, policy, grows=isinstance(definition, VirtualMachine))
            or next(_page_refusals(pod.containers), "")
        )
    return MadeVm(vmi, pod, refusal, missing)


def _name(matcher: Matcher) -> str:
    return matcher.name or f"inferred from volume {matcher.infer_from_volume}"


def _page_refusals(containers: Iterable[Container]) -> Iterator[str]:
    """The API server's reasons against the large pages of a pod: only whole pages can be requested."""
    for container in containers:
        for name, raw in ((container.resources and container.resources.requests) or {}).items():
            if name.startswith(HUGEPAGES_PREFIX):
                page, pages = from_raw(name.removeprefix(HUGEPAGES_PREFIX)).value(), from_raw(raw).value()
                if pages <= 0 or pages % page:
                    yield (
                        f"the API server refuses the pod: {pages} bytes of {name} are not a multiple of the "
                        "page size"
                    )
