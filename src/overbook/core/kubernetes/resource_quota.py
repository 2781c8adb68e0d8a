"""ResourceQuotas: what a namespace's pods may request and limit together, and must give at all.

Source: ``pkg/quota/v1/evaluator/core/pods.go`` at v1.36. What other pods use is not looked at.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, ResourceList
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts, Resources

_COMPUTE: Final = {
    "cpu": ("requests", CPU),
    "memory": ("requests", MEMORY),
    "requests.cpu": ("requests", CPU),
    "requests.memory": ("requests", MEMORY),
    "limits.cpu": ("limits", CPU),
    "limits.memory": ("limits", MEMORY),
}


_COUNTS: Final = ("pods", "count/pods")


class _QuotaSpec(KubeStruct, frozen=True):
    hard: ResourceList | None = None
    scopes: tuple[str, ...] | None = None
    scope_selector: dict[str, object] | None = None


class ResourceQuota(KubeStruct, frozen=True):
    """A namespace's ResourceQuota."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _QuotaSpec = _QuotaSpec()

    @property
    def resources(self) -> frozenset[str]:
        """The names of the resources that the quota limits."""
        return frozenset(self.spec.hard or ())

    @property
    def has_scopes(self) -> bool:
        """Whether the quota counts only some of the pods."""
        return bool(self.spec.scopes or self.spec.scope_selector)


def quota_refusal(pod: ResolvedPod, quotas: Iterable[ResourceQuota]) -> str:
    """The first reason why a quota keeps the pod out even of an empty namespace; empty: there is none.

    Args:
        pod: the pod, LimitRange defaults filled in.
        quotas: the ResourceQuotas of its namespace.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    return next(_reasons(pod, quotas), "")


def _reasons(pod: ResolvedPod, quotas: Iterable[ResourceQuota]) -> Iterator[str]:
    together = Resources(pod.requests, pod.limits)
    for quota in quotas:
        if quota.has_scopes:
            continue
        name = f"ResourceQuota/{quota.metadata.name}"
        for resource, raw in sorted((quota.spec.hard or {}).items()):
            if resource in _COUNTS and from_raw(raw).value() < 1:
                yield f"{name} allows no {resource}"
            if resource not in _COMPUTE:
                continue
            side, kind = _COMPUTE[resource]
            for container in pod.all_containers:
                if pod.level is None and _amount(container.resources, side, kind) is None:
                    yield f"{name} limits {resource}, and container {container.name} gives none"
            used, hard = _amount(together, side, kind) or 0, from_raw(raw).scaled(-3)
            if used > hard:
                text = Quantity(used, -3, "DecimalSI" if kind == CPU else "BinarySI").canonical()
                yield f"{name} allows {resource} {from_raw(raw).canonical()}, and the pod has {text}"


def _amount(resources: Resources, side: str, kind: str) -> int | None:
    amounts: Amounts = resources.requests if side == "requests" else resources.limits
    return amounts.cpu_milli if kind == CPU else amounts.memory_millibytes
