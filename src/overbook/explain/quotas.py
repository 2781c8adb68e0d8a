"""What the pods of the input need of the quotas of their namespaces together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resource_quota import ResourceQuota, demand, exceeded, quota_text
from overbook.explain.admission import is_stored
from overbook.explain.inventory import Found
from overbook.explain.pod import PreparedPod
from overbook.explain.report import Warned


def quota_warnings(
    prepared: Sequence[PreparedPod], quotas: Mapping[str, Sequence[ResourceQuota]]
) -> Iterator[Warned]:
    """Dangers for the quotas that pods exceed together; replicas count, pods that alone exceed one do not.

    Where a quota reports what is in use, that stands for the pods that are stored already.

    Args:
        prepared: the pods that are counted.
        quotas: the quotas by namespace.
    """
    by_namespace: dict[str, list[PreparedPod]] = {}
    for one in prepared:
        by_namespace.setdefault(one.found.namespace, []).append(one)
    for namespace, listed in quotas.items():
        for quota in listed:
            counted = [one for one in by_namespace.get(namespace, ()) if quota.applies_to(one.pod)]
            wanted = Counter(quota.used())
            reported = bool(wanted)
            alone = set()
            for one in counted:
                if reported and _in_use(one.found):
                    continue
                needs = demand(one.pod)
                alone |= {name for name, _, _ in exceeded(quota, needs)}
                for name, amount in needs.items():
                    wanted[name] += amount * (1 if one.found.replicas is None else one.found.replicas)
            for name, needed, allowed in exceeded(quota, wanted):
                if name not in alone:
                    text = (
                        f"{name} {needed} is needed in namespace {namespace}, {quota.label} allows {allowed}"
                    )
                    yield Warned("QuotaExceeded", "Danger", f"{text}: some of the pods cannot be created")


def _in_use(one: Found) -> bool:
    """Whether what is in use includes the pod: a cluster has stored it, or the workload that creates it."""
    owners = one.pod.metadata.owner_references or ()
    return is_stored(one.pod) or (not one.running and any(owner.uid for owner in owners))


def quota_effects(
    quota: ResourceQuota, before: ResolvedPod, after: ResolvedPod, found: Found
) -> Iterator[str]:
    """What an override changes in the use of a quota, and whether that goes beyond it.

    Args:
        quota: the quota of the pod's namespace.
        before: the pod before the override.
        after: the pod afterwards.
        found: the pod, or the workload that creates such pods.
    """
    if not quota.applies_to(after):
        if quota.applies_to(before):
            yield f"{quota.label} counts it no more: its scopes do not match the QoS class {after.qos_class}"
        return
    times = 1 if found.replicas is None else found.replicas
    counted = _in_use(found)
    old, new, hard, used = demand(before), demand(after), quota.hard(), quota.used()
    for name, allowed in hard.items():
        was, becomes = old.get(name, 0) * times, new.get(name, 0) * times
        if was == becomes:
            continue
        others = max(0, used.get(name, 0) - (was if counted else 0))
        together = others + becomes
        text = f"{quota.label} counts {name} {quota_text(name, was)} -> {quota_text(name, becomes)}"
        beside = f" beside {quota_text(name, others)} in use" if others else ""
        if together > allowed:
            yield f"{text}{beside}, above its {quota_text(name, allowed)}: the pod is refused"
        else:
            yield f"{text}{beside}, of {quota_text(name, allowed)}"
