"""Answer the real components' questions from standard input: ``python -m tests.conformance.answer KIND``.

One JSON object a line in, one a line out, in order. The answers come from ``overbook.core``; this module
only translates shapes.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes import quantity
from overbook.core.kubernetes.cgroup import container_values, cpu_weight_of_runtime, pod_values
from overbook.core.kubernetes.limit_range import LimitRange, bounds
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.qos import is_node_critical
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod, resolve
from overbook.core.kubernetes.resources import Amounts, amounts
from overbook.core.kubevirt.definitions import decode_virtual_machine
from overbook.core.kubevirt.memory import LauncherPolicy, launcher_memory
from overbook.core.override.override import override
from overbook.core.override.patch import patch_operations
from overbook.core.pressure.rank import MemoryUsage, rank_original
from tests.conformance.kubevirt_pods import answer_kubevirt_pods
from tests.conformance.original import limited_swap, rank_input

Answer = Callable[[dict[str, Any]], Any]


def answer_quantity(question: dict[str, Any]) -> dict[str, Any]:
    try:
        parsed = quantity.parse(question["in"])
    except InvalidInput:
        return {"error": True}
    return {
        "canonical": _canonical_of_1_36(parsed),
        "milliValue": _int64(parsed, -3),
        "sign": parsed.sign,
        "value": _int64(parsed, 0),
    }


def _int64(parsed: quantity.Quantity, scale: int) -> int:
    """Go's int64, which overflows where ours saturates.

    Decimals keep the low 64 bits (negative ones before they are divided); int64 amounts do too when
    multiplied by one of the prepared powers of ten, and become 0 when multiplied digit by digit.
    """
    capped = parsed.format == "BinarySI" and abs(parsed.digits) == quantity.MAX_INT64
    if parsed.wide and parsed.sign < 0 and not capped:
        nanos = _low_64_bits(parsed.scaled(-9))
        units = quantity.power_of_ten(9 + scale)
        return (abs(nanos) // units) * (1 if nanos > 0 else -1) + (nanos % units > 0)
    number = parsed.scaled(scale)
    if -(2**63) <= number < 2**63:
        return number
    wraps = parsed.wide or parsed.scale - scale in (1, 2, 3, 6, 9)
    return _low_64_bits(number) if wraps else 0


def _low_64_bits(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def _canonical_of_1_36(parsed: quantity.Quantity) -> str:
    """Kubernetes 1.36 loses the exponent of decimals from 1000E up ("1000E" becomes "1"); ours keeps it."""
    canonical = parsed.canonical()
    if parsed.format == "DecimalSI" and "e" in canonical:
        return canonical.partition("e")[0]
    return canonical


def answer_cpu_weight(question: dict[str, Any]) -> dict[str, Any]:
    return {"weight": cpu_weight_of_runtime(question["shares"])}


def answer_pods(question: dict[str, Any]) -> dict[str, Any]:
    pod = resolve(convert(question["pod"], Pod, "Pod"))
    if _shares_decimals(pod.pod):
        pod = resolve(_with_overhead_in_spec(pod))
    memory_bytes, swap_bytes = question["node"]["memoryBytes"], question["node"]["swapBytes"]
    values = pod_values(pod)
    return {
        "qosClass": pod.qos_class,
        "critical": pod.critical,
        "nodeCritical": is_node_critical(pod.pod),
        "requests": _amounts(pod.requests),
        "limits": _amounts(pod.limits),
        "podCgroup": {
            "cpuShares": values.cpu_shares,
            "cpuQuotaMicros": values.cpu_quota_micros,
            "memoryMaxBytes": values.memory_max_bytes,
        },
        "containers": {
            container.name: _container(pod, container, memory_bytes, swap_bytes)
            for container in pod.all_containers
        },
    }


def _shares_decimals(pod: Pod) -> bool:
    """Whether the kubelet's answer counts the overhead once more, by a defect of Go's quantities.

    Go keeps 0.5Gi and 1.5Gi as decimals behind a pointer. Where one of them is, or is part of, a pod-level
    memory request, adding the overhead to the sum changes the pod's own spec. The questions show such
    quantities in canonical form (512Mi, 1536Mi), as which they would be harmless; ours never share.
    """
    level = pod.spec.resources
    if level is None or not amounts(pod.spec.overhead).memory_bytes:
        return False
    given = (level.requests or {}).get("memory")
    if given is not None or not level.limits:
        return given == "1536Mi"
    asked = [(c.resources.requests or {}).get("memory") for c in pod.all_containers() if c.resources]
    return any(text in {"512Mi", "1536Mi"} for text in asked)


def _with_overhead_in_spec(resolved: ResolvedPod) -> Pod:
    pod, level = resolved.pod, resolved.level
    if level is None or pod.spec.resources is None:
        return pod
    memory_bytes = (level.requests.memory_bytes or 0) + (amounts(pod.spec.overhead).memory_bytes or 0)
    requests = {**(pod.spec.resources.requests or {}), "memory": str(memory_bytes)}
    resources = msgspec.structs.replace(pod.spec.resources, requests=requests)
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, resources=resources))


def _container(
    pod: ResolvedPod, container: ResolvedContainer, memory_bytes: int, swap_bytes: int
) -> dict[str, Any]:
    values = container_values(pod, container)
    swap = limited_swap(pod, container, memory_bytes, swap_bytes)
    return {
        "oomScoreAdj": oom_score_adj(pod, container, memory_bytes),
        "cpuShares": values.cpu_shares,
        "cpuWeight": values.cpu_weight,
        "cpuQuotaMicros": values.cpu_quota_micros,
        "cpuPeriodMicros": values.cpu_period_micros,
        "memoryMaxBytes": values.memory_max_bytes,
        "limitedSwapMaxBytes": swap.swap_max_bytes,
        "limitedSwapRequestExceedsNode": swap.reason == "RequestExceedsNode",
    }


def _amounts(given: Amounts) -> dict[str, int]:
    return {"cpuMilli": given.cpu_milli or 0, "memoryBytes": given.memory_bytes or 0}


def answer_vm_memory(question: dict[str, Any]) -> dict[str, Any]:
    answer = launcher_memory(
        decode_virtual_machine(question["vmi"]),
        LauncherPolicy(
            percent=question["memoryOvercommitPercentage"],
            overhead_ratio=question.get("additionalGuestMemoryOverheadRatio"),
        ),
        architecture=question["architecture"],
    )
    return {
        "limits": _given(answer.resources.limits),
        "memoryOverheadBytes": answer.overhead_bytes,
        "requests": _given(answer.resources.requests),
    }


def _given(given: Amounts) -> dict[str, int | None]:
    return {"cpuMilli": given.cpu_milli, "memoryBytes": given.memory_bytes}


def answer_override(question: dict[str, Any]) -> dict[str, Any]:
    ranges = [convert(item, LimitRange, "LimitRange") for item in question["limitRanges"] or ()]
    policy = convert(question["override"], OverridePolicy, "override")
    pod = convert(question["pod"], Pod, "Pod")
    document = json.loads(json.dumps(question["pod"]))
    apply_patch(document, patch_operations(pod, override(pod, policy, bounds(ranges), bounds(ranges, "Pod"))))
    return document  # type: ignore[no-any-return]


def apply_patch(document: Any, operations: Iterable[Mapping[str, Any]]) -> None:
    """JSON patch (RFC 6902) as far as objects and ``add`` go."""
    for operation in operations:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        target = document
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        assert operation["op"] == "add"
        target[last] = operation["value"]


def answer_eviction_order(question: dict[str, Any]) -> list[str]:
    candidates = []
    for manifest in question["pods"]:
        pod = convert(manifest, Pod, "Pod")
        stats = question["usage"].get(pod.metadata.name)
        per_container = {name: _usage(one) for name, one in (stats or {}).get("containers", {}).items()}
        candidate = rank_input(pod, _usage(stats) if stats else None, per_container)
        candidates.append(msgspec.structs.replace(candidate, key=pod.metadata.name))
    return [candidate.key for candidate in rank_original(candidates)]


def _usage(stats: dict[str, Any]) -> MemoryUsage:
    return MemoryUsage(stats["workingSetBytes"], stats["swapBytes"])


ANSWERS: dict[str, Answer] = {
    "cpu-weight": answer_cpu_weight,
    "eviction-order": answer_eviction_order,
    "kubevirt-pods": answer_kubevirt_pods,
    "override": answer_override,
    "pods": answer_pods,
    "quantity": answer_quantity,
    "vm-memory": answer_vm_memory,
}


def main(kind: str) -> int:
    answer = ANSWERS.get(kind)
    if answer is None:
        print(f"unknown kind {kind!r}; one of {', '.join(ANSWERS)}", file=sys.stderr)
        return 2
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(json.loads(line)), sort_keys=True))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m tests.conformance.answer {{{','.join(ANSWERS)}}} < questions")
    sys.exit(main(sys.argv[1]))
