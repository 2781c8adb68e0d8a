"""Why KubeVirt's API webhook refuses a VM, as far as its size and its containers are concerned.

Source: ``pkg/virt-api/webhooks/validating-webhook/admitters`` of KubeVirt main of 2026-08.
"""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubevirt.defaults import hotplug_obstacle
from overbook.core.kubevirt.launcher import HOOKS_ANNOTATION
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.vm import VirtualMachineInstance

_LEAST_REQUEST_BYTES: Final = 1_000_000
_MOST_PINNED_THREADS: Final = 2
_ARCHITECTURES: Final = ("amd64", "arm64", "s390x")
_THREADS_POLICIES: Final = ("shared", "auto", "supplementalPool")


def vm_refusal(vmi: VirtualMachineInstance, policy: LauncherPolicy, *, grows: bool = True) -> str:
    """The first reason why KubeVirt refuses the VM or never creates its pod; empty: there is none.

    Args:
        vmi: the VM, with the defaults of :func:`overbook.core.kubevirt.defaults.with_vm_defaults`.
        policy: the cluster's settings.
        grows: whether a VirtualMachine defines it: of an instance alone nobody checks ``memory.maxGuest``.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    return next(_reasons(vmi, policy, grows=grows), "")


def _reasons(vmi: VirtualMachineInstance, policy: LauncherPolicy, *, grows: bool) -> Iterator[str]:
    if vmi.spec.architecture not in _ARCHITECTURES:
        yield f"architecture {vmi.spec.architecture} is not one of {', '.join(_ARCHITECTURES)}"
    yield from _memory(vmi, policy, grows=grows)
    yield from _cpu(vmi)
    if vmi.has_dedicated_cpu:
        yield from _pinning(vmi)
    yield from _topology(vmi)
    yield from _security(vmi)
    for interface in vmi.spec.domain.devices.interfaces or ():
        if interface.slirp is not None or interface.macvtap is not None:
            yield f"interface {interface.name} has a binding that KubeVirt no longer has (slirp, macvtap)"
    yield from _features(vmi, policy)


def _memory(vmi: VirtualMachineInstance, policy: LauncherPolicy, *, grows: bool) -> Iterator[str]:
    requests, limits = vmi.requests_and_limits()
    request, limit = requests.memory_bytes or 0, limits.memory_bytes or 0
    guest = vmi.guest_bytes or 0
    memory = vmi.spec.domain.memory
    if not request and (memory is None or (memory.guest is None and memory.hugepages is None)):
        yield "no memory is given: set memory.guest"
    if 0 < request < _LEAST_REQUEST_BYTES:
        yield "resources.requests.memory is below 1M"
    if 0 < limit < request:
        yield "resources.requests.memory is above resources.limits.memory"
    if memory is not None and memory.hugepages is not None:
        yield from _pages(vmi, memory.hugepages.page_size, request or guest or limit)
    if not policy.live_update and 0 < limit < guest:
        yield "memory.guest is above resources.limits.memory"
    if grows and policy.live_update and memory is not None and memory.max_guest is not None:
        obstacle = hotplug_obstacle(vmi, vmi.quantity("memory.maxGuest", memory.max_guest))
        if obstacle:
            yield f"memory.maxGuest cannot be used: {obstacle}"


def _pages(vmi: VirtualMachineInstance, page_size: str | float | None, memory_bytes: int) -> Iterator[str]:
    try:
        page = from_raw(page_size).value()
    except InvalidInput:
        page = 0
    if page <= 0:
        yield f"memory.hugepages.pageSize {page_size} is not a size"
    elif memory_bytes < page or memory_bytes % page:
        yield f"the memory of {vmi.label} is not a multiple of the page size {page_size}"


def _cpu(vmi: VirtualMachineInstance) -> Iterator[str]:
    requests, limits = vmi.requests_and_limits()
    if limits.cpu_milli and (requests.cpu_milli or 0) > limits.cpu_milli:
        yield "resources.requests.cpu is above resources.limits.cpu"
    threads = vmi.spec.domain.io_threads_policy
    if threads is not None and threads not in _THREADS_POLICIES:
        yield f"ioThreadsPolicy {threads} is not one of {', '.join(_THREADS_POLICIES)}"
    if threads == "supplementalPool" and not vmi.pool_threads:
        yield "ioThreadsPolicy supplementalPool needs ioThreads.supplementalPoolThreadCount"
    cpu = vmi.spec.domain.cpu
    if cpu is not None and cpu.isolate_emulator_thread and not cpu.dedicated_cpu_placement:
        yield "cpu.isolateEmulatorThread needs cpu.dedicatedCpuPlacement"
    if cpu is not None and cpu.max_sockets and (cpu.sockets or 0) > cpu.max_sockets:
        yield "cpu.sockets is above cpu.maxSockets"


def _pinning(vmi: VirtualMachineInstance) -> Iterator[str]:
    """Reasons against dedicated CPUs: they are whole, and all places that give their number agree."""
    requests, limits = vmi.quantities()
    cpu = vmi.spec.domain.cpu
    vcpus = cpu.vcpus if cpu is not None else 0
    cores = [_cores(listed.get("cpu")) for listed in (requests, limits)]
    for name, listed in (("requests", requests), ("limits", limits)):
        quantity = listed.get("cpu")
        if quantity is not None and quantity.value() * 1000 != quantity.milli():
            yield f"resources.{name}.cpu is not whole, as dedicated CPUs must be"
    memory = [listed["memory"].value() if "memory" in listed else 0 for listed in (requests, limits)]
    if all(memory) and memory[0] != memory[1]:
        yield "resources.requests.memory and resources.limits.memory differ, with dedicated CPUs"
    if not any(memory) and not vmi.has_hugepages and not vmi.guest_bytes:
        yield "no memory is given: set memory.guest"
    if not any(cores) and not vcpus:
        yield "no number of CPUs is given, with dedicated CPUs"
    if all(cores) and cores[0] != cores[1]:
        yield "resources.requests.cpu and resources.limits.cpu differ, with dedicated CPUs"
    if any(cores) and vcpus and vcpus not in cores:
        yield "resources and cpu give different numbers of CPUs, with dedicated CPUs"
    threads = cpu.threads or 0 if cpu is not None else 0
    if threads > (1 if vmi.spec.architecture == "arm64" else _MOST_PINNED_THREADS):
        yield "cpu.threads is too high for dedicated CPUs"


def _cores(quantity: Quantity | None) -> int:
    return 0 if quantity is None else quantity.value()


def _topology(vmi: VirtualMachineInstance) -> Iterator[str]:
    cpu, memory = vmi.spec.domain.cpu, vmi.spec.domain.memory
    if cpu is None:
        return
    passes_numa = cpu.numa is not None and cpu.numa.guest_mapping_passthrough is not None
    if passes_numa and not cpu.dedicated_cpu_placement:
        yield "cpu.numa.guestMappingPassthrough needs cpu.dedicatedCpuPlacement"
    if passes_numa and (memory is None or memory.hugepages is None):
        yield "cpu.numa.guestMappingPassthrough needs memory.hugepages"
    if cpu.realtime is not None and not (cpu.dedicated_cpu_placement and passes_numa):
        yield "cpu.realtime needs cpu.dedicatedCpuPlacement and cpu.numa.guestMappingPassthrough"


def _features(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> Iterator[str]:
    """Reasons from the cluster's configuration: feature gates, devices and network bindings."""
    spec, gates = vmi.spec, policy.feature_gates
    devices = spec.domain.devices
    if gates is not None:
        for gate, uses in _used_gates(vmi).items():
            if uses and gate not in gates:
                yield f"KubeVirt's feature gate {gate} is off"
        for interface in devices.interfaces or ():
            if interface.binding is not None and interface.binding.name not in policy.bindings:
                yield f"KubeVirt's configuration has no network binding {interface.binding.name}"
    if policy.permitted_devices is not None:
        for device in (*(devices.gpus or ()), *(devices.host_devices or ())):
            if not device.claim_name and device.device_name not in policy.permitted_devices:
                yield f"{device.device_name} is not in KubeVirt's permittedHostDevices"


