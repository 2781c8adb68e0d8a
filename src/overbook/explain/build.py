"""The report of ``overbook explain``, computed by the rules in ``core``; the command formats it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from overbook.core.kubernetes.cgroup import shares_of_node
from overbook.core.kubernetes.pod import MIRROR_ANNOTATION, SOURCE_ANNOTATION
from overbook.core.kubernetes.reserve import allocatable
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.overhead import OVERHEAD_ANNOTATION
from overbook.core.kubevirt.vm import owning_instance
from overbook.core.overcommit.allowance import allowances
from overbook.core.overcommit.level import Levels, node_levels, promised_percent
from overbook.core.overcommit.swap import SWAP_ANNOTATION, SwapDecision, node_swap_bytes, swap_suffices
from overbook.core.text import shown
from overbook.explain.inventory import Found, Inventory
from overbook.explain.node import ExplainedNode
from overbook.explain.pod import PreparedPod, describe, described_as, level, prepare, shown_amounts
from overbook.explain.report import (
    Explanation,
    KillOrder,
    NamespaceReport,
    NodeReport,
    PodReport,
    Totals,
    Warned,
)


def build_report(inventory: Inventory, node: ExplainedNode) -> Explanation:
    """Explain the pods of an inventory on a node.

    Raises:
        InvalidInput: the API server would refuse a pod; the message names file, pod and field.
    """
    prepared, pods = _described(inventory, node)
    order = sorted(
        (
            KillOrder(pod.name, container.name, container.oom_score_adj)
            for pod in pods
            for container in pod.containers
            if container.role != "Init"
        ),
        key=lambda place: -place.oom_score_adj,
    )
    return Explanation(
        node=_node(node),
        totals=_totals(prepared, pods, node),
        namespaces=_namespaces(inventory, prepared),
        pods=pods,
        kill_order=tuple(order),
        ignored=dict(inventory.ignored),
        warnings=tuple(_warnings(pods, inventory, node)),
    )


def _described(inventory: Inventory, node: ExplainedNode) -> tuple[list[PreparedPod], tuple[PodReport, ...]]:
    """Each pod prepared and described; for pods of one shape this is computed once."""
    shapes: list[Shape] = []
    first: dict[Shape, PreparedPod] = {}
    for found in inventory.found:
        annotations = inventory.namespaces.get(found.namespace)
        shape = shape_of(found, annotations)
        shapes.append(shape)
        if shape not in first:
            first[shape] = prepare(found, node, annotations)
    prepared = [first[shape] for shape in shapes]
    swap = _swap(prepared, node)
    shares = shares_of_node(
        [(one.facts.qos_class, one.pod.requests.cpu_milli or 0, one.values.cpu_weight) for one in prepared]
    )
    reports: dict[Shape, PodReport] = {}
    pods = []
    for number, (shape, found) in enumerate(zip(shapes, inventory.found, strict=True)):
        if shape not in reports:
            reports[shape] = describe(first[shape], node, swap[number], shares[number])
        report = reports[shape]
        pods.append(report if first[shape].found is found else described_as(report, found))
    return prepared, tuple(pods)


def _swap(prepared: Sequence[PreparedPod], node: ExplainedNode) -> list[list[SwapDecision]]:
    """Each pod's swap decisions, made for all pods together because they share the node's swap."""
    containers = [container for one in prepared for container in one.facts.containers]
    decided = iter(allowances(containers, node.memory_bytes, node.swap_bytes, node.policy))
    return [[next(decided) for _ in one.facts.containers] for one in prepared]


def _node(node: ExplainedNode) -> NodeReport:
    return NodeReport(
        memory_bytes=node.memory_bytes,
        swap_bytes=node.swap_bytes,
        cpu_milli=node.cpu_milli,
        percent=node.policy.percent,
        memory_from=node.memory_from,
        swap_from=node.swap_from,
        percent_from=node.percent_from,
        allowance=node.policy.allowance,
        eligibility=node.policy.eligibility,
        pooled_share=node.policy.pooled_share,
        cpu_quota=node.cpu_quota,
        cpu_quota_from=node.cpu_quota_from,
        kubevirt=node.running.name,
    )


def _totals(prepared: Sequence[PreparedPod], pods: Sequence[PodReport], node: ExplainedNode) -> Totals:
    capacity = Amounts.of(node.cpu_milli, node.memory_bytes)
    levels = node_levels([one.levels for one in prepared], capacity, allocatable(capacity).reported)
    # Without the node's number of CPUs, limits cannot be compared with it.
    causes = [
        cause
        for cause in levels.causes
        if node.cpu_milli or cause.word != "LimitsExceedCapacity" or cause.resource != "cpu"
    ]
    memory, cpu = levels.levels.memory, levels.levels.cpu
    guests = [pod.guest_bytes for pod in pods if pod.guest_bytes]
    return Totals(
        pods=len(pods),
        by_qos_class=dict(Counter(pod.qos_class for pod in pods)),
        requests=shown_amounts(Amounts.of(cpu.requested, memory.requested)),
        limits=shown_amounts(Amounts.of(cpu.limited, memory.limited)),
        pods_without_memory_limit=memory.without_limit,
        requested_memory_percent=levels.requested_memory_percent,
        overcommit=level(levels.levels),
        guest_bytes=sum(guests),
        promised_percent=promised_percent(guests, node.memory_bytes),
        swap_max_bytes=sum(pod.swap_max_bytes for pod in pods),
        overcommitted=bool(causes),
        causes=tuple(cause.sentence for cause in causes),
    )


def _namespaces(inventory: Inventory, prepared: Sequence[PreparedPod]) -> tuple[NamespaceReport, ...]:
    levels: dict[str, Levels] = {}
    pods: Counter[str] = Counter()
    for found, one in zip(inventory.found, prepared, strict=True):
        name = found.namespace
        levels[name] = levels[name] + one.levels if name in levels else one.levels
        pods[name] += 1
    return tuple(NamespaceReport(name, pods[name], level(levels[name])) for name in sorted(levels))


def _warnings(pods: Sequence[PodReport], inventory: Inventory, node: ExplainedNode) -> list[Warned]:
    """Warnings about the node as a whole."""
    warnings = []
    enough = swap_suffices(node.memory_bytes, node.swap_bytes, node.policy.percent)
    if not enough and any(pod.virtual_machine for pod in pods):
        needed = node_swap_bytes(node.memory_bytes, node.policy.percent)
        warnings.append(
            Warned(
                "SwapTooSmall",
                "Danger",
                f"{node.policy.percent} % needs {shown(needed)} of swap, and the node has "
                f"{shown(node.swap_bytes)}: a VM that uses all of its memory is not covered",
            )
        )
    given = sum(pod.swap_max_bytes for pod in pods)
    if given > node.swap_bytes:
        warnings.append(
            Warned(
                "SwapOverpromised",
                "Note",
                f"allowances of {shown(given)} exceed the swap of {shown(node.swap_bytes)}",
            )
        )
    nodes = {found.pod.spec.node_name for found in inventory.found} - {None, ""}
    if len(nodes) > 1:
        warnings.append(
            Warned(
                "SeveralNodes",
                "Note",
                f"the pods run on {len(nodes)} nodes but are explained as if on one; choose with --on-node",
            )
        )
    return warnings


Shape = tuple[object, ...]
_ANNOTATIONS: Final = (MIRROR_ANNOTATION, SOURCE_ANNOTATION, SWAP_ANNOTATION, OVERHEAD_ANNOTATION)
"""The annotations that rules read."""
_ENCODER: Final = msgspec.msgpack.Encoder()


def shape_of(found: Found, namespace_annotations: Mapping[str, str] | None) -> Shape:
    """The properties of a pod that rules read: pods of equal shape get equal reports.

    Args:
        found: the pod.
        namespace_annotations: the annotations of its namespace, where they are known.
    """
    pod = found.pod
    spec = pod.spec
    if spec.node_name is not None:
        spec = msgspec.structs.replace(spec, node_name=None)
    annotations = pod.metadata.annotations
    return (
        _ENCODER.encode(spec),
        tuple(annotations.get(name) for name in _ANNOTATIONS) if annotations else None,
        owning_instance(pod) is not None,
        # By identity, not equality: each VM is an object of its own.
        None if found.vmi is None else id(found.vmi),
        found.missing,
        found.refusal,
        (namespace_annotations or {}).get(SWAP_ANNOTATION),
    )
