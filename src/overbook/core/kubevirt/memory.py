"""The requests of a VM's launcher pod under ``memoryOvercommitPercentage``, and the guest's size from them.

KubeVirt starts from the requests and limits written by hand and applies, in this order: a memory request
from the guest's size, CPU pinning or a CPU request, large pages or overhead, and limits where the
namespace's quota needs them. Source: ``pkg/virt-controller/services`` of KubeVirt 1.7 to main of 2026-08.
"""

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import Amounts, Resources
from overbook.core.kubevirt.overhead import MAIN, Release, overhead_bytes, reported_overhead_bytes
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER, VirtualMachineInstance
from overbook.core.percentage import check_percent


class LauncherPolicy(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The cluster's settings that decide a launcher pod's requests and limits.

    Attributes:
        percent: ``memoryOvercommitPercentage``: guest memory promised per 100 of requested, 10 to 10000.
        cpu_allocation_ratio: vCPUs for each requested CPU.
        overhead_ratio: ``additionalGuestMemoryOverheadRatio``.
        auto_memory_limit_ratio: limit over request where the namespace has a quota on ``limits.memory``.
        auto_cpu_limit: whether the namespace requires CPU limits.
    """

    percent: int = 100
    cpu_allocation_ratio: int = 10
    overhead_ratio: str | None = None
    auto_memory_limit_ratio: float | None = None
    auto_cpu_limit: bool = False


class LauncherMemory(msgspec.Struct, frozen=True, gc=False):
    """The compute container's requests and limits.

    Attributes:
        resources: CPU in milli-CPU and memory in bytes; ``None``: not set.
        overhead_bytes: the part of the memory request that is not the guest's.
        hugepages_bytes: memory that is requested as large pages instead.
    """

    resources: Resources
    overhead_bytes: int
    hugepages_bytes: int = 0


def launcher_memory(
    vmi: VirtualMachineInstance,
    policy: LauncherPolicy | None = None,
    *,
    running: Release = MAIN,
    architecture: str | None = None,
    known_overhead_bytes: int | None = None,
) -> LauncherMemory:
    """Requests and limits of the compute container.

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
    overhead = known_overhead_bytes
    if overhead is None:
        overhead = overhead_bytes(
            vmi, running=running, architecture=architecture, ratio=policy.overhead_ratio
        )
    written, limits = vmi.requests_and_limits()
    cpu_request, cpu_limit = _cpu(vmi, written, limits, policy)
    request = _base_request(vmi, written, limits, policy.percent, running)
    limit = limits.memory_bytes
    if vmi.has_dedicated_cpu and request is not None:
        limit = request
    hugepages = 0
    if vmi.has_hugepages:
        guest = vmi.guest_bytes or 0
        explicit = vmi.spec.domain.memory is not None and vmi.spec.domain.memory.guest is not None
        hugepages = min(request or 0, guest) if explicit else request or 0
        request = (max(0, (request or 0) - guest) if explicit else 0) + overhead
        limit = limit if limit is None else (max(0, limit - guest) if explicit else 0) + overhead
    else:
        request = (request or 0) + (0 if vmi.spec.domain.resources.overcommit_guest_overhead else overhead)
        limit = limit if limit is None else limit + overhead
    if limit is None and policy.auto_memory_limit_ratio is not None:
        limit = int(request * policy.auto_memory_limit_ratio)
    return LauncherMemory(
        Resources(Amounts.of(cpu_request, request), Amounts.of(cpu_limit, limit)), overhead, hugepages
    )


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

    A pod shows it if KubeVirt wrote the overhead on it and computed the request from the guest size.

    Raises:
        InvalidInput: the overhead's annotation is not valid, or the percentage is out of range.
    """
    overhead = reported_overhead_bytes(pod.pod)
    if overhead is None:
        return None
    for container in pod.containers:
        if container.name == COMPUTE_CONTAINER:
            resources = container.resources
            request = resources.requests.memory_bytes
            # A request that equals its limit was set by hand, or belongs to dedicated CPUs.
            if request is not None and request >= overhead and request != resources.limits.memory_bytes:
                return guest_bytes(request, overhead, percent)
    return None


def _base_request(
    vmi: VirtualMachineInstance, requests: Amounts, limits: Amounts, percent: int, running: Release
) -> int | None:
    """The request before overhead: a written request wins; only a guest size is divided by the percentage."""
    if requests.memory_bytes:
        return requests.memory_bytes
    if limits.memory_bytes:
        return limits.memory_bytes
    guest = vmi.guest_bytes
    if requests.memory_bytes == 0 or not guest:
        return requests.memory_bytes
    if vmi.has_hugepages and not running.divides_hugepages:
        return guest
    return guest * 100 // percent


def _cpu(
    vmi: VirtualMachineInstance, requests: Amounts, limits: Amounts, policy: LauncherPolicy
) -> tuple[int | None, int | None]:
    """CPU request and limit in milli-CPU."""
    cpu, pool = vmi.spec.domain.cpu, vmi.spec.domain.io_threads
    extra = (pool.supplemental_pool_thread_count or 0) if pool else 0
    if vmi.has_dedicated_cpu and cpu is not None:
        emulator = 1000 if cpu.isolate_emulator_thread else 0
        if cpu.vcpus:
            whole = (cpu.vcpus + extra) * 1000 + emulator
            return whole, whole
        added = Amounts(extra * 1000)
        request = (requests + added).cpu_milli if requests.cpu_milli is not None else None
        limit = (limits + added).cpu_milli if limits.cpu_milli is not None else None
        if not emulator:
            return request, limit
        return (None if request is None else request + emulator), (limit or 0) + emulator
    threads = (cpu.vcpus if cpu is not None else 1) + extra
    computed = Amounts()
    if threads:
        computed = Amounts(_cpu_request_milli(threads, policy.cpu_allocation_ratio))
    automatic = Amounts(threads * 1000) if threads and policy.auto_cpu_limit else Amounts()
    return requests.over(computed).cpu_milli, limits.over(automatic).cpu_milli


def _cpu_request_milli(threads: int, ratio: int) -> int:
    """The CPU request: KubeVirt divides 64-bit floats, writes the shortest text, and parses that."""
    if not 1 <= ratio <= 1_000_000:
        raise InvalidInput("cpuAllocationRatio", ratio, "a number from 1 to 1000000, such as 10")
    cores = threads / ratio
    return parse(f"{cores * 1000!r}m" if cores < 1 else repr(cores)).milli()


def _roundest(smallest: int, largest: int) -> int:
    """The number from ``smallest`` to ``largest`` that is divisible by the largest power of two."""
    if smallest <= 0:
        return 0
    step = 1
    while -(-smallest // (step * 2)) * step * 2 <= largest:
        step *= 2
    return -(-smallest // step) * step