def _used_gates(vmi: VirtualMachineInstance) -> dict[str, bool]:
    """Feature gates that are off unless configured, and whether the VM needs them."""
    spec = vmi.spec
    devices, memory, security = spec.domain.devices, spec.domain.memory, spec.domain.launch_security
    shared = {one.name for one in devices.filesystems or ()}
    return {
        "DownwardMetrics": devices.downward_metrics is not None,
        "HostDevices": devices.host_devices is not None,
        "ReservedOverheadMemlock": memory is not None and memory.reserved_overhead is not None,
        "Sidecar": bool((vmi.metadata.annotations or {}).get(HOOKS_ANNOTATION)),
        "VSOCK": bool(devices.autoattach_vsock),
        "EnableVirtioFsStorageVolumes": any(
            volume.name in shared
            and (volume.persistent_volume_claim is not None or volume.data_volume is not None)
            for volume in spec.volumes or ()
        ),
        "WorkloadEncryptionTDX": security is not None and security.tdx is not None,
    }


def _security(vmi: VirtualMachineInstance) -> Iterator[str]:
    """Reasons against confidential computing: one kind, and UEFI without the features that it excludes."""
    security, firmware = vmi.spec.domain.launch_security, vmi.spec.domain.firmware
    if security is None or vmi.spec.architecture == "s390x":
        return
    if vmi.spec.architecture == "arm64":
        yield "launchSecurity is not supported on arm64"
    if [security.sev, security.snp, security.tdx].count(None) != len(("sev", "snp", "tdx")) - 1:
        yield "launchSecurity must give exactly one of sev, snp and tdx"
    loader = firmware.bootloader if firmware is not None else None
    efi = loader.efi if loader is not None else None
    if efi is None:
        yield "launchSecurity needs firmware.bootloader.efi"
    elif security.tdx is None and efi.secure_boot is not False:
        yield "launchSecurity sev and snp need firmware.bootloader.efi.secureBoot: false"
    elif security.sev is None and efi.persistent:
        yield "launchSecurity snp and tdx exclude firmware.bootloader.efi.persistent"
