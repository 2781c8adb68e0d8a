"""Instancetypes and preferences: the size and the devices of VMs that only name them.

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
from overbook.core.kubevirt.vm import (
    Anything,
    Count,
    Cpu,
    Devices,
    GuestMemory,
    Hugepages,
    InstanceSpec,
    IoThreads,
    LaunchSecurity,
    Numa,
    PassedDevice,
    Tpm,
    VirtualMachineInstance,
)

INSTANCETYPE_GROUP: Final = "instancetype.kubevirt.io"
THREADS_PER_CORE: Final = 2


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


class _SpreadOptions(KubeStruct, frozen=True):
    across: str | None = None
    ratio: Count | None = None


class _PreferredCpu(KubeStruct, frozen=True):
    preferred_cpu_topology: str | None = msgspec.field(default=None, name="preferredCPUTopology")
    spread_options: _SpreadOptions | None = None


class _PreferredDevices(KubeStruct, frozen=True):
    preferred_autoattach_graphics_device: bool | None = None
    preferred_autoattach_serial_console: bool | None = None
    preferred_tpm: Tpm | None = msgspec.field(default=None, name="preferredTPM")


class _RequiredCpu(KubeStruct, frozen=True):
    guest: Count = 0


class _RequiredMemory(KubeStruct, frozen=True):
    guest: RawQuantity = None


class _Requirements(KubeStruct, frozen=True):
    cpu: _RequiredCpu | None = None
    memory: _RequiredMemory | None = None


class PreferenceSpec(KubeStruct, frozen=True):
    """What VMs that name the preference get where they do not say otherwise."""

    cpu: _PreferredCpu | None = None
    devices: _PreferredDevices | None = None
    requirements: _Requirements | None = None
    annotations: dict[str, str] | None = None
    prefer_spread_socket_to_core_ratio: Count = 0
    preferred_architecture: str | None = None
    preferred_launch_security: LaunchSecurity | None = None


class _Instancetype(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: InstancetypeSpec = InstancetypeSpec()


class _Preference(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PreferenceSpec = PreferenceSpec()


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


def decode_preference(manifest: Any, label: str) -> PreferenceSpec:
    """The spec of a parsed preference, of the cluster or of a namespace.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    return convert(manifest, _Preference, label).spec


def applied(
    vmi: VirtualMachineInstance, instancetype: InstancetypeSpec | None, preference: PreferenceSpec | None
) -> VirtualMachineInstance:
    """A VM with its instancetype and its preference applied, before KubeVirt's defaults.

    Raises:
        InvalidInput: KubeVirt refuses the VM, because it also gives what the instancetype gives, or because
            the instancetype is smaller than the preference requires.
    """
    if preference is not None:
        # KubeVirt does this first, so that devices which it adds later meet the preference.
        vmi = _with_preferred_devices(vmi, preference)
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
        vmi = _with_preference(vmi, preference)
        _check_requirements(vmi, instancetype, preference)
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
    sockets, cores, threads = _topology(given.guest, preference, vmi)
    cpu = replace(
        written,
        sockets=sockets,
        cores=cores,
        threads=threads,
        model=_first(given.model, written.model),
        dedicated_cpu_placement=_first(given.dedicated_cpu_placement, written.dedicated_cpu_placement),
        isolate_emulator_thread=_first(given.isolate_emulator_thread, written.isolate_emulator_thread),
        numa=_first(given.numa, written.numa),
        realtime=_first(given.realtime, written.realtime),
        max_sockets=_first(given.max_sockets, written.max_sockets),
    )
    sized, memory = instancetype.memory, domain.memory or GuestMemory()
    memory = replace(
        memory,
        guest=sized.guest,
        hugepages=_first(sized.hugepages, memory.hugepages),
        max_guest=_first(sized.max_guest, memory.max_guest),
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
        io_threads_policy=_first(instancetype.io_threads_policy, domain.io_threads_policy),
        launch_security=_first(instancetype.launch_security, domain.launch_security),
    )
    return _annotated(replace(vmi, spec=replace(vmi.spec, domain=domain)), instancetype.annotations)


def _overcommitted(guest: Quantity, percent: int) -> Quantity:
    """The memory request: KubeVirt multiplies 32-bit floats."""
    share = _float32(1 - _float32(_float32(float(percent)) / 100))
    return Quantity(int(_float32(_float32(float(guest.value())) * share)), 0, guest.format)


