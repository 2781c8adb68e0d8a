"""The requests of a VM's compute container under the percentage, and the guest's size from them.

KubeVirt starts from the requests and limits written by hand and applies, in this order: a memory request
from the guest's size, CPU pinning or a CPU request, large pages or overhead, and limits where the
namespace's quota needs them. Source: ``pkg/virt-controller/services`` of KubeVirt 1.7 to main of 2026-08.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod, ResourceRequirements
from overbook.core.kubernetes.quantity import ZERO, Quantity, added, from_raw, negated, parse
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts, Resources
from overbook.core.kubevirt.overhead import (
    MAIN,
    MIB,
    Release,
    overhead_quantity,
    page_table_part,
    reported_overhead_bytes,
)
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER, VirtualMachineInstance
from overbook.core.percentage import check_percent

Quantities = dict[str, Quantity]
HUGEPAGES_PREFIX: Final = "hugepages-"
EVEN_PARITY_ANNOTATION: Final = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"
"""On the VM's template: the emulator thread gets two CPUs where that makes their number even."""


class NetworkBinding(msgspec.Struct, frozen=True, gc=False):
    """A network binding plugin of the KubeVirt configuration.

    Attributes:
        memory: memory that the compute container requests in addition, for VMs that use the plugin.
        has_sidecar: whether the plugin runs a container of its own in the launcher pod.
    """

    memory: Quantity = ZERO
    has_sidecar: bool = False


class LauncherPolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The settings of the cluster and the namespace that decide a launcher pod's requests and limits.

    Attributes:
        percent: ``memoryOvercommitPercentage``: guest memory promised per 100 of requested, 10 to 10000.
        cpu_allocation_ratio: vCPUs for each requested CPU.
        overhead_ratio: ``additionalGuestMemoryOverheadRatio``.
        auto_memory_limit_ratio: limit over request where the namespace has a quota on ``limits.memory``.
        auto_cpu_limit: whether the namespace requires CPU limits.
        cpu_request: ``cpuRequest``: the CPU request of VMs that write none; ``None``: computed from vCPUs.
        architecture: the architecture of VMs that write none.
        live_update: whether changes of a VM's size reach running VMs (``vmRolloutStrategy: LiveUpdate``).
        max_guest_ratio: the most memory that a guest can grow to, as a multiple of its size at start.
        max_guest: the most memory that guests can grow to in this cluster, in place of the multiple.
        even_parity: whether the cluster gives the emulator thread two CPUs where that makes an even number.
        console_log: whether the guest's console is logged by a container of its own.
        image_volumes: whether container disks are mounted as image volumes, without a running container;
            ``None``: as the KubeVirt release does by default.
        support: requests and limits of KubeVirt's own containers, by kind of container.
        bindings: the network binding plugins by name.
        feature_gates: the feature gates that are on; ``None``: not known, so none is missed.
        permitted_devices: the resource names of devices that may be passed to guests; ``None``: not known.
        runtime_class: ``defaultRuntimeClass``.
    """

    percent: int = 100
    cpu_allocation_ratio: int = 10
    overhead_ratio: str | None = None
    auto_memory_limit_ratio: float | None = None
    auto_cpu_limit: bool = False
    cpu_request: Quantity | None = None
    architecture: str = "amd64"
    live_update: bool = True
    max_guest_ratio: int = 4
    max_guest: Quantity | None = None
    even_parity: bool = False
    console_log: bool = True
    image_volumes: bool | None = None
    support: Mapping[str, ResourceRequirements] = msgspec.field(default_factory=dict)
    bindings: Mapping[str, NetworkBinding] = msgspec.field(default_factory=dict)
    feature_gates: frozenset[str] | None = None
    permitted_devices: frozenset[str] | None = None
    runtime_class: str = ""


class LauncherMemory(msgspec.Struct, frozen=True, gc=False):
    """The compute container's requests and limits.

    Attributes:
        resources: CPU in milli-CPU and memory in bytes; ``None``: not set.
        overhead_bytes: the part of the memory request that is not the guest's.
        hugepages_bytes: memory that is requested as large pages instead.
        requests: the requests as exact quantities, by resource, large pages included.
        limits: the limits, likewise.
    """

    resources: Resources
    overhead_bytes: int
    hugepages_bytes: int
    requests: Quantities
    limits: Quantities


def launcher_memory(
    vmi: VirtualMachineInstance,
    policy: LauncherPolicy | None = None,
    *,
    running: Release = MAIN,
    architecture: str | None = None,
    known_overhead_bytes: int | None = None,
) -> LauncherMemory:
    """Requests and limits of the compute container.

    The VM is taken as it is; for a VM as a user submits it, apply
    :func:`overbook.core.kubevirt.defaults.with_vm_defaults` first.

    Args:
        vmi: the VM.
        policy: the cluster's settings.
        running: the KubeVirt release in the cluster.
        architecture: the node's architecture; default: the VM's own, else ``amd64``.
        known_overhead_bytes: the overhead that KubeVirt reported, used instead of a computed one.

    Raises:
        InvalidInput: a quantity or a setting is out of range.
    """
    policy = policy or LauncherPolicy()
    check_percent(policy.percent)
    if known_overhead_bytes is None:
        overhead = overhead_quantity(
            vmi,
            running=running,
            architecture=architecture,
            ratio=policy.overhead_ratio,
            binding=binding_memory(vmi, policy),
        )
    else:
        overhead = Quantity(known_overhead_bytes, 0, "BinarySI")
    written_requests, written_limits = vmi.quantities()
    requests, limits = dict(written_requests), dict(written_limits)
    _request_memory(vmi, requests, limits, policy.percent, running)
    computed_requests: Quantities = {}
    computed_limits: Quantities = {}
    if vmi.has_dedicated_cpu:
        _pin(vmi, requests, limits, policy)
    else:
        _share(vmi, computed_requests, computed_limits, policy)
    hugepages = ZERO
    if vmi.has_hugepages:
        name, hugepages = _use_hugepages(vmi, requests, limits, overhead)
        computed_requests[name] = computed_limits[name] = hugepages
    else:
        _add_overhead(vmi, requests, limits, overhead)
    if policy.auto_memory_limit_ratio is not None and MEMORY not in written_limits:
        request = requests.get(MEMORY, ZERO)
        automatic = int(float(request.value()) * policy.auto_memory_limit_ratio)
        computed_limits[MEMORY] = Quantity(automatic, 0, request.format)
    requests, limits = computed_requests | requests, computed_limits | limits
    return LauncherMemory(
        Resources(_amounts(requests), _amounts(limits)),
        overhead.value(),
        hugepages.value(),
        requests,
        limits,
    )


def binding_memory(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> Quantity:
    """The memory for the network binding plugins that a VM uses, each counted once."""
    used = {
        interface.binding.name
        for interface in vmi.spec.domain.devices.interfaces or ()
        if interface.binding is not None
    }
    memory = ZERO
    for name in sorted(used & policy.bindings.keys()):
        memory = added(memory, policy.bindings[name].memory)
    return memory


def request_bytes(guest_bytes: int, overhead_bytes: int, percent: int) -> int:
    """The memory request, in bytes, of a launcher pod whose VM sets only ``memory.guest``.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    check_percent(percent)
    return guest_bytes * 100 // percent + overhead_bytes


