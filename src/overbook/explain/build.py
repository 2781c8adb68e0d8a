"""The report of ``overbook explain``, computed by the rules in ``core``; the command formats it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.cgroup import shares_of_node
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.reserve import allocatable
from overbook.core.kubernetes.resize import may_wait
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.vm import owning_instance
from overbook.core.overcommit.allowance import allowances
from overbook.core.overcommit.level import Levels, node_levels, promised_percent
from overbook.core.overcommit.namespace import OUTDATED, outdated_fix
from overbook.core.overcommit.swap import SWAP_LABEL, SwapDecision, node_swap_bytes, swap_suffices
from overbook.core.text import shown
from overbook.explain.admission import ApiServer, is_stored
from overbook.explain.cluster_objects import ClusterObjects
from overbook.explain.inventory import READ_ANNOTATIONS, Found, Inventory
from overbook.explain.node import THIS_MACHINE, ExplainedNode
from overbook.explain.pod import PreparedPod, describe, described_as, level, prepared_pod, shown_amounts
from overbook.explain.report import (
    CpuAndMemory,
    Explanation,
    IdleReport,
    KillOrder,
    NamespaceReport,
    NodeReport,
    PodReport,
    Totals,
    Warned,
)
from overbook.kube.files.manifests import Refuse, refused

Shape = tuple[object, ...]
_ENCODER: Final = msgspec.msgpack.Encoder()


def build_report(inventory: Inventory, node: ExplainedNode, refuse: Refuse = refused) -> Explanation:
    """Explain the pods of an inventory on a node.

    If no pod of it runs or will run, those of its idle objects are explained, and not counted.

    Args:
        inventory: the pods and the objects that decide about them.
        node: the node.
        refuse: gets the error of a pod that the API server would refuse; the others are explained. The
            message names file, pod and field.

    Raises:
        InvalidInput: raised by ``refuse``.
    """
    server = ApiServer(inventory.objects, node.version)
    pods_of = _Described(inventory, node, server, refuse)
    prepared, pods = pods_of.described(inventory.found)
    order = sorted(
        (
            KillOrder(pod.name, container.name, container.oom_score_adj)
            for pod in pods
            for container in pod.containers
            if container.role != "Init"
        ),
        key=lambda place: -place.oom_score_adj,
    )
    shown = pods
    if not pods and inventory.idle:
        _, shown = pods_of.described(inventory.idle)
        shown = tuple(map(_not_counted, shown, inventory.idle))
    return Explanation(
        node=_node(node),
        totals=_totals(prepared, pods, node),
        namespaces=_namespaces(prepared),
        pods=shown,
        kill_order=tuple(order),
        ignored={**inventory.ignored, **inventory.objects.without_use(overriding=False)},
        warnings=tuple(_warnings(prepared, pods, inventory, node)),
        idle=tuple(_idle(one, server, node) for one in inventory.idle),
    )


class _Described:
    """Pods prepared and described; for pods of one shape this is computed once."""

    def __init__(self, inventory: Inventory, node: ExplainedNode, server: ApiServer, refuse: Refuse) -> None:
        self._inventory = inventory
        self._node = node
        self._server = server
        self._refuse = refuse
        self._first: dict[Shape, tuple[Shape, PreparedPod | InvalidInput]] = {}

    def described(self, found: Sequence[Found]) -> tuple[list[PreparedPod], tuple[PodReport, ...]]:
        """The pods and their reports, without those that the API server would refuse to decode."""
        node = self._node
        shapes: list[Shape] = []
        prepared: list[PreparedPod] = []
        valid: list[Found] = []
        for one in found:
            shape, first = self._prepared(one)
            if isinstance(first, InvalidInput):
                self._refuse(first.inside(f"{one.where}: {one.kind} {one.name}: "))
                continue
            shapes.append(shape)
            prepared.append(first)
            valid.append(one)
        swap = _swap(prepared, node)
        shares = shares_of_node(
            [
                (one.facts.qos_class, one.pod.requests.cpu_milli or 0, one.values.cpu_weight)
                for one in prepared
            ]
        )
        reports: dict[Shape, PodReport | InvalidInput] = {}
        pods: list[PodReport] = []
        kept: list[PreparedPod] = []
        for number, (shape, one) in enumerate(zip(shapes, valid, strict=True)):
            first = prepared[number]
            if shape not in reports:
                reports[shape] = _described(first, node, swap[number], shares[number])
            report = reports[shape]
            if isinstance(report, InvalidInput):
                self._refuse(report.inside(f"{one.where}: {one.kind} {one.name}: "))
                continue
            same = first.found is one
            pods.append(report if same else described_as(report, one))
            kept.append(first if same else msgspec.structs.replace(first, found=one))
        return kept, tuple(pods)

    def _prepared(self, one: Found) -> tuple[Shape, PreparedPod | InvalidInput]:
        labels = self._inventory.namespaces.get(one.namespace)
        shape = shape_of(one, labels, self._inventory.objects)
        known = self._first.get(shape)
        if known is None:
            first: PreparedPod | InvalidInput
            try:
                first = prepared_pod(one, self._node, labels, self._server)
            except InvalidInput as error:
                first = error
            # The shape is kept, too, so that all pods of one shape have the same object for it.
            known = self._first[shape] = (shape, first)
        return known


def _described(
    one: PreparedPod, node: ExplainedNode, swap: list[SwapDecision], share: float
) -> PodReport | InvalidInput:
    try:
        return describe(one, node, swap, share)
    except InvalidInput as error:
        return error


def _not_counted(report: PodReport, one: Found) -> PodReport:
    note = Warned("NotRunning", "Note", f"it is shown as if it ran, and not counted: {state_words(one)}")
    return msgspec.structs.replace(report, warnings=(note, *report.warnings))


def state_words(one: Found) -> str:
    """Why no pod of an object runs: ``stopped (runStrategy: Halted)``."""
    return one.idle_field if one.idle == "idle" else f"{one.idle} ({one.idle_field})"


def _idle(one: Found, server: ApiServer, node: ExplainedNode) -> IdleReport:
    """An idle object with what a pod of it would request, where that can be read."""
    quality, requests = None, CpuAndMemory()
    try:
        pod = resolve(server.admitted(one.pod).pod, node.version)
        quality, requests = pod.qos_class, shown_amounts(pod.requests)
    except InvalidInput:
        pass
    return IdleReport(
        one.kind, one.name, one.where, one.idle, one.idle_field, one.replicas, quality, requests
    )


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
        kubernetes=node.version.text,
        allocatable=None if node.allocatable is None else shown_amounts(node.allocatable),
        huge_pages_bytes=node.huge_pages_bytes,
    )


def _totals(prepared: Sequence[PreparedPod], pods: Sequence[PodReport], node: ExplainedNode) -> Totals:
    capacity = Amounts.of(node.cpu_milli, node.memory_bytes)
    reported = _allocatable(node, capacity)
    levels = node_levels([one.levels for one in prepared], capacity, reported)
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
        promised_percent=promised_percent(guests, node.ordinary_bytes),
        swap_max_bytes=sum(pod.swap_max_bytes for pod in pods),
        overcommitted=bool(causes),
        causes=tuple(cause.sentence for cause in causes),
    )


def _allocatable(node: ExplainedNode, capacity: Amounts) -> Amounts:
    if node.allocatable is not None:
        return node.allocatable
    return allocatable(capacity, huge_pages_bytes=node.huge_pages_bytes).reported


def _namespaces(prepared: Sequence[PreparedPod]) -> tuple[NamespaceReport, ...]:
    levels: dict[str, Levels] = {}
    pods: Counter[str] = Counter()
    for one in prepared:
        name = one.found.namespace
        levels[name] = levels[name] + one.levels if name in levels else one.levels
        pods[name] += 1
    return tuple(NamespaceReport(name, pods[name], level(levels[name])) for name in sorted(levels))


def _warnings(
    prepared: Sequence[PreparedPod], pods: Sequence[PodReport], inventory: Inventory, node: ExplainedNode
) -> list[Warned]:
    """Warnings about the node as a whole, and about the namespaces."""
    warnings = [Warned("OverrideWithoutEffect", "Danger", text) for text in inventory.objects.without_effect]
    if inventory.objects.quotas:
        from overbook.explain.quotas import quota_warnings  # noqa: PLC0415 - most inputs have no quota

        warnings += quota_warnings(prepared, inventory.objects.quotas)
    for name, word in inventory.objects.outdated_namespaces.items():
        text = f"namespace {name}: {OUTDATED}: {outdated_fix(name, word)}"
        warnings.append(Warned("NamespaceAnnotation", "Danger", text))
    enough = swap_suffices(node.ordinary_bytes, node.swap_bytes, node.policy.percent)
    if not enough and any(pod.virtual_machine for pod in pods):
        needed = node_swap_bytes(node.ordinary_bytes, node.policy.percent)
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
    settings = inventory.vm_settings
    if settings is not None and settings.note and node.percent_from == settings.source:
        warnings.append(Warned("PercentagesDiffer", "Note", settings.note))
    known = len(inventory.objects.nodes)
    if known > 1 and node.memory_from == THIS_MACHINE:
        text = f"of {known} Nodes in the input none is used: choose one with --on-node"
        warnings.append(Warned("NodeNotChosen", "Danger", text))
    return warnings


def shape_of(found: Found, namespace_labels: Mapping[str, str] | None, objects: ClusterObjects) -> Shape:
    """The properties of a pod that rules read: pods of equal shape get equal reports.

    Args:
        found: the pod.
        namespace_labels: the labels of its namespace, where they are known.
        objects: the objects of the input that decide about pods.
    """
    pod = found.pod
    spec = pod.spec
    if spec.node_name is not None:
        spec = msgspec.structs.replace(spec, node_name=None)
    annotations = pod.metadata.annotations
    status = pod.status
    stored = is_stored(pod)
    return (
        _key(spec),
        tuple(annotations.get(name) for name in READ_ANNOTATIONS) if annotations else None,
        owning_instance(pod) is not None,
        # By identity, not equality: each VM is an object of its own.
        None if found.vmi is None else id(found.vmi),
        found.missing,
        found.refusal,
        (namespace_labels or {}).get(SWAP_LABEL),
        status and (status.qos_class, _key(status) if may_wait(pod) else None),
        stored,
        # What a cluster has not stored yet is completed by its namespace's objects.
        None if stored or not objects.of_namespaces else (found.namespace, _labels(pod, objects)),
    )


def _key(value: object) -> object:
    """A value that is equal for equal objects, and is made as fast as can be."""
    try:
        return _ENCODER.encode(value)
    except OverflowError:  # a number beyond 64 bits
        return repr(value)


def _labels(pod: Pod, objects: ClusterObjects) -> bytes | None:
    """The labels and annotations, where overrides select pods by them."""
    return _ENCODER.encode((pod.metadata.labels, pod.metadata.annotations)) if objects.overrides else None
