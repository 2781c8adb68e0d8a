"""The virtual machines of a cluster by their own objects: how many run on a node, and their guests' memory.

KubeVirt writes the guest's size into the VirtualMachineInstance. A pod's request says less: it was computed
with the percentage of the moment in which the pod was made, and by hand-written requests not at all. The
target pod of a live migration is no second VM.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import ENDED, KubeStruct, Pod
from overbook.core.kubernetes.quantity import RawQuantity, from_raw
from overbook.core.kubevirt.vm import INSTANCE_KIND, KUBEVIRT_GROUP, owning_instance
from overbook.kube.api.kinds import Kind
from overbook.status.sums import PodSums
from overbook.status.view import EvictableMachine, MarkedMachine


class _Memory(KubeStruct, frozen=True):
    guest: RawQuantity = None


class _Domain(KubeStruct, frozen=True):
    memory: _Memory | None = None


class _InstanceSpec(KubeStruct, frozen=True):
    eviction_strategy: str | None = None
    domain: _Domain = _Domain()


class _MemoryStatus(KubeStruct, frozen=True):
    guest_current: RawQuantity = None


class _InstanceStatus(KubeStruct, frozen=True):
    active_pods: dict[str, str] | None = None
    node_name: str | None = None
    evacuation_node_name: str | None = None
    phase: str | None = None
    memory: _MemoryStatus | None = None


class _InstanceMeta(KubeStruct, frozen=True):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class MachineInstance(KubeStruct, frozen=True):
    """A virtual machine instance with only the fields that are shown: a live view keeps them all."""

    metadata: _InstanceMeta = _InstanceMeta()
    spec: _InstanceSpec = _InstanceSpec()
    status: _InstanceStatus = _InstanceStatus()

    @property
    def runs(self) -> bool:
        """Whether the virtual machine is on a node and has not ended."""
        return bool(self.status.node_name) and self.status.phase not in ENDED

    @property
    def guest_bytes(self) -> int:
        """The memory that the guest has now, in bytes; 0 where neither status nor spec says it.

        The spec runs ahead of the status while memory is plugged in.
        """
        current = self.status.memory.guest_current if self.status.memory else None
        written = self.spec.domain.memory.guest if self.spec.domain.memory else None
        try:
            return from_raw(written if current is None else current).value()
        except InvalidInput:
            return 0

    @property
    def pod_uids(self) -> list[str]:
        """The UIDs of the VM's pods: the one in which it runs first, then those of a live migration."""
        pods = self.status.active_pods or {}
        return sorted(pods, key=lambda uid: pods[uid] != self.status.node_name)


INSTANCES: Final = Kind(
    KUBEVIRT_GROUP, "v1", "virtualmachineinstances", INSTANCE_KIND, namespaced=True, type=MachineInstance
)


class NodeGuests(msgspec.Struct, frozen=True, gc=False):
    """The virtual machines on a node.

    Attributes:
        machines: how many run.
        guest_bytes: the memory of their guests, in bytes.
    """

    machines: int = 0
    guest_bytes: int = 0

    def of(self, sums: PodSums) -> PodSums:
        """The sums of the node's pods, with these virtual machines in place of those found by pods."""
        return msgspec.structs.replace(sums, virtual_machines=self.machines, guest_bytes=self.guest_bytes)


NO_GUESTS: Final = NodeGuests()


class GuestMachines:
    """All virtual machines that were read.

    Args:
        instances: their instances.
        default_strategy: the cluster's eviction strategy, for those without their own.
    """

    def __init__(self, instances: Iterable[MachineInstance], default_strategy: str = "None") -> None:
        self.by_node: dict[str, NodeGuests] = {}
        self.evictable: dict[str, EvictableMachine] = {}
        self.marked: list[MarkedMachine] = []
        self._sizes: dict[str, tuple[str, int]] = {}
        """By the UID of a VM: the UID of the pod in which it runs, and the guest's size."""
        for instance in instances:
            strategy = instance.spec.eviction_strategy or default_strategy
            machine = EvictableMachine(instance.metadata.name, strategy)
            size, pods = instance.guest_bytes, instance.pod_uids
            self.evictable.update(dict.fromkeys(pods, machine))
            if pods:
                self._sizes[instance.metadata.uid or ""] = pods[0], size
            if instance.runs:
                self._note_mark(instance)
                node = instance.status.node_name or ""
                known = self.by_node.get(node, NO_GUESTS)
                self.by_node[node] = NodeGuests(known.machines + 1, known.guest_bytes + size)

    def _note_mark(self, instance: MachineInstance) -> None:
        meta, node = instance.metadata, instance.status.evacuation_node_name
        if node and node == instance.status.node_name:
            self.marked.append(MarkedMachine(meta.namespace or "default", meta.name, node))

    def in_pod(self, pod: Pod, sums: PodSums) -> PodSums:
        """The sums of one VM's pod, with its guest's size as KubeVirt says it; a target pod has no guest."""
        owner = owning_instance(pod)
        known = self._sizes.get(owner.uid or "") if owner is not None else None
        if known is None:
            return sums
        uid, size = known
        return (NodeGuests(1, size) if uid == pod.metadata.uid else NO_GUESTS).of(sums)

    def on(self, sums: Mapping[str, PodSums]) -> dict[str, PodSums]:
        """The sums of pods by node, with these virtual machines in place of those found by pods."""
        return {name: self.by_node.get(name, NO_GUESTS).of(known) for name, known in sums.items()}
