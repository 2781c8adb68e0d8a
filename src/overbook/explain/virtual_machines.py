"""The virtual machines in the input, with the objects that decide about their pods.

VMs are made into pods when the whole input has been read, as their settings, their namespace's quotas and
their instancetypes may come after them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import OwnerReference, Pod
from overbook.core.kubernetes.priority import priorities, with_priority
from overbook.core.kubevirt.definitions import (
    VirtualMachine,
    decode_definition,
    defines_vm,
    has_ended,
)
from overbook.core.kubevirt.instancetype import INSTANCETYPE_GROUP
from overbook.core.kubevirt.made import CATALOG_KINDS, Catalog, made_vm
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN, Release
from overbook.core.kubevirt.settings import (
    VmSettings,
    in_namespace,
    settings_of_hyperconverged,
    settings_of_kubevirt,
)
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP, VirtualMachineInstance

_SETTINGS: Final = {
    "KubeVirt": f"{KUBEVIRT_GROUP}/",
    "HyperConverged": "hco.kubevirt.io/",
}
"""Kinds with settings, and how their ``apiVersion`` begins."""


class VmWorkload(msgspec.Struct, frozen=True, gc=False):
    """The pod that a VM becomes.

    Attributes:
        pod: the launcher pod; its name ends in ``*``.
        replicas: the number of such pods that the object requests.
        owners: the owner references of the object itself.
        vmi: the VM, as KubeVirt stores it.
        refusal: why KubeVirt or the API server refuses it; empty: neither does.
        missing: the instancetype or preference that it refers to and that is not in the input.
        stopped: why it has no pod now; empty: it has one, or will.
    """

    pod: Pod
    replicas: int
    owners: tuple[OwnerReference, ...]
    vmi: VirtualMachineInstance
    refusal: str = ""
    missing: str = ""
    stopped: str = ""


class VmInput:
    """The objects of the input that decide about the pods of VMs.

    Attributes:
        of_vms_alone: the kinds that were kept and decide about nothing but VMs, and the number of each.
    """

    def __init__(self) -> None:
        self._policy = LauncherPolicy()
        self._running: Release = MAIN
        self._percent_given = True
        self._catalog = Catalog()
        self._quotas: Mapping[str, Iterable[str]] = {}
        self._labels: Mapping[str, Mapping[str, str]] = {}
        self._read: dict[str, VmSettings] = {}
        self.of_vms_alone: Counter[str] = Counter()

    def complete(
        self,
        policy: LauncherPolicy,
        running: Release,
        *,
        percent_given: bool,
        labels: Mapping[str, Mapping[str, str]],
        quotas: Mapping[str, Iterable[str]],
    ) -> None:
        """Add what is known when the whole input has been read.

        Args:
            policy: the settings where the input has no KubeVirt and no HyperConverged object.
            running: the KubeVirt release.
            percent_given: whether the policy's percentage wins over that of such an object.
            labels: the labels of the namespaces.
            quotas: the names of the resources that quotas limit, by namespace.
        """
        self._policy, self._running, self._percent_given = policy, running, percent_given
        self._labels, self._quotas = labels, quotas

    def take(self, kind: str, manifest: Any, where: str) -> bool:
        """Keep an object that decides about VMs' pods; whether the object is of such a kind.

        Args:
            kind: the object's kind.
            manifest: the parsed object.
            where: the object, for messages.

        Raises:
            InvalidInput: a field has the wrong type.
        """
        version = manifest["apiVersion"]
        if kind in _SETTINGS and version.startswith(_SETTINGS[kind]):
            read = settings_of_kubevirt if kind == "KubeVirt" else settings_of_hyperconverged
            self._read[kind] = read(manifest, where)
        elif kind in CATALOG_KINDS and _of_instancetypes(kind, manifest):
            try:
                self._catalog.add(manifest)
            except InvalidInput as error:
                raise error.inside(f"{where} ") from error
            self.of_vms_alone[kind] += 1
        else:
            return False
        return True

    @property
    def read_settings(self) -> VmSettings | None:
        """The settings of the KubeVirt or else the HyperConverged object, its percentage included."""
        counts, written = self._read.get("KubeVirt"), self._read.get("HyperConverged")
        if counts is None or written is None or counts.policy.percent == written.policy.percent:
            return counts or written
        note = (
            f"{counts.policy.percent} % of {counts.source} counts, which is what KubeVirt reads; "
            f"{written.source} has {written.policy.percent} %, which its operator has not written there"
        )
        return replace(counts, note=note)

    @property
    def given_settings(self) -> VmSettings | None:
        """The settings of the KubeVirt or else the HyperConverged object; ``None``: there is neither."""
        settings = self._read.get("KubeVirt") or self._read.get("HyperConverged")
        if settings is not None and self._percent_given:
            policy = replace(settings.policy, percent=self._policy.percent)
            return replace(settings, policy=policy)
        return settings

    def made(self, manifest: Any, where: str) -> VmWorkload:
        """The pod of an object that defines VMs.

        Args:
            manifest: the parsed object, of the kinds of :func:`defines_vm`.
            where: the object, for messages.

        Raises:
            InvalidInput: a field has the wrong type or a quantity is not valid.
        """
        definition, replicas = decode_definition(manifest, where)
        namespace = definition.metadata.namespace or "default"
        settings = self.given_settings or VmSettings(self._policy)
        policy = in_namespace(settings, self._labels.get(namespace), self._quotas.get(namespace, ()))
        try:
            made = made_vm(definition, policy, self._catalog, self._running)
        except InvalidInput as error:
            raise error.inside(f"{where} ") from error
        if isinstance(definition, VirtualMachine):
            stopped = definition.stopped_because
        else:
            phase = has_ended(manifest)
            stopped = f"phase {phase}" if phase else ""
        return VmWorkload(
            _prioritised(made.pod),
            replicas,
            definition.metadata.owner_references or (),
            made.vmi,
            made.refusal,
            made.missing,
            stopped,
        )


def _of_instancetypes(kind: str, manifest: Any) -> bool:
    """Whether the object is an instancetype, a preference, or a stored revision of one."""
    if kind != "ControllerRevision":
        return str(manifest["apiVersion"]).startswith(f"{INSTANCETYPE_GROUP}/")
    data = manifest.get("data")
    return isinstance(data, dict) and data.get("kind") in CATALOG_KINDS


def _prioritised(pod: Pod) -> Pod:
    """The pod with its priority, where its class is one that every cluster with KubeVirt has."""
    return with_priority(pod, priorities(())) if pod.spec.priority_class_name else pod


__all__ = ["VmInput", "VmWorkload", "defines_vm"]
