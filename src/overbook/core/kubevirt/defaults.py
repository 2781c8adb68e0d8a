"""What KubeVirt's API webhook writes into a VM before its pod is computed, in the webhook's order.

A CPU request is taken from the CPU limit, the guest's memory from the memory request or limit, and the
topology from the CPU limit or request. Source: ``pkg/defaults`` and ``pkg/liveupdate/memory`` of KubeVirt
main of 2026-08.
"""

from typing import Final

from msgspec.structs import replace

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import ResourceList
from overbook.core.kubernetes.quantity import Quantity, RawQuantity
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.vm import Cpu, GuestMemory, InstanceSpec, VirtualMachineInstance

DEFAULT_CPU_REQUEST: Final = 100
"""Thousandths of a core; KubeVirt looks at the cluster's ``cpuRequest`` only where it differs from this."""
_BLOCK_BYTES: Final = 2 << 20
_LARGE_BLOCK_BYTES: Final = 1 << 30
_LEAST_GUEST_BYTES: Final = 1 << 30


def with_vm_defaults(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> VirtualMachineInstance:
    """A VM as KubeVirt's API webhook stores it, as far as its size is concerned.

    Args:
        vmi: the VM as submitted, with its instancetype and preference applied.
        policy: the cluster's settings.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    vmi.requests_and_limits()
    spec = vmi.spec
    if not spec.architecture:
        spec = replace(spec, architecture=policy.architecture)
    vmi = replace(vmi, spec=_with_cpu_request(vmi, spec, policy))
    vmi = _with_guest_memory(vmi)
    vmi = _with_topology(vmi)
    return _with_max_guest(vmi, policy)


def hotplug_obstacle(vmi: VirtualMachineInstance, max_guest: Quantity | None) -> str:
    """Why memory cannot be added to the running VM; empty: it can.

    Args:
        vmi: the VM, with defaults.
        max_guest: the most memory that the guest could grow to.

    Raises:
        InvalidInput: a quantity is not valid.
    """
    domain = vmi.spec.domain
    cpu, memory = domain.cpu, domain.memory
    if cpu is not None and cpu.realtime is not None:
        return "the VM is a realtime VM"
    if cpu is not None and cpu.numa is not None and cpu.numa.guest_mapping_passthrough is not None:
        return "the VM passes the node's NUMA topology to the guest"
    if domain.launch_security is not None:
        return "the VM's memory is encrypted"
    pages = memory.hugepages if memory is not None else None
    block = _LARGE_BLOCK_BYTES if pages is not None and pages.page_size == "1Gi" else _BLOCK_BYTES
    guest = vmi.guest_bytes
    if guest is None or memory is None or memory.guest is None or max_guest is None:
        return "the guest's memory is not given"
    if guest > max_guest.value():
        return "the guest's memory exceeds maxGuest"
    if guest % block or max_guest.value() % block:
        return f"memory.guest and maxGuest must be multiples of {block >> 20}Mi"
    if vmi.spec.architecture != "amd64":
        return "the VM's architecture is not amd64"
    if guest < _LEAST_GUEST_BYTES:
        return "the guest has less than 1Gi"
    return ""


def _with_cpu_request(
    vmi: VirtualMachineInstance, spec: InstanceSpec, policy: LauncherPolicy
) -> InstanceSpec:
    requests, limits = vmi.requests_and_limits()
    written = spec.domain.resources
    taken: RawQuantity = None
    if limits.cpu_milli and not requests.cpu_milli:
        taken = (written.limits or {})[CPU]
    elif requests.cpu_milli is None and policy.cpu_request is not None and not vmi.has_dedicated_cpu:
        if policy.cpu_request.milli() == DEFAULT_CPU_REQUEST:
            return spec
        taken = policy.cpu_request.canonical()
    if taken is None:
        return spec
    listed: ResourceList = {**(written.requests or {}), CPU: taken}
    return replace(spec, domain=replace(spec.domain, resources=replace(written, requests=listed)))


def _with_guest_memory(vmi: VirtualMachineInstance) -> VirtualMachineInstance:
    domain = vmi.spec.domain
    memory = domain.memory or GuestMemory()
    if memory.guest is not None:
        return vmi
    requests, limits = vmi.requests_and_limits()
    guest: RawQuantity = None
    if requests.memory_millibytes:
        guest = (domain.resources.requests or {})[MEMORY]
    elif limits.memory_millibytes:
        guest = (domain.resources.limits or {})[MEMORY]
    elif memory.hugepages is not None:
        try:
            vmi.quantity("memory.hugepages.pageSize", memory.hugepages.page_size)
        except InvalidInput:
            return vmi  # the webhook refuses the VM later, with the page size
        guest = memory.hugepages.page_size
    memory = replace(memory, guest=guest)
    return replace(vmi, spec=replace(vmi.spec, domain=replace(domain, memory=memory)))


def _with_topology(vmi: VirtualMachineInstance) -> VirtualMachineInstance:
    domain = vmi.spec.domain
    cpu = domain.cpu or Cpu()
    if cpu.cores or cpu.sockets or cpu.threads:
        return vmi
    sockets = 1
    for field, listed in (("limits", domain.resources.limits), ("requests", domain.resources.requests)):
        if listed and CPU in listed:
            sockets = vmi.quantity(f"resources.{field}.{CPU}", listed[CPU]).value() % 2**32
            break
    cpu = replace(cpu, sockets=sockets, cores=1, threads=1)
    return replace(vmi, spec=replace(vmi.spec, domain=replace(domain, cpu=cpu)))


def _with_max_guest(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> VirtualMachineInstance:
    memory = vmi.spec.domain.memory
    if not policy.live_update or vmi.spec.architecture == "arm64":
        return vmi
    if memory is None or memory.guest is None or memory.max_guest is not None:
        return vmi
    most = policy.max_guest or Quantity((vmi.guest_bytes or 0) * policy.max_guest_ratio, 0, "BinarySI")
    if hotplug_obstacle(vmi, most):
        return vmi
    memory = replace(memory, max_guest=most.canonical())
    return replace(vmi, spec=replace(vmi.spec, domain=replace(vmi.spec.domain, memory=memory)))