def guest_bytes(request_bytes: int, overhead_bytes: int, percent: int) -> int:
    """The guest size from a launcher pod's memory request: the inverse of :func:`request_bytes`.

    Several sizes give the same request, as KubeVirt rounds down. The result is the roundest of them
    (divisible by the largest power of two), which is the true one for every size that people write.

    Raises:
        InvalidInput: the percentage is out of range, or the request is smaller than the overhead.
    """
    check_percent(percent)
    base = request_bytes - overhead_bytes
    if base < 0:
        raise InvalidInput("memory request", request_bytes, f"at least the overhead, {overhead_bytes} bytes")
    smallest = -(-base * percent // 100)
    largest = -(-(base + 1) * percent // 100) - 1
    return _roundest(smallest, max(smallest, largest))


def inferred_guest_bytes(pod: ResolvedPod, percent: int) -> int | None:
    """The guest size inferred from a launcher pod alone; ``None``: the pod does not show it.

    A pod shows it if KubeVirt wrote the overhead on it, and large pages or the request hold the guest. Where
    the overhead has a part for page tables, the request was written by hand and is taken for the size.

    Raises:
        InvalidInput: the overhead's annotation is not valid, or the percentage is out of range.
    """
    overhead = reported_overhead_bytes(pod.pod)
    if overhead is None:
        return None
    pages = hugepages_bytes(pod.pod)
    if pages:
        return pages
    for container in pod.containers:
        if container.name == COMPUTE_CONTAINER:
            resources = container.resources
            request = resources.requests.memory_bytes
            # A request that equals its limit was set by hand, or belongs to dedicated CPUs.
            if request is not None and request >= overhead and request != resources.limits.memory_bytes:
                if is_written_by_hand(request, overhead):
                    return request - overhead
                return guest_bytes(request, overhead, percent)
    return None


def is_written_by_hand(request_bytes: int, overhead_bytes: int) -> bool:
    """Whether a launcher pod's overhead shows that the memory request was not computed from the guest size.

    KubeVirt adds page tables only for a request that the VM itself gives; all other parts are whole MiB. A
    request whose page tables are whole MiB, too, such as 2Gi, shows nothing.
    """
    page_tables = page_table_part(request_bytes - overhead_bytes)
    return page_tables % MIB != 0 and (overhead_bytes - page_tables) % MIB == 0


def hugepages_bytes(pod: Pod) -> int:
    """The large pages that a launcher pod's compute container requests, in bytes.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    for container in pod.containers:
        if container.name == COMPUTE_CONTAINER and container.resources is not None:
            requests = container.resources.requests or container.resources.limits or {}
            pages = [raw for name, raw in requests.items() if name.startswith(HUGEPAGES_PREFIX)]
            return sum(from_raw(raw).value() for raw in pages)
    return 0


def _amounts(quantities: Quantities) -> Amounts:
    cpu, memory = quantities.get(CPU), quantities.get(MEMORY)
    return Amounts.of(None if cpu is None else cpu.milli(), None if memory is None else memory.value())


def _request_memory(
    vmi: VirtualMachineInstance, requests: Quantities, limits: Quantities, percent: int, running: Release
) -> None:
    """Set the request before overhead: a written one wins; only a guest size is divided by the percentage."""
    if requests.get(MEMORY, ZERO).sign:
        return
    if limits.get(MEMORY, ZERO).sign:
        requests[MEMORY] = limits[MEMORY]
    guest = vmi.guest
    if MEMORY in requests or guest is None or guest.value() <= 0:
        return
    if percent == 100 or (vmi.has_hugepages and not running.divides_hugepages):
        requests[MEMORY] = guest
    else:
        requests[MEMORY] = Quantity(guest.value() * 100 // percent, 0, guest.format)


def _pin(
    vmi: VirtualMachineInstance, requests: Quantities, limits: Quantities, policy: LauncherPolicy
) -> None:
    """Set whole CPUs for vCPUs, I/O threads and the emulator thread; memory is limited to its request."""
    cpu = vmi.spec.domain.cpu
    threads = Quantity(vmi.pool_threads, 0, "BinarySI")
    if cpu is not None and cpu.vcpus:
        limits[CPU] = requests[CPU] = added(Quantity(cpu.vcpus, 0, "BinarySI"), threads)
    else:
        for listed in (limits, requests):
            if CPU in listed:
                listed[CPU] = added(listed[CPU], threads)
    if cpu is not None and cpu.isolate_emulator_thread:
        limit = limits.get(CPU, ZERO)
        counted = vmi.pool_threads if vmi.spec.domain.io_threads_policy == "supplementalPool" else 0
        wants_even = policy.even_parity or EVEN_PARITY_ANNOTATION in (vmi.metadata.annotations or {})
        even = wants_even and (limit.value() + counted) % 2 == 0
        emulator = Quantity(2 if even else 1, 0, "BinarySI")
        limits[CPU] = added(limit, emulator)
        if CPU in requests:
            requests[CPU] = added(requests[CPU], emulator)
    if MEMORY in requests:
        limits[MEMORY] = requests[MEMORY]


def _share(
    vmi: VirtualMachineInstance, requests: Quantities, limits: Quantities, policy: LauncherPolicy
) -> None:
    """Set the CPU request for vCPUs and I/O threads, and a CPU limit where the namespace requires one."""
    cpu = vmi.spec.domain.cpu
    threads = (cpu.vcpus if cpu is not None else 1) + vmi.pool_threads
    if threads:
        requests[CPU] = _shared_cpu(threads, policy.cpu_allocation_ratio)
        if policy.auto_cpu_limit:
            limits[CPU] = Quantity(threads, 0)


def _use_hugepages(
    vmi: VirtualMachineInstance, requests: Quantities, limits: Quantities, overhead: Quantity
) -> tuple[str, Quantity]:
    """Move the guest to large pages; ordinary memory holds the overhead and what exceeds the guest."""
    memory = vmi.spec.domain.memory
    size = memory.hugepages.page_size if memory is not None and memory.hugepages is not None else None
    pages = request = requests.get(MEMORY, ZERO)
    limit = limits.get(MEMORY, ZERO)
    above_request = above_limit = ZERO
    if memory is not None and memory.guest is not None and vmi.guest is not None:
        guest = vmi.guest
        if request.value() > guest.value():
            pages, above_request = guest, added(request, negated(guest))
        if limit.value() > guest.value():
            above_limit = added(limit, negated(guest))
    requests[MEMORY] = added(above_request, overhead)
    if MEMORY in limits:
        limits[MEMORY] = added(above_limit, overhead)
    return f"{HUGEPAGES_PREFIX}{size}", pages


def _add_overhead(
    vmi: VirtualMachineInstance, requests: Quantities, limits: Quantities, overhead: Quantity
) -> None:
    request = requests.get(MEMORY, ZERO)
    covered = vmi.spec.domain.resources.overcommit_guest_overhead
    requests[MEMORY] = request if covered else added(request, overhead)
    if MEMORY in limits:
        limits[MEMORY] = added(limits[MEMORY], overhead)


def _shared_cpu(threads: int, ratio: int) -> Quantity:
    """The CPU request: KubeVirt divides 64-bit floats, writes the shortest text, and parses that."""
    if not 1 <= ratio <= 1_000_000:
        raise InvalidInput("cpuAllocationRatio", ratio, "a number from 1 to 1000000, such as 10")
    cores = threads / ratio
    return parse(f"{cores * 1000!r}m" if cores < 1 else repr(cores))


def _roundest(smallest: int, largest: int) -> int:
    """The number from ``smallest`` to ``largest`` that is divisible by the largest power of two."""
    if smallest <= 0:
        return 0
    step = 1
    while -(-smallest // (step * 2)) * step * 2 <= largest:
        step *= 2
    return -(-smallest // step) * step
