"""Resources that a node reserves for its system, for eviction and for higher QoS classes.

Sources: node allocatable and ``qosReserved``: ``pkg/kubelet/cm`` at v1.36; the proposal by size: the tiers
that GKE documents for its nodes, which OpenShift's ``autoSizingReserved`` uses too; *Configuring the cluster
to place pods on overcommitted nodes* 6.5.4.1 and 6.5.6.2.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import Amounts

GIB: Final = 1 << 30
MIB: Final = 1 << 20
DEFAULT_HARD_EVICTION: Final = "100Mi"
"""``memory.available`` of the kubelet's default ``evictionHard``."""
DEFAULT_HARD_EVICTION_BYTES: Final = parse(DEFAULT_HARD_EVICTION).value()
SMALLEST_RESERVE_BYTES: Final = 255 * MIB
"""The memory reserve that is proposed for a node with less than 1 GiB."""
HEADROOM_BYTES: Final = 16 * MIB
"""How far above a QoS class's use its new limit is set: the use may grow before the limit takes effect."""

_THRESHOLD: Final = 'a quantity such as "100Mi", or a percentage from "0%" to "100%"'
_RESERVED: Final = 'a percentage from "0%" to "100%", such as "50%" or "memory=50%"'
_MEMORY_TIERS: Final = ((4, 25), (4, 20), (8, 10), (112, 6))
"""Tiers of memory: size in GiB, and the percentage of it."""
_MEMORY_ABOVE_PERCENT: Final = 2
_CPU_TIERS: Final = ((1000, 600), (1000, 100), (2000, 50))
"""Tiers of CPU: size in milli-CPU, and the share of it in 1/10000."""
_CPU_ABOVE: Final = 25


class Allocatable(msgspec.Struct, frozen=True, gc=False):
    """Resources that a node has left for pods.

    Attributes:
        reported: allocatable in the node's status, which the scheduler uses.
        enforced: the limit of the cgroup of all pods; the eviction threshold is not subtracted.
    """

    reported: Amounts
    enforced: Amounts


class QosReserve(msgspec.Struct, frozen=True, gc=False):
    """``memory.max`` of the QoS cgroups, in bytes."""

    burstable_max_bytes: int
    best_effort_max_bytes: int


class ClassRequests(msgspec.Struct, frozen=True, gc=False):
    """Memory that the pods of a class request together, in bytes; BestEffort pods request nothing."""

    guaranteed_bytes: int = 0
    burstable_bytes: int = 0

    def __add__(self, other: "ClassRequests") -> "ClassRequests":
        return ClassRequests(
            self.guaranteed_bytes + other.guaranteed_bytes, self.burstable_bytes + other.burstable_bytes
        )


def class_requests(pods: Iterable[ResolvedPod]) -> ClassRequests:
    """The memory requests of a node's pods by QoS class, summed as the kubelet does for ``qosReserved``.

    Overhead, init containers and pod-level resources count as for the scheduler; critical and static pods
    count like all others. Pods that have ended do not count.
    """
    sums = {"Guaranteed": 0, "Burstable": 0, "BestEffort": 0}
    for pod in pods:
        if pod.pod.has_ended:
            continue
        status = pod.pod.status
        reported = status.qos_class if status is not None else None
        quality = reported if reported in sums else pod.qos_class
        sums[quality] += pod.requests.memory_bytes or 0
    return ClassRequests(sums["Guaranteed"], sums["Burstable"])


def allocatable(
    capacity: Amounts,
    *,
    kube_reserved: Amounts | None = None,
    system_reserved: Amounts | None = None,
    hard_eviction_bytes: int = DEFAULT_HARD_EVICTION_BYTES,
    huge_pages_bytes: int = 0,
) -> Allocatable:
    """Capacity minus reserves; never below 0.

    Args:
        capacity: CPU and memory of the node.
        kube_reserved: the kubelet's ``kubeReserved``.
        system_reserved: the kubelet's ``systemReserved``.
        hard_eviction_bytes: threshold of ``memory.available``, see :func:`threshold_bytes`.
        huge_pages_bytes: memory that is set aside as huge pages. The kubelet reports them as resources of
            their own, but does not subtract them from the limit of all pods, to which they are not charged.
    """
    kube, system = kube_reserved or Amounts(), system_reserved or Amounts()
    cpu = max(0, (capacity.cpu_milli or 0) - (kube.cpu_milli or 0) - (system.cpu_milli or 0))
    memory = (capacity.memory_bytes or 0) - (kube.memory_bytes or 0) - (system.memory_bytes or 0)
    return Allocatable(
        reported=Amounts.of(cpu, max(0, memory - hard_eviction_bytes - huge_pages_bytes)),
        enforced=Amounts.of(cpu, max(0, memory)),
    )


