"""The fields of a KubeVirt virtual machine that Overbook needs, and how its pod is recognised.

Unknown fields are ignored, absent ones are ``None``. Source: ``kubevirt.io/api/core/v1``.
"""

from typing import Annotated, Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, ResourceList, convert
from overbook.core.kubernetes.quantity import Quantity, RawQuantity, from_raw
from overbook.core.kubernetes.resources import Amounts, amounts

KUBEVIRT_GROUP: Final = "kubevirt.io"
INSTANCE_KIND: Final = "VirtualMachineInstance"
Anything = dict[str, Any]
"""An object that matters only by its presence."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]

KUBEVIRT_CONTROLLERS: Final = (
    "system:serviceaccount:kubevirt:kubevirt-controller",
    "system:serviceaccount:openshift-cnv:kubevirt-controller",
)
"""The users that create VMs' pods: in KubeVirt's installation, and in OpenShift Virtualization's."""

COMPUTE_CONTAINER: Final = "compute"
"""The container of a launcher pod in which the guest runs."""


class Cpu(KubeStruct, frozen=True):
    """The guest's CPU topology; absent counts are left out of the product."""

    cores: Count | None = None
    sockets: Count | None = None
    threads: Count | None = None
    dedicated_cpu_placement: bool | None = None
    isolate_emulator_thread: bool | None = None
    realtime: Anything | None = None

    @property
    def vcpus(self) -> int:
        """Sockets × cores × threads, as far as they are given; 0 where none is given."""
        given = [count for count in (self.cores, self.sockets, self.threads) if count]
        product = 1 if given else 0
        for count in given:
            product *= count
        return product


class Hugepages(KubeStruct, frozen=True):
    """Guest memory from the node's preallocated large pages."""

    page_size: RawQuantity = None


class ReservedOverhead(KubeStruct, frozen=True):
    """Overhead that the VM's author asks for, and whether the guest's memory is locked."""

    added_overhead: RawQuantity = None
    mem_lock: str | None = None


class GuestMemory(KubeStruct, frozen=True):
    """The memory that the guest sees."""

    guest: RawQuantity = None
    hugepages: Hugepages | None = None
    reserved_overhead: ReservedOverhead | None = None


class VmResources(KubeStruct, frozen=True):
    """Requests and limits set by hand, which replace those that KubeVirt computes."""

    requests: ResourceList | None = None
    limits: ResourceList | None = None
    overcommit_guest_overhead: bool | None = None


class Interface(KubeStruct, frozen=True):
    """The part of a network interface that costs or pins memory."""

    name: str = ""
    sriov: Anything | None = None
    passt_binding: Anything | None = None


class Tpm(KubeStruct, frozen=True):
    """A virtual TPM, which is a process beside the guest."""

    enabled: bool | None = None