def _float32(number: float) -> float:
    result: float = struct.unpack("f", struct.pack("f", number))[0]
    return result


def _topology(
    vcpus: int, preference: PreferenceSpec | None, vmi: VirtualMachineInstance
) -> tuple[int, int, int]:
    """Sockets, cores and threads of an instancetype's vCPUs."""
    if vcpus == 1:
        return 1, 1, 1
    preferred = (
        preference.cpu.preferred_cpu_topology if preference and preference.cpu else None
    ) or "sockets"
    match preferred.removeprefix("prefer").lower():
        case "cores":
            return 1, vcpus, 1
        case "threads":
            return 1, 1, vcpus
        case "spread" if preference is not None:
            return _spread(vcpus, preference, vmi)
        case "sockets" | "any":
            return vcpus, 1, 1
        case _:
            return 1, 1, 1


def _spread(vcpus: int, preference: PreferenceSpec, vmi: VirtualMachineInstance) -> tuple[int, int, int]:
    options = (preference.cpu.spread_options if preference.cpu else None) or _SpreadOptions()
    ratio = options.ratio or preference.prefer_spread_socket_to_core_ratio or 2
    across = options.across or "SocketsCores"
    whole = ratio * THREADS_PER_CORE if across == "SocketsCoresThreads" else ratio
    if vcpus % whole:
        raise InvalidInput(
            f"VirtualMachine {vmi.label}: the instancetype's spec.cpu.guest",
            vcpus,
            f"a multiple of {whole}, as the preference spreads vCPUs across {across}",
        )
    if across == "CoresThreads":
        return 1, vcpus // ratio, ratio
    if across == "SocketsCoresThreads":
        return vcpus // whole, ratio, THREADS_PER_CORE
    return vcpus // ratio, ratio, 1


def _with_preferred_devices(
    vmi: VirtualMachineInstance, preference: PreferenceSpec
) -> VirtualMachineInstance:
    preferred, written = preference.devices, vmi.spec.domain.devices
    if preferred is None:
        return vmi
    devices: Devices = replace(
        written,
        autoattach_graphics_device=_first(
            written.autoattach_graphics_device, preferred.preferred_autoattach_graphics_device
        ),
        autoattach_serial_console=_first(
            written.autoattach_serial_console, preferred.preferred_autoattach_serial_console
        ),
        tpm=_first(written.tpm, preferred.preferred_tpm),
    )
    return replace(vmi, spec=replace(vmi.spec, domain=replace(vmi.spec.domain, devices=devices)))


def _with_preference(vmi: VirtualMachineInstance, preference: PreferenceSpec) -> VirtualMachineInstance:
    spec: InstanceSpec = vmi.spec
    security = _first(spec.domain.launch_security, preference.preferred_launch_security)
    spec = replace(
        spec,
        architecture=spec.architecture or preference.preferred_architecture,
        domain=replace(spec.domain, launch_security=security),
    )
    return _annotated(replace(vmi, spec=spec), preference.annotations)


def _annotated(vmi: VirtualMachineInstance, annotations: dict[str, str] | None) -> VirtualMachineInstance:
    """The VM with annotations; its own win."""
    if not annotations:
        return vmi
    metadata = replace(vmi.metadata, annotations={**annotations, **(vmi.metadata.annotations or {})})
    return replace(vmi, metadata=metadata)


def _check_requirements(
    vmi: VirtualMachineInstance, instancetype: InstancetypeSpec | None, preference: PreferenceSpec
) -> None:
    required = preference.requirements
    if required is None:
        return
    cpu = vmi.spec.domain.cpu or Cpu()
    vcpus = instancetype.cpu.guest if instancetype is not None else cpu.vcpus
    if required.cpu is not None and vcpus < required.cpu.guest:
        raise InvalidInput(
            f"VirtualMachine {vmi.label}: vCPUs", vcpus, f"at least the preference's {required.cpu.guest}"
        )
    if required.memory is not None and required.memory.guest is not None:
        guest, least = vmi.guest_bytes or 0, from_raw(required.memory.guest)
        if guest < least.value():
            raise InvalidInput(
                f"VirtualMachine {vmi.label}: guest memory",
                guest,
                f"at least the preference's {least.canonical()}",
            )


def _first(*values: Any) -> Any:
    """The first value that is given."""
    return next((value for value in values if value is not None), None)
