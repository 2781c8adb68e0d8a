"""Instancetypes: the size and the devices of VMs that only name them, with their preferences applied.

Source: ``kubevirt.io/api/instancetype/v1beta1`` and ``pkg/instancetype`` of KubeVirt main of 2026-08.
"""

import struct
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, convert
from overbook.core.kubernetes.quantity import Quantity, RawQuantity, from_raw
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubevirt.preference import (
    PreferenceSpec,
    annotated,
    first,
    topology_of,
    with_preference,
    with_preferred_devices,
)
from overbook.core.kubevirt.vm import (
    Anything,
    Count,
    Cpu,
    GuestMemory,
    Hugepages,
    IoThreads,
    LaunchSecurity,
    Numa,
    PassedDevice,
    VirtualMachineInstance,
)

INSTANCETYPE_GROUP: Final = "instancetype.kubevirt.io"


class _InstancetypeCpu(KubeStruct, frozen=True):
    guest: Count = 0
    model: str | None = None
    dedicated_cpu_placement: bool | None = msgspec.field(default=None, name="dedicatedCPUPlacement")
    isolate_emulator_thread: bool | None = None
    numa: Numa | None = None
    realtime: Anything | None = None
    max_sockets: Count | None = None


class _InstancetypeMemory(KubeStruct, frozen=True):
    guest: RawQuantity = None
    hugepages: Hugepages | None = None
    overcommit_percent: int = 0
    max_guest: RawQuantity = None


class InstancetypeSpec(KubeStruct, frozen=True):
    """The size of the VMs that name the instancetype."""

    cpu: _InstancetypeCpu = _InstancetypeCpu()
    memory: _InstancetypeMemory = _InstancetypeMemory()
    gpus: tuple[PassedDevice, ...] | None = None
    host_devices: tuple[PassedDevice, ...] | None = None
    io_threads_policy: str | None = None
    io_threads: IoThreads | None = None
    launch_security: LaunchSecurity | None = None
    annotations: dict[str, str] | None = None


