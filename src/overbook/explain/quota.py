"""The effect of the CPU quota on a pod: with ``cpuCFSQuota`` on and off."""

from collections.abc import Iterator
from typing import Final

from overbook.core.kubernetes.cgroup import container_values, pod_values
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.text import cores
from overbook.explain.report import ContainerQuota, QuotaChange

_STAYS: Final = (
    "the limit still decides the QoS class ({quality}), is the default of the request, and counts in a "
    "ResourceQuota; cpu.weight, eviction and oom_score_adj do not change"
)


def quota_change(pod: ResolvedPod, *, enforced: bool) -> QuotaChange:
    """The difference that the CPU quota makes for a pod.

    Args:
        pod: the pod.
        enforced: whether the node's kubelet enforces the quota (``cpuCFSQuota``).
    """
    containers = tuple(_limited(pod))
    return QuotaChange(
        enforced=enforced,
        pod_quota_micros=pod_values(pod).cpu_quota_micros,
        containers=containers,
        sentence=_sentence(pod, containers, enforced=enforced),
    )


def _limited(pod: ResolvedPod) -> Iterator[ContainerQuota]:
    level = pod.level
    for container in pod.all_containers:
        limit = container.resources.limits.cpu_milli
        if not limit and level is not None:
            limit = level.limits.cpu_milli
        if limit:
            values = container_values(pod, container)
            yield ContainerQuota(
                name=container.name,
                limit_milli=limit,
                quota_micros=values.cpu_quota_micros,
                period_micros=values.cpu_period_micros,
            )


def _sentence(pod: ResolvedPod, containers: tuple[ContainerQuota, ...], *, enforced: bool) -> str:
    if not containers:
        return "it has no CPU limit, so the quota makes no difference"
    listed = ", ".join(
        f"{each.name} {cores(each.limit_milli)} (cpu.max {each.quota_micros} {each.period_micros})"
        for each in containers
    )
    stays = _STAYS.format(quality=pod.qos_class)
    if enforced:
        return (
            "on: a container that has used up its limit in a period waits for the next period, also on an "
            f"idle node: {listed}. Without it (cpuCFSQuota: false) cpu.max is max and no container waits; "
            f"{stays}"
        )
    return (
        "off: cpu.max is max and no container waits; with it these limits would apply, also on an idle node: "
        f"{listed}. Without it {stays}"
    )
