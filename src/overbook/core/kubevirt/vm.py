"""The fields of a KubeVirt virtual machine that Overbook needs, and how its pod is recognised.

Unknown fields are ignored, absent ones are ``None``. Source: ``kubevirt.io/api/core/v1``.
"""

from typing import Annotated, Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, OwnerReference, Pod, ResourceList
from overbook.core.kubernetes.quantity import Quantity, RawQuantity, from_raw
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts, amounts

KUBEVIRT_GROUP: Final = "kubevirt.io"
VM_KIND: Final = "VirtualMachine"
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


class Numa(KubeStruct, frozen=True):
    """The guest's NUMA topology."""

    guest_mapping_passthrough: Anything | None = None


class Cpu(KubeStruct, frozen=True):
    """The guest's CPU topology; absent counts are left out of the product."""

    cores: Count | None = None
    sockets: Count | None = None
    threads: Count | None = None
    max_sockets: Count | None = None
    model: str | None = None
    numa: Numa | None = None
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
    max_guest: RawQuantity = None
    hugepages: Hugepages | None = None
    reserved_overhead: ReservedOverhead | None = None


class VmResources(KubeStruct, frozen=True):
    """Requests and limits set by hand, which replace those that KubeVirt computes."""

    requests: ResourceList | None = None
    limits: ResourceList | None = None
    overcommit_guest_overhead: bool | None = None


class BindingPlugin(KubeStruct, frozen=True):
    """The name of a network binding plugin, which KubeVirt's configuration describes."""

    name: str = ""


class Interface(KubeStruct, frozen=True):
    """The part of a network interface that costs or pins memory."""

    name: str = ""
    sriov: Anything | None = None
    passt_binding: Anything | None = None
    slirp: Anything | None = None
    macvtap: Anything | None = None
    binding: BindingPlugin | None = None


class Tpm(KubeStruct, frozen=True):
    """A virtual TPM, which is a process beside the guest."""

    enabled: bool | None = None


class PassedDevice(KubeStruct, frozen=True):
    """A host device or GPU that is passed to the guest; one with a claim has no name in KubeVirt's list."""

    device_name: str = ""
    claim_name: str | None = None


class Filesystem(KubeStruct, frozen=True):
    """A file system that the guest shares with its pod."""

    name: str = ""
    virtiofs: Anything | None = None


class Devices(KubeStruct, frozen=True):
    """The devices that cost or pin memory, or for which KubeVirt adds a container."""

    autoattach_graphics_device: bool | None = None
    autoattach_serial_console: bool | None = None
    log_serial_console: bool | None = None
    host_devices: tuple[PassedDevice, ...] | None = None
    gpus: tuple[PassedDevice, ...] | None = None
    downward_metrics: Anything | None = None
    autoattach_vsock: bool | None = msgspec.field(default=None, name="autoattachVSOCK")
    filesystems: tuple[Filesystem, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    tpm: Tpm | None = None


class LaunchSecurity(KubeStruct, frozen=True):
    """The kinds of confidential computing, each of which pins the guest's memory."""

    sev: Anything | None = None
    snp: Anything | None = None
    tdx: Anything | None = None


class KernelBoot(KubeStruct, frozen=True):
    """A kernel that the guest is started from; KubeVirt takes it from an image."""

    container: Anything | None = None


class Efi(KubeStruct, frozen=True):
    """A UEFI boot loader."""

    secure_boot: bool | None = None
    persistent: bool | None = None


class Bootloader(KubeStruct, frozen=True):
    """The boot loader; confidential computing needs UEFI."""

    efi: Efi | None = None
    bios: Anything | None = None


class Firmware(KubeStruct, frozen=True):
    """The part of the firmware for which KubeVirt adds a container, or refuses a VM."""

    kernel_boot: KernelBoot | None = None
    bootloader: Bootloader | None = None


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
    io_threads_policy: str | None = None
    firmware: Firmware | None = None


class Volume(KubeStruct, frozen=True):
    """The part of a volume that costs memory, or for which KubeVirt adds a container."""

    name: str = ""
    downward_metrics: Anything | None = None
    container_disk: Anything | None = None
    container_path: Anything | None = None
    persistent_volume_claim: Anything | None = None
    data_volume: Anything | None = None


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
    priority_class_name: str | None = None


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

    def quantities(self) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
        """The requests and limits of CPU and memory written by hand, as exact quantities.

        Raises:
            InvalidInput: a quantity that the API server refuses, a negative one included.
        """
        self.requests_and_limits()
        written = self.spec.domain.resources
        return _cpu_and_memory(written.requests), _cpu_and_memory(written.limits)

    @property
    def guest(self) -> Quantity | None:
        """The guest size (``memory.guest``, else one large page); ``None``: the manifest does not give it.

        Raises:
            InvalidInput: the quantity is not valid.
        """
        memory = self.spec.domain.memory
        if memory is None:
            return None
        if memory.guest is not None:
            return self.quantity("memory.guest", memory.guest)
        if memory.hugepages is not None and memory.hugepages.page_size is not None:
            return self.quantity("memory.hugepages.pageSize", memory.hugepages.page_size)
        return None

    @property
    def guest_bytes(self) -> int | None:
        """The guest size in bytes; ``None``: the manifest does not give it.

        Raises:
            InvalidInput: the quantity is not valid.
        """
        guest = self.guest
        return None if guest is None else guest.value()

    @property
    def pool_threads(self) -> int:
        """The I/O threads of a pool, each of which counts as a CPU."""
        pool = self.spec.domain.io_threads
        return (pool.supplemental_pool_thread_count or 0) if pool else 0

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


def _cpu_and_memory(listed: ResourceList | None) -> dict[str, Quantity]:
    return {name: from_raw(listed[name]) for name in (CPU, MEMORY) if listed and name in listed}


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