class Devices(KubeStruct, frozen=True):
    """The devices that cost or pin memory."""

    autoattach_graphics_device: bool | None = None
    host_devices: tuple[Anything, ...] | None = None
    gpus: tuple[Anything, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    tpm: Tpm | None = None


class LaunchSecurity(KubeStruct, frozen=True):
    """The kinds of confidential computing, each of which pins the guest's memory."""

    sev: Anything | None = None
    snp: Anything | None = None
    tdx: Anything | None = None


class IoThreads(KubeStruct, frozen=True):
    """A pool of I/O threads, each of which counts as a CPU."""

    supplemental_pool_thread_count: Count | None = None


class Domain(KubeStruct, frozen=True):
    """The guest's hardware."""

    cpu: Cpu | None = None
    memory: GuestMemory | None = None
    resources: VmResources = VmResources()
    devices: Devices = Devices()
    launch_security: LaunchSecurity | None = None
    io_threads: IoThreads | None = None


class Volume(KubeStruct, frozen=True):
    """The part of a volume that costs memory."""

    name: str = ""
    downward_metrics: Anything | None = None


class Probe(KubeStruct, frozen=True):
    """A probe; only those that run a command inside the guest cost memory."""

    exec: Anything | None = None


class InstanceSpec(KubeStruct, frozen=True):
    """The spec of a virtual machine."""

    domain: Domain = Domain()
    architecture: str | None = None
    volumes: tuple[Volume, ...] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    eviction_strategy: str | None = None


class VirtualMachineInstance(KubeStruct, frozen=True):
    """A running (or pending) virtual machine."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: InstanceSpec = InstanceSpec()

    @property
    def label(self) -> str:
        """``namespace/name``, as people write it."""
        return f"{self.metadata.namespace or 'default'}/{self.metadata.name}"

    def quantity(self, field: str, raw: RawQuantity) -> Quantity:
        """A quantity of the domain, where ``field`` is its path below ``spec.domain``.

        Raises:
            InvalidInput: the API server would refuse the quantity.
        """
        try:
            return from_raw(raw)
        except InvalidInput as error:
            raise error.inside(f"{INSTANCE_KIND} {self.label}: spec.domain.{field}") from error

    def requests_and_limits(self) -> tuple[Amounts, Amounts]:
        """The requests and limits written by hand, without defaults.

        Raises:
            InvalidInput: a quantity that the API server refuses, a negative one included.
        """
        written = self.spec.domain.resources
        try:
            return amounts(written.requests, "requests."), amounts(written.limits, "limits.")
        except InvalidInput as error:
            raise error.inside(f"{INSTANCE_KIND} {self.label}: spec.domain.resources.") from error

    @property
    def guest_bytes(self) -> int | None:
        """The guest size (``memory.guest``, else one large page); ``None``: the manifest does not give it.

        Raises:
            InvalidInput: the quantity is not valid.
        """
        memory = self.spec.domain.memory
        if memory is None:
            return None
        if memory.guest is not None:
            return self.quantity("memory.guest", memory.guest).value()
        if memory.hugepages is not None and memory.hugepages.page_size is not None:
            return self.quantity("memory.hugepages.pageSize", memory.hugepages.page_size).value()
        return None

    @property
    def has_dedicated_cpu(self) -> bool:
        """Whether the VM's vCPUs are pinned to dedicated CPUs."""
        return bool(self.spec.domain.cpu and self.spec.domain.cpu.dedicated_cpu_placement)

    @property
    def has_hugepages(self) -> bool:
        """Whether the VM's memory comes from preallocated large pages."""
        return bool(self.spec.domain.memory and self.spec.domain.memory.hugepages)

    @property
    def has_vfio(self) -> bool:
        """Whether a device accesses the VM's memory, which is therefore locked."""
        devices = self.spec.domain.devices
        return bool(devices.host_devices or devices.gpus) or any(
            interface.sriov is not None for interface in devices.interfaces or ()
        )


class _Template(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: InstanceSpec = InstanceSpec()


class _VirtualMachineSpec(KubeStruct, frozen=True):
    template: _Template = _Template()


class VirtualMachine(KubeStruct, frozen=True):
    """A virtual machine's definition, which is the template of its instance."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: _VirtualMachineSpec = _VirtualMachineSpec()

    def instance(self) -> VirtualMachineInstance:
        """The instance that is created at start, without the additions of an instancetype or a preference."""
        return VirtualMachineInstance(
            api_version=self.api_version,
            kind=INSTANCE_KIND,
            metadata=self.metadata,
            spec=self.spec.template.spec,
        )


def decode_virtual_machine(manifest: Any) -> VirtualMachineInstance:
    """The instance that a parsed VirtualMachine or VirtualMachineInstance manifest describes.

    Raises:
        InvalidInput: the manifest is neither of them, or a field has the wrong type.
    """
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind not in ("VirtualMachine", INSTANCE_KIND):
        raise InvalidInput("kind", kind, f"VirtualMachine or {INSTANCE_KIND}")
    if not is_kubevirt(manifest.get("apiVersion")):
        raise InvalidInput("apiVersion", manifest.get("apiVersion"), "kubevirt.io/v1")
    if kind == INSTANCE_KIND:
        return convert(manifest, VirtualMachineInstance, kind)
    return convert(manifest, VirtualMachine, kind).instance()


def is_kubevirt(api_version: object) -> bool:
    """Whether ``apiVersion`` is of KubeVirt's group, in any version."""
    return isinstance(api_version, str) and api_version.startswith(f"{KUBEVIRT_GROUP}/")


def owning_instance(pod: Pod) -> OwnerReference | None:
    """The VirtualMachineInstance that controls the pod, ``None`` for other pods."""
    for owner in pod.metadata.owner_references or ():
        if owner.controller and owner.kind == INSTANCE_KIND and is_kubevirt(owner.api_version):
            return owner
    return None


def is_virtual_machine_pod(pod: Pod) -> bool:
    """Whether a virtual machine runs in the pod.

    The pod's owner reference decides, never a label, which anyone may set. The creator of a pod can write an
    owner reference, too, so an admission policy has to ensure that only KubeVirt's controller does; without
    one the answer can be forged.
    """
    return owning_instance(pod) is not None
