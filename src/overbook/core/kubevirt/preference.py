"""Preferences: the devices, the topology and the firmware that a VM gets where it does not say otherwise.

Source: ``kubevirt.io/api/instancetype/v1beta1`` and ``pkg/instancetype/preference`` of KubeVirt main of
2026-08.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, convert
from overbook.core.kubernetes.quantity import RawQuantity, from_raw
from overbook.core.kubevirt.vm import (
    Bootloader,
    Count,
    Cpu,
    Devices,
    Efi,
    Firmware,
    InstanceSpec,
    LaunchSecurity,
    Tpm,
    VirtualMachineInstance,
)

THREADS_PER_CORE: Final = 2


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


class _PreferredFirmware(KubeStruct, frozen=True):
    preferred_use_bios: bool | None = None
    preferred_efi: Efi | None = None
    preferred_use_efi: bool | None = None
    preferred_use_secure_boot: bool | None = None


class _RequiredCpu(KubeStruct, frozen=True):
    guest: Count = 0


class _RequiredMemory(KubeStruct, frozen=True):
    guest: RawQuantity = None


class _Requirements(KubeStruct, frozen=True):
    architecture: str | None = None
    cpu: _RequiredCpu | None = None
    memory: _RequiredMemory | None = None


class PreferenceSpec(KubeStruct, frozen=True):
    """What VMs that name the preference get where they do not say otherwise."""

    cpu: _PreferredCpu | None = None
    devices: _PreferredDevices | None = None
    firmware: _PreferredFirmware | None = None
    requirements: _Requirements | None = None
    annotations: dict[str, str] | None = None
    prefer_spread_socket_to_core_ratio: Count = 0
    preferred_architecture: str | None = None
    preferred_launch_security: LaunchSecurity | None = None


class _Preference(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PreferenceSpec = PreferenceSpec()


def decode_preference(manifest: Any, label: str) -> PreferenceSpec:
    """The spec of a parsed preference, of the cluster or of a namespace.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    return convert(manifest, _Preference, label).spec


def with_preferred_devices(vmi: VirtualMachineInstance, preference: PreferenceSpec) -> VirtualMachineInstance:
    """The VM with the preferred devices, which KubeVirt sets before all else."""
    preferred, written = preference.devices, vmi.spec.domain.devices
    if preferred is None:
        return vmi
    devices: Devices = replace(
        written,
        autoattach_graphics_device=first(
            written.autoattach_graphics_device, preferred.preferred_autoattach_graphics_device
        ),
        autoattach_serial_console=first(
            written.autoattach_serial_console, preferred.preferred_autoattach_serial_console
        ),
        tpm=first(written.tpm, preferred.preferred_tpm),
    )
    return replace(vmi, spec=replace(vmi.spec, domain=replace(vmi.spec.domain, devices=devices)))


def with_preference(vmi: VirtualMachineInstance, preference: PreferenceSpec) -> VirtualMachineInstance:
    """The VM with everything else that is preferred."""
    spec: InstanceSpec = vmi.spec
    security = first(spec.domain.launch_security, preference.preferred_launch_security)
    spec = replace(
        spec,
        architecture=spec.architecture or preference.preferred_architecture,
        domain=replace(
            spec.domain,
            launch_security=security,
            firmware=_preferred_firmware(spec.domain.firmware, preference.firmware),
        ),
    )
    return annotated(replace(vmi, spec=spec), preference.annotations)


def topology_of(
    vcpus: int, preference: PreferenceSpec | None, vmi: VirtualMachineInstance
) -> tuple[int, int, int]:
    """Sockets, cores and threads of an instancetype's vCPUs.

    Raises:
        InvalidInput: the vCPUs cannot be spread as preferred.
    """
    if vcpus == 1:
        return 1, 1, 1
    match _preferred_topology(preference):
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


def _preferred_firmware(written: Firmware | None, preferred: _PreferredFirmware | None) -> Firmware | None:
    """The firmware; a preference gives the boot loader where the VM gives none."""
    loader = (written.bootloader if written else None) or Bootloader()
    if preferred is None or loader.bios is not None:
        return written
    efi = loader.efi
    if efi is None and preferred.preferred_use_bios:
        return written
    if efi is None and preferred.preferred_efi is not None:
        efi = preferred.preferred_efi
    else:
        if efi is None and preferred.preferred_use_efi:
            efi = Efi()
        if efi is not None and efi.secure_boot is None:
            efi = replace(efi, secure_boot=preferred.preferred_use_secure_boot)
    return replace(written or Firmware(), bootloader=replace(loader, efi=efi))


def annotated(vmi: VirtualMachineInstance, annotations: dict[str, str] | None) -> VirtualMachineInstance:
    """The VM with annotations; its own win."""
    if not annotations:
        return vmi
    metadata = replace(vmi.metadata, annotations={**annotations, **(vmi.metadata.annotations or {})})
    return replace(vmi, metadata=metadata)


def unmet_requirement(
    vmi: VirtualMachineInstance, preference: PreferenceSpec, instancetype_vcpus: int | None
) -> str:
    """What a VM's preference requires and the VM does not have; empty: nothing.

    Args:
        vmi: the VM, with KubeVirt's defaults, which count.
        preference: the preference.
        instancetype_vcpus: the vCPUs of the VM's instancetype; ``None``: it has none.

    Raises:
        InvalidInput: the required memory is not a quantity.
    """
    required = preference.requirements
    if required is None:
        return ""
    vcpus = _provided(vmi, preference) if instancetype_vcpus is None else instancetype_vcpus
    if required.cpu is not None and vcpus < required.cpu.guest:
        given = f"{vcpus} of {required.cpu.guest} vCPUs"
        return f"the preference requires more: {given} are given as it prefers them"
    if required.memory is not None and required.memory.guest is not None:
        guest, least = vmi.guest_bytes or 0, from_raw(required.memory.guest)
        if guest < least.value():
            return f"the preference requires guest memory of {least.canonical()}, and it has {guest} bytes"
    if required.architecture is not None and required.architecture != vmi.spec.architecture:
        return f"the preference requires {required.architecture}, and it is for {vmi.spec.architecture}"
    return ""


def _provided(vmi: VirtualMachineInstance, preference: PreferenceSpec) -> int:
    """The vCPUs that a VM without an instancetype gives in the preferred topology, which alone counts."""
    cpu = vmi.spec.domain.cpu or Cpu()
    sockets, cores, threads = cpu.sockets or 0, cpu.cores or 0, cpu.threads or 0
    across = (preference.cpu.spread_options if preference.cpu else None) or _SpreadOptions()
    match _preferred_topology(preference):
        case "cores":
            return cores
        case "threads":
            return threads
        case "spread" if across.across in (None, "SocketsCores"):
            return sockets * cores
        case "spread" if across.across == "CoresThreads":
            return cores * threads
        case "sockets":
            return sockets
        case _:
            return sockets * cores * threads


def _preferred_topology(preference: PreferenceSpec | None) -> str:
    preferred = preference.cpu.preferred_cpu_topology if preference and preference.cpu else None
    return (preferred or "sockets").removeprefix("prefer").lower()


def first(*values: Any) -> Any:
    """The first value that is given."""
    return next((value for value in values if value is not None), None)
