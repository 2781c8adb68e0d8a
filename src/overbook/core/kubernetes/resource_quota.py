"""ResourceQuotas: what a namespace's pods may request and be limited to together.

Only CPU, memory, large pages and the number of pods are considered. Sources:
``pkg/quota/v1/evaluator/core/pods.go`` and
``staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota`` at v1.36.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Container, KubeStruct, ObjectMeta, ResourceList
from overbook.core.kubernetes.pod_level import HUGEPAGES_PREFIX
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import CPU, Resources

_SAME_AS: Final = {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": "pods"}
COUNTED: Final = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods")
"""The resources of a quota that are considered, beside large pages; ``cpu`` and ``memory`` are requests."""
_PAGES: Final = f"requests.{HUGEPAGES_PREFIX}"
_NOTHING: Final[ResourceList] = {}


class ScopeRequirement(KubeStruct, frozen=True):
    """A scope with an operator, such as the priority classes to which a quota applies."""

    scope_name: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class ScopeSelector(KubeStruct, frozen=True):
    """Scopes that must all match."""

    match_expressions: tuple[ScopeRequirement, ...] | None = None


class ResourceQuotaSpec(KubeStruct, frozen=True):
    """What a quota allows, and to which pods it applies."""

    hard: ResourceList | None = None
    scopes: tuple[str, ...] | None = None
    scope_selector: ScopeSelector | None = None


class ResourceQuotaStatus(KubeStruct, frozen=True):
    """What is in use."""

    used: ResourceList | None = None


class ResourceQuota(KubeStruct, frozen=True):
    """A namespace's ResourceQuota."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()

    @property
    def resources(self) -> frozenset[str]:
        """The names of the resources that the quota limits."""
        return frozenset(self.spec.hard or ())

    @property
    def label(self) -> str:
        """The quota as ``ResourceQuota/name``."""
        return f"ResourceQuota/{self.metadata.name}"

    def hard(self) -> dict[str, int]:
        """What is allowed, in thousandths, by the names of :data:`COUNTED`.

        Raises:
            InvalidInput: a quantity that the API server refuses.
        """
        return _thousandths(self.spec.hard, f"{self.label}: spec.hard.")

    def used(self) -> dict[str, int]:
        """What is in use by its status, likewise.

        Raises:
            InvalidInput: a quantity that the API server refuses.
        """
        return _thousandths(self.status.used, f"{self.label}: status.used.")

    def applies_to(self, pod: ResolvedPod) -> bool:
        """Whether the quota counts the pod. A scope that is not known counts as one that matches none."""
        requirements = [
            ScopeRequirement(scope_name=scope, operator="Exists") for scope in self.spec.scopes or ()
        ]
        selector = self.spec.scope_selector
        requirements += selector.match_expressions or () if selector else ()
        return all(_matches(one, pod) for one in requirements)


