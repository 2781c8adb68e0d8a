"""Why an override changes nothing in a pod, and what its changes cost the pod."""

from collections.abc import Iterator

import msgspec

from overbook.core.api.override import OverridePolicy
from overbook.core.kubernetes.pod import Pod, ResourceRequirements
from overbook.core.kubernetes.resolved import ResolvedPod, resolve
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.override.override import Override, apply

_NOTHING = ResourceRequirements()


def why_unchanged(pod: Pod, policy: OverridePolicy) -> str:
    """Why the percentages change nothing in a pod that they apply to."""
    bases = list(_bases(policy))
    if not bases:
        return "it sets no percentage"
    if not any(_has(pod, part, resource) for part, resource in bases):
        wanted = " and no ".join(f"{'CPU' if name == CPU else name} {part[:-1]}" for part, name in bases)
        return f"the pod has no {wanted} to take a percentage of"
    return "the pod's requests already are what it sets"


def _bases(policy: OverridePolicy) -> Iterator[tuple[str, str]]:
    """The quantities of which the percentages that are set are taken, each once."""
    if policy.memory_request_to_limit_percent or policy.limit_cpu_to_memory_percent:
        yield "limits", MEMORY
    if policy.cpu_request_to_limit_percent:
        yield "limits", CPU
    if policy.cpu_request_to_request_percent:
        yield "requests", CPU


def _has(pod: Pod, part: str, resource: str) -> bool:
    written = [one.resources or _NOTHING for one in pod.all_containers()]
    if pod.spec.resources is not None:
        written.append(pod.spec.resources)
    return any(resource in ((one.requests if part == "requests" else one.limits) or ()) for one in written)


def class_change(pod: Pod, override: Override) -> tuple[ResolvedPod, ResolvedPod]:
    """The pod before and after an override, as it is created: without the status of an earlier pod.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    submitted = pod if pod.status is None else msgspec.structs.replace(pod, status=None)
    before = resolve(submitted)
    return before, resolve(apply(submitted, override.changes)) if override.changes else before


def class_words(before: ResolvedPod, after: ResolvedPod) -> str:
    """What a changed QoS class costs the pod; empty: the class stays."""
    if before.qos_class == after.qos_class:
        return ""
    text = f"QoS class {before.qos_class} -> {after.qos_class}"
    if before.qos_class != "Guaranteed":
        return text
    return f"{text}: {'no exclusive CPUs, ' if has_exclusive_cpus(before) else ''}may swap, evicted earlier"


def has_exclusive_cpus(pod: ResolvedPod) -> bool:
    """Whether the kubelet's static CPU manager gives a container of the pod CPUs of its own."""
    whole = any(
        container.resources.requests.cpu_milli and container.resources.requests.cpu_milli % 1000 == 0
        for container in pod.all_containers
        if container.role != "Init"
    )
    return pod.qos_class == "Guaranteed" and whole