class _Instancetype(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: InstancetypeSpec = InstancetypeSpec()


def decode_instancetype(manifest: Any, label: str) -> InstancetypeSpec:
    """The spec of a parsed instancetype, of the cluster or of a namespace.

    Raises:
        InvalidInput: a field has the wrong type, or the guest's memory is not a quantity.
    """
    spec = convert(manifest, _Instancetype, label).spec
    try:
        from_raw(spec.memory.guest)
    except InvalidInput as error:
        raise error.inside(f"{label} spec.memory.guest") from error
    return spec


def applied(
    vmi: VirtualMachineInstance, instancetype: InstancetypeSpec | None, preference: PreferenceSpec | None
) -> VirtualMachineInstance:
    """A VM with its instancetype and its preference applied, before KubeVirt's defaults.

    Raises:
        InvalidInput: KubeVirt refuses the VM, because it also gives what the instancetype gives, or because
            the instancetype's vCPUs cannot be spread as the preference says.
    """
    if preference is not None:
        # KubeVirt does this first, so that devices which it adds later meet the preference.
        vmi = with_preferred_devices(vmi, preference)
    if instancetype is not None:
        conflicts = _conflicts(vmi, instancetype)
        if conflicts:
            raise InvalidInput(
                f"VirtualMachine {vmi.label}: spec.template.spec",
                ", ".join(conflicts),
                "none of the fields that its instancetype gives",
            )
        vmi = _with_instancetype(vmi, instancetype, preference)
    if preference is not None:
        vmi = with_preference(vmi, preference)
    return vmi


def _conflicts(vmi: VirtualMachineInstance, instancetype: InstancetypeSpec) -> list[str]:
    """The fields that both the VM and the instancetype give."""
    domain = vmi.spec.domain
    cpu, memory = domain.cpu or Cpu(), domain.memory or GuestMemory()
    requests, limits = domain.resources.requests or {}, domain.resources.limits or {}
    given, sized = instancetype.cpu, instancetype.memory
    annotations = vmi.metadata.annotations or {}
    pool = instancetype.io_threads
    fields = {
        "domain.resources.requests.cpu": CPU in requests,
        "domain.resources.limits.cpu": CPU in limits,
        "domain.cpu.sockets": cpu.sockets,
        "domain.cpu.cores": cpu.cores,
        "domain.cpu.threads": cpu.threads,
        "domain.cpu.model": cpu.model and given.model is not None,
        "domain.cpu.dedicatedCPUPlacement": cpu.dedicated_cpu_placement
        and given.dedicated_cpu_placement is not None,
        "domain.cpu.isolateEmulatorThread": cpu.isolate_emulator_thread
        and given.isolate_emulator_thread is not None,
        "domain.cpu.numa": cpu.numa is not None and given.numa is not None,
        "domain.cpu.realtime": cpu.realtime is not None and given.realtime is not None,
        "domain.memory.guest": memory.guest is not None,
        "domain.memory.hugepages": memory.hugepages is not None and sized.hugepages is not None,
        "domain.memory.maxGuest": memory.max_guest is not None and sized.max_guest is not None,
        "domain.resources.requests.memory": MEMORY in requests,
        "domain.resources.limits.memory": MEMORY in limits,
        "domain.ioThreads.supplementalPoolThreadCount": domain.io_threads is not None
        and domain.io_threads.supplemental_pool_thread_count is not None
        and pool is not None
        and pool.supplemental_pool_thread_count is not None,
        "domain.ioThreadsPolicy": domain.io_threads_policy is not None
        and instancetype.io_threads_policy is not None,
        "domain.launchSecurity": domain.launch_security is not None
        and instancetype.launch_security is not None,
        "domain.devices.gpus": domain.devices.gpus and instancetype.gpus,
        "domain.devices.hostDevices": domain.devices.host_devices and instancetype.host_devices,
        **{
            f"annotations.{name}": annotations.get(name, value) != value
            for name, value in (instancetype.annotations or {}).items()
        },
    }
    return [name for name, both in fields.items() if both]


def _with_instancetype(
    vmi: VirtualMachineInstance, instancetype: InstancetypeSpec, preference: PreferenceSpec | None
) -> VirtualMachineInstance:
    domain = vmi.spec.domain
    written, given = domain.cpu or Cpu(), instancetype.cpu
    sockets, cores, threads = topology_of(given.guest, preference, vmi)
    cpu = replace(
        written,
        sockets=sockets,
        cores=cores,
        threads=threads,
        model=first(given.model, written.model),
        dedicated_cpu_placement=first(given.dedicated_cpu_placement, written.dedicated_cpu_placement),
        isolate_emulator_thread=first(given.isolate_emulator_thread, written.isolate_emulator_thread),
        numa=first(given.numa, written.numa),
        realtime=first(given.realtime, written.realtime),
        max_sockets=first(given.max_sockets, written.max_sockets),
    )
    sized, memory = instancetype.memory, domain.memory or GuestMemory()
    memory = replace(
        memory,
        guest=sized.guest,
        hugepages=first(sized.hugepages, memory.hugepages),
        max_guest=first(sized.max_guest, memory.max_guest),
    )
    resources = domain.resources
    if sized.overcommit_percent > 0:
        request = _overcommitted(from_raw(sized.guest), sized.overcommit_percent)
        resources = replace(resources, requests={**(resources.requests or {}), MEMORY: request.canonical()})
    pool = instancetype.io_threads
    if pool is not None and pool.supplemental_pool_thread_count is not None:
        domain = replace(domain, io_threads=pool)
    devices = replace(
        domain.devices,
        gpus=instancetype.gpus or domain.devices.gpus,
        host_devices=instancetype.host_devices or domain.devices.host_devices,
    )
    domain = replace(
        domain,
        cpu=cpu,
        memory=memory,
        resources=resources,
        devices=devices,
        io_threads_policy=first(instancetype.io_threads_policy, domain.io_threads_policy),
        launch_security=first(instancetype.launch_security, domain.launch_security),
    )
    return annotated(replace(vmi, spec=replace(vmi.spec, domain=domain)), instancetype.annotations)


def _overcommitted(guest: Quantity, percent: int) -> Quantity:
    """The memory request: KubeVirt multiplies 32-bit floats."""
    share = _float32(1 - _float32(_float32(float(percent)) / 100))
    return Quantity(int(_float32(_float32(float(guest.value())) * share)), 0, guest.format)


def _float32(number: float) -> float:
    result: float = struct.unpack("f", struct.pack("f", number))[0]
    return result