def _thousandths(listed: ResourceList | None, where: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for written, raw in (listed or _NOTHING).items():
        name = f"requests.{written}" if written.startswith(HUGEPAGES_PREFIX) else written
        name = _SAME_AS.get(name, name)
        if name in COUNTED or name.startswith(_PAGES):
            try:
                amount = from_raw(raw).scaled(-3)
            except InvalidInput as error:
                raise error.inside(f"{where}{written}") from error
            found[name] = min(amount, found.get(name, amount))
    return found


def _matches(one: ScopeRequirement, pod: ResolvedPod) -> bool:
    spec = pod.pod.spec
    match one.scope_name:
        case "BestEffort":
            return pod.qos_class == "BestEffort"
        case "NotBestEffort":
            return pod.qos_class != "BestEffort"
        case "Terminating":
            return spec.active_deadline_seconds is not None
        case "NotTerminating":
            return spec.active_deadline_seconds is None
        case "PriorityClass":
            name = spec.priority_class_name or ""
            return {
                "In": name in (one.values or ()),
                "NotIn": bool(name) and name not in (one.values or ()),
                "Exists": bool(name),
                "DoesNotExist": not name,
            }.get(one.operator, False)
    return False


def demand(pod: ResolvedPod) -> dict[str, int]:
    """What a quota counts for a pod, in thousandths, by the names of :data:`COUNTED`."""
    found = {"pods": 1000}
    for part, amounts in (("requests", pod.requests), ("limits", pod.limits)):
        if amounts.cpu_milli is not None:
            found[f"{part}.cpu"] = amounts.cpu_milli
        if amounts.memory_millibytes is not None:
            found[f"{part}.memory"] = amounts.memory_millibytes
    return found | _large_pages(pod)


def _large_pages(pod: ResolvedPod) -> dict[str, int]:
    """A pod's large pages: of all containers that run together, or of an init container that needs more."""
    spec = pod.pod.spec
    if spec.resources is not None:
        level = _pages_of(Container(resources=spec.resources))
        if level:
            return level
    starting = [one for one in spec.init_containers or () if one.restart_policy != "Always"]
    sidecars = [one for one in spec.init_containers or () if one.restart_policy == "Always"]
    together: Counter[str] = Counter()
    for one in (*sidecars, *(spec.containers or ())):
        together.update(_pages_of(one))
    for one in starting:
        together |= Counter(_pages_of(one))
    return dict(together)


def _pages_of(container: Container) -> dict[str, int]:
    written = container.resources
    if written is None:
        return {}
    listed = {**(written.limits or {}), **(written.requests or {})}
    return {
        f"requests.{name}": from_raw(raw).scaled(-3)
        for name, raw in listed.items()
        if name.startswith(HUGEPAGES_PREFIX)
    }


def quota_refusal(pod: ResolvedPod, quotas: Iterable[ResourceQuota]) -> str:
    """The first reason why a quota keeps the pod out even of an empty namespace; empty: there is none.

    Args:
        pod: the pod, LimitRange defaults filled in.
        quotas: the ResourceQuotas of its namespace.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    return next(quota_refusals(pod, quotas), "")


def quota_refusals(pod: ResolvedPod, quotas: Iterable[ResourceQuota]) -> Iterator[str]:
    """Why quotas keep the pod out even of an empty namespace.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    needs = demand(pod)
    for quota in quotas:
        if not quota.applies_to(pod):
            continue
        for name in quota.hard():
            side, _, resource = name.partition(".")
            if name in COUNTED and resource and not _level_gives(pod, side, resource):
                for container in pod.all_containers:
                    if not _given(container.resources, side, resource):
                        yield f"{quota.label} limits {name}, and container {container.name} gives none"
        for name, wanted, allowed in exceeded(quota, needs):
            if allowed == "0" and name == "pods":
                yield f"{quota.label} allows no pods"
            else:
                yield f"{quota.label} allows {name} {allowed}, and the pod has {wanted}"


def _level_gives(pod: ResolvedPod, side: str, resource: str) -> bool:
    return pod.level is not None and _given(pod.level, side, resource)


def _given(resources: Resources, side: str, resource: str) -> bool:
    amounts = resources.requests if side == "requests" else resources.limits
    return (amounts.cpu_milli if resource == CPU else amounts.memory_millibytes) is not None


def exceeded(quota: ResourceQuota, wanted: Mapping[str, int]) -> Iterator[tuple[str, str, str]]:
    """What is wanted beyond the quota: the resource, and what is wanted and allowed as texts.

    Args:
        quota: the quota.
        wanted: what all pods together need, in thousandths.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    for name, allowed in quota.hard().items():
        amount = wanted.get(name, 0)
        if amount > allowed:
            yield name, quota_text(name, amount), quota_text(name, allowed)


def quota_text(name: str, thousandths: int) -> str:
    """An amount of a quota as a canonical quantity."""
    return Quantity(
        thousandths, -3, "DecimalSI" if name.endswith(("cpu", "pods")) else "BinarySI"
    ).canonical()
