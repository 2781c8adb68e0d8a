"""The VMs of an input, which wait until all objects that decide about them have been read."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from overbook.core.errors import InvalidInput
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import Release
from overbook.core.kubevirt.vm import INSTANCE_KIND
from overbook.explain.cluster_objects import ClusterObjects
from overbook.kube.files.manifests import Document, Refuse

if TYPE_CHECKING:
    from overbook.core.kubevirt.settings import VmSettings
    from overbook.explain.virtual_machines import VmInput, VmWorkload

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
    }
)
"""Kinds that define VMs or decide about their pods; without them the rules for VMs are not imported."""


class WaitingVms:
    """The VMs, and the objects that decide about nothing but VMs."""

    def __init__(self) -> None:
        self._input: VmInput | None = None
        self._waiting: list[tuple[int, Document, str]] = []

    def take(self, document: Document, kind: str, where: str, place: int) -> bool:
        """Keep an object of ``VM_KINDS`` that stands at this place; whether it is of a group that counts.

        Raises:
            InvalidInput: a field has the wrong type.
        """
        from overbook.explain.virtual_machines import (  # noqa: PLC0415 - most inputs have none
            VmInput,
            defines_vm,
        )

        if self._input is None:
            self._input = VmInput()
        if defines_vm(kind, document.manifest["apiVersion"]):
            self._waiting.append((place, document, kind))
            return True
        return self._input.take(kind, document.manifest, where)

    @property
    def settings(self) -> "VmSettings | None":
        """The settings that a KubeVirt or HyperConverged object gives."""
        return None if self._input is None else self._input.read_settings

    def made(
        self,
        policy: LauncherPolicy,
        running: Release,
        objects: ClusterObjects,
        refuse: Refuse,
        made: "Callable[[int, Document, str, VmWorkload], None]",
        *,
        percent_given: bool,
    ) -> Counter[str]:
        """Make the VMs into pods; ``made`` gets each with its place, in order.

        Returns:
            The kinds that decide about VMs alone, and the number of each, where there is no VM.
        """
        if self._input is None:
            return Counter()
        self._input.complete(
            policy,
            running,
            percent_given=percent_given,
            labels={name: metadata.labels or {} for name, metadata in objects.namespaces.items()},
            quotas={
                name: frozenset().union(*(quota.resources for quota in quotas))
                for name, quotas in objects.quotas.items()
            },
        )
        for place, document, kind in self._waiting:
            metadata = document.manifest.get("metadata")
            names = metadata if isinstance(metadata, dict) else {}
            label = f"{names.get('namespace') or 'default'}/{names.get('name') or ''}"
            try:
                made(
                    place,
                    document,
                    kind,
                    self._input.made(document.manifest, f"{document.where}: {kind} {label}:"),
                )
            except InvalidInput as error:
                refuse(error)
            except RecursionError:
                refuse(InvalidInput(document.where, "too many levels", "less nesting"))
        return Counter() if self._waiting else self._input.of_vms_alone