def threshold_bytes(threshold: str, capacity_bytes: int) -> int:
    """An eviction threshold, ``100Mi`` or ``5%`` of the capacity, in bytes, rounded down.

    Raises:
        InvalidInput: the threshold is neither a quantity nor a percentage from 0 to 100.
    """
    percentage = threshold.endswith("%")
    try:
        quantity = parse(threshold.removesuffix("%"))
    except InvalidInput as error:
        raise InvalidInput("eviction threshold", threshold, _THRESHOLD) from error
    if quantity.sign < 0 or (percentage and quantity.scaled(-9) > 100 * 10**9):
        raise InvalidInput("eviction threshold", threshold, _THRESHOLD)
    if not percentage:
        return quantity.value()
    return capacity_bytes * quantity.scaled(-9) // (100 * 10**9)


def qos_reserve(
    enforced_memory_bytes: int, guaranteed_request_bytes: int, burstable_request_bytes: int, percent: int
) -> QosReserve:
    """The limits of the lower QoS classes under ``qosReserved: {memory: "percent%"}``.

    Args:
        enforced_memory_bytes: capacity minus kube and system reserves; the eviction threshold is not
            subtracted.
        guaranteed_request_bytes: memory requests of all Guaranteed pods, overhead included.
        burstable_request_bytes: memory requests of all Burstable pods, overhead included.
        percent: the percentage of a higher class's requests that lower ones cannot use, 0 to 100.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    if not 0 <= percent <= 100:
        raise InvalidInput("qosReserved memory percentage", percent, "a number from 0 to 100")
    burstable = max(0, enforced_memory_bytes - guaranteed_request_bytes * percent // 100)
    return QosReserve(burstable, max(0, burstable - burstable_request_bytes * percent // 100))


def held_limit_bytes(wanted_bytes: int, present_bytes: int | None, usage_bytes: int) -> int:
    """The ``memory.max`` to write next for a QoS class, on the way to the wanted one.

    A limit is raised at once. It is never lowered below the memory in use: the kernel would reclaim, and then
    kill. A class that uses more than the wanted limit gets :data:`HEADROOM_BYTES` above its use; as the use
    falls, the limit is lowered in steps of that size. It is never raised because of the use.

    Args:
        wanted_bytes: the limit of :func:`qos_reserve`.
        present_bytes: the present ``memory.max``; ``None``: no limit.
        usage_bytes: ``memory.current``.
    """
    if present_bytes is not None and present_bytes <= wanted_bytes:
        return wanted_bytes
    if usage_bytes <= wanted_bytes:
        return wanted_bytes
    held = usage_bytes + HEADROOM_BYTES
    if present_bytes is not None and present_bytes - held < HEADROOM_BYTES:
        return present_bytes
    return held


def reserved_percent(text: str) -> int:
    """The percentage in ``memory=50%``, the form of the kubelet's flag, or in ``50%``.

    Raises:
        InvalidInput: the text has neither form, or the number is not from 0 to 100.
    """
    number = text.strip().removeprefix("memory=").removesuffix("%").strip()
    if not (number.isascii() and number.isdigit() and int(number[:4]) <= 100):
        raise InvalidInput("qosReserved memory", text, _RESERVED)
    return int(number)


def proposed_reserve(capacity: Amounts) -> Amounts:
    """The reservation for the system that is proposed for a node of this size, rounded up.

    Memory: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % of the next 112 and 2 % of
    the rest; 255 MiB on nodes below 1 GiB. CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next
    two and 0.25 % of the rest.

    Raises:
        InvalidInput: CPU or memory of the node is missing or not positive.
    """
    memory, cpu = capacity.memory_bytes or 0, capacity.cpu_milli or 0
    if memory <= 0:
        raise InvalidInput("node memory", capacity.memory_bytes, "more than 0 bytes")
    if cpu <= 0:
        raise InvalidInput("node CPU", capacity.cpu_milli, "more than 0 milli-CPU")
    return Amounts.of(-(-_tiered_cpu(cpu) // 10_000), _proposed_memory_bytes(memory))


def _proposed_memory_bytes(memory: int) -> int:
    if memory < GIB:
        return min(memory, SMALLEST_RESERVE_BYTES)
    hundredths = 0
    left = memory
    for gib, percent in _MEMORY_TIERS:
        part = min(left, gib * GIB)
        hundredths += part * percent
        left -= part
    return -(-(hundredths + left * _MEMORY_ABOVE_PERCENT) // 100)


def _tiered_cpu(cpu: int) -> int:
    parts = 0
    left = cpu
    for milli, share in _CPU_TIERS:
        part = min(left, milli)
        parts += part * share
        left -= part
    return parts + left * _CPU_ABOVE
