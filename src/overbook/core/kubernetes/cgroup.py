"""What the kubelet and the container runtime write into a container's and a pod's cgroup.

Sources: ``pkg/kubelet/cm/helpers_linux.go``, ``pkg/kubelet/kuberuntime`` at v1.36; the two conversions of
CPU shares to weight: ``pkg/kubelet/cm/cgroup_manager_linux.go`` (linear) and opencontainers/cgroups
``utils.go`` (quadratic, runc ≥ 1.3.2 and crun ≥ 1.23).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.kubernetes.resources import Amounts

MIN_SHARES: Final = 2
MAX_SHARES: Final = 262_144
MIN_WEIGHT: Final = 1
MAX_WEIGHT: Final = 10_000
DEFAULT_PERIOD_MICROS: Final = 100_000
MIN_QUOTA_MICROS: Final = 1_000


class ContainerValues(msgspec.Struct, frozen=True, gc=False):
    """One container's cgroup values.

    Attributes:
        cpu_shares: CFS shares, the unit that Kubernetes computes in.
        cpu_weight: ``cpu.weight`` as current runtimes convert it from shares.
        cpu_quota_micros: CPU time per period, in microseconds; 0: unlimited.
        cpu_period_micros: the period, in microseconds.
        memory_max_bytes: ``memory.max``; 0: unlimited.
    """

    cpu_shares: int
    cpu_weight: int
    cpu_quota_micros: int
    cpu_period_micros: int
    memory_max_bytes: int


class PodValues(msgspec.Struct, frozen=True, gc=False):
    """The pod cgroup's values; ``None``: the kubelet does not write that file."""

    cpu_shares: int
    cpu_weight: int
    cpu_quota_micros: int | None
    memory_max_bytes: int | None


def cpu_shares(milli: int) -> int:
    """CFS shares for a CPU request in milli-CPU."""
    return max(MIN_SHARES, min(MAX_SHARES, milli * 1024 // 1000))


def cpu_weight_of_kubelet(shares: int) -> int:
    """``cpu.weight`` of the cgroups that the kubelet owns (QoS classes, pods): the linear conversion."""
    if shares >= MAX_SHARES:
        return MAX_WEIGHT
    return MIN_WEIGHT + (max(shares, MIN_SHARES) - MIN_SHARES) * 9999 // 262_142


def cpu_weight_of_runtime(shares: int) -> int:
    """``cpu.weight`` of a container: the quadratic conversion, 0 for 0 (not set)."""
    if shares <= 0:
        return 0
    if shares <= MIN_SHARES:
        return MIN_WEIGHT
    if shares >= MAX_SHARES:
        return MAX_WEIGHT
    octaves = math.log2(shares)
    return math.ceil(10 ** ((octaves * octaves + 125 * octaves) / 612 - 7 / 34))


def cpu_quota_micros(milli: int, period_micros: int = DEFAULT_PERIOD_MICROS) -> int:
    """CFS quota for a CPU limit in milli-CPU; 0 (unlimited) where there is no limit."""
    if milli == 0:
        return 0
    return max(MIN_QUOTA_MICROS, milli * period_micros // 1000)


def container_values(
    pod: ResolvedPod,
    container: ResolvedContainer,
    *,
    period_micros: int = DEFAULT_PERIOD_MICROS,
    quota: bool = True,
) -> ContainerValues:
    """The values that the runtime writes for a container.

    Args:
        pod: the container's pod; pod-level limits apply where the container has none.
        container: the container.
        period_micros: the kubelet's ``cpuCFSQuotaPeriod``.
        quota: the kubelet's ``cpuCFSQuota``; without it a CPU limit has no effect on the node.
    """
    resources = container.resources
    cpu_limit, memory_limit = resources.limits.cpu_milli, resources.limits.memory_bytes
    level = pod.level
    if level is not None:
        cpu_limit = cpu_limit or level.limits.cpu_milli
        memory_limit = memory_limit or level.limits.memory_bytes
    request = resources.requests.cpu_milli
    shares = cpu_shares((cpu_limit if request is None else request) or 0)
    return ContainerValues(
        cpu_shares=shares,
        cpu_weight=cpu_weight_of_runtime(shares),
        cpu_quota_micros=cpu_quota_micros(cpu_limit or 0, period_micros) if quota else 0,
        cpu_period_micros=period_micros,
        memory_max_bytes=memory_limit or 0,
    )


def pod_values(
    pod: ResolvedPod, *, period_micros: int = DEFAULT_PERIOD_MICROS, quota: bool = True
) -> PodValues:
    """The kubelet's values for a pod: with a limit only if every container, or the pod itself, has one."""
    if pod.qos_class == "BestEffort":
        return PodValues(MIN_SHARES, MIN_WEIGHT, None, None)
    shares = cpu_shares(pod.requests.cpu_milli or 0)
    limits, level = pod.limits, pod.level
    parts = list(_declared_limits(pod))
    cpu_limited = bool(level and level.limits.cpu_milli) or all(part.cpu_milli for part in parts)
    memory_limited = bool(level and level.limits.memory_bytes) or all(part.memory_bytes for part in parts)
    return PodValues(
        cpu_shares=shares,
        cpu_weight=cpu_weight_of_kubelet(shares),
        cpu_quota_micros=cpu_quota_micros(limits.cpu_milli or 0, period_micros)
        if cpu_limited and quota
        else None,
        memory_max_bytes=limits.memory_bytes if memory_limited else None,
    )


def _declared_limits(pod: ResolvedPod) -> Iterator[Amounts]:
    """The limits that the kubelet looks at, one per container.

    For an init container these include the sidecars before it (and itself, if it is one), so a sidecar with a
    limit makes the kubelet count those after it as limited.
    """
    for container in pod.containers:
        yield container.resources.limits
    sidecars = Amounts()
    for container in pod.init_containers:
        limits = container.resources.limits + sidecars
        if container.role == "Sidecar":
            sidecars = limits
        yield limits


_BEST_EFFORT_WEIGHT: Final = cpu_weight_of_kubelet(MIN_SHARES)


def shares_of_node(pods: Sequence[tuple[QosClass, int, int]]) -> list[float]:
    """Each pod's share (0–1) of the node's CPU if all of them want more than there is.

    Args:
        pods: QoS class, CPU request in milli-CPU and ``cpu.weight`` of each.
    """
    requested = sum(milli for quality, milli, _ in pods if quality == "Burstable")
    inside: dict[str, int] = {"Burstable": 0, "BestEffort": 0}
    beside = 0
    for quality, _, weight in pods:
        if quality == "Guaranteed":
            beside += weight
        else:
            inside[quality] += weight
    slices = {"Burstable": cpu_weight_of_kubelet(cpu_shares(requested)), "BestEffort": _BEST_EFFORT_WEIGHT}
    present = sum(weight for name, weight in slices.items() if inside[name])
    total = beside + present
    return [
        weight / total if quality == "Guaranteed" else slices[quality] / total * weight / inside[quality]
        for quality, _, weight in pods
    ]
