"""The part of the report about one pod."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.cgroup import PodValues, container_values, pod_values
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.qos import QosClass, reported_qos_class
from overbook.core.kubernetes.resize import Resize, resize_of
from overbook.core.kubernetes.resolved import ResolvedPod, resolve
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.memory import hugepages_bytes, inferred_guest_bytes
from overbook.core.kubevirt.overhead import overhead_bytes, reported_overhead_bytes
from overbook.core.overcommit.allowance import pod_facts
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.level import Levels, container_levels, pod_levels
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.text import cores, shown, shown_or
from overbook.explain.inventory import Found
from overbook.explain.node import ExplainedNode
from overbook.explain.quota import quota_change
from overbook.explain.report import ContainerReport, CpuAndMemory, OvercommitLevel, PodReport, Swap, Warned
from overbook.explain.warnings import pod_warnings

if TYPE_CHECKING:
    from overbook.explain.admission import ApiServer

_NO_UID: Final = "not created yet"


class PreparedPod(msgspec.Struct, frozen=True, gc=False):
    """The facts that are needed of all pods before one is described, as pods share swap and CPU.

    Attributes:
        found: the pod, or the first one of its shape.
        pod: the resolved pod.
        facts: the facts for the swap rules; with name and UID of the first one of its shape.
        values: the values of the pod's cgroup.
        levels: the pod's overcommit levels.
        notes: what the API server says about it, and what it waits for.
    """

    found: Found
    pod: ResolvedPod
    facts: PodFacts
    values: PodValues
    levels: Levels
    notes: tuple[Warned, ...] = ()


def prepare(found: Found, node: ExplainedNode, namespace_labels: Mapping[str, str] | None) -> PreparedPod:
    """Compute the facts of a pod that a cluster has stored.

    Raises:
        InvalidInput: the API server would refuse the pod; the message has its place and name.
    """
    try:
        return prepared_pod(found, node, namespace_labels)
    except InvalidInput as error:
        raise error.inside(f"{found.where}: {found.kind} {found.name}: ") from error


def prepared_pod(
    found: Found,
    node: ExplainedNode,
    namespace_labels: Mapping[str, str] | None,
    server: "ApiServer | None" = None,
) -> PreparedPod:
    """Compute the facts of a pod that the descriptions of all pods need.

    Args:
        found: the pod.
        node: the node.
        namespace_labels: the labels of its namespace, where they are known.
        server: the admission of pods that no cluster has stored; ``None``: the pod is stored.

    Raises:
        InvalidInput: the API server would refuse the pod; the message has the field alone.
    """
    check_names(found)
    pod = found.pod
    notes: tuple[Warned, ...] = ()
    if server is not None:
        admitted = server.admitted(pod)
        pod, notes = admitted.pod, admitted.notes
    if not pod.metadata.uid:
        pod = msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, uid=_NO_UID))
    resize = resize_of(pod, node.version)
    if resize is not None:
        notes = (*notes, resize_note(resolve(pod, node.version), resize))
        pod = resize.pod
    resolved = resolve(pod, node.version)
    if resize is not None:
        resolved = msgspec.structs.replace(resolved, requests=resize.reserved)
    facts = pod_facts(resolved, node.memory_bytes, node.policy, namespace_labels)
    values = pod_values(resolved, quota=node.cpu_quota)
    return PreparedPod(found, resolved, facts, values, pod_levels(resolved), notes)


def resize_note(wanted: ResolvedPod, resize: Resize) -> Warned:
    """A note on a resize in place that has not taken effect: what is wanted, in force and reserved."""
    works = resolve(resize.pod)

    def shown_of(pod: ResolvedPod) -> str:
        limits = shown_or(pod.limits.memory_bytes, "none")
        requests = pod.requests
        return f"cpu {cores(requests.cpu_milli)}, memory {shown_or(requests.memory_bytes)}, limit {limits}"

    said = f" ({resize.message})" if resize.message else ""
    reserved = resize.reserved
    return Warned(
        "ResizePending",
        "Danger" if resize.state == "Infeasible" else "Note",
        f"a resize in place is {resize.state}{said}: its spec wants {shown_of(wanted)}; the kubelet works "
        f"with {shown_of(works)}; the scheduler counts cpu {cores(reserved.cpu_milli)}, memory "
        f"{shown_or(reserved.memory_bytes)}",
    )


def describe(
    one: PreparedPod, node: ExplainedNode, decisions: list[SwapDecision], node_share: float
) -> PodReport:
    """The report of a pod.

    Args:
        one: the pod.
        node: the node.
        decisions: the swap decisions of its containers, init containers first.
        node_share: the pod's share (0–1) of the node's CPU if all pods want more than there is.

    Raises:
        InvalidInput: a quantity is not valid.
    """
    found, pod, facts, values = one.found, one.pod, one.facts, one.values
    request = pod.requests.memory_bytes or 0
    guest, overhead, source = guest_of(one, node)
    return PodReport(
        name=found.pod.label,
        kind=found.kind,
        object=found.name,
        where=found.where,
        replicas=found.replicas,
        qos_class=facts.qos_class,
        qos_reason=qos_reason(pod),
        virtual_machine=facts.virtual_machine,
        critical=facts.critical,
        priority=facts.priority,
        requests=shown_amounts(pod.requests),
        limits=shown_amounts(pod.limits),
        overcommit=level(one.levels),
        guest_bytes=guest,
        overhead_bytes=overhead,
        hugepages_bytes=hugepages_bytes(found.pod) if facts.virtual_machine else 0,
        guest_from=source,
        cpu_shares=values.cpu_shares,
        cpu_weight=values.cpu_weight,
        cpu_quota_micros=values.cpu_quota_micros or None,
        cpu_quota=quota_change(pod, enforced=node.cpu_quota),
        memory_max_bytes=values.memory_max_bytes,
        cpu_share_of_node_percent=_percent(node_share),
        swap_max_bytes=sum(decision.swap_max_bytes for decision in decisions),
        eviction=eviction_words(
            quality=facts.qos_class, critical=facts.critical, request_bytes=request, priority=facts.priority
        ),
        containers=tuple(_containers(pod, node, decisions)),
        warnings=(*one.notes, *pod_warnings(found, pod, node, decisions)),
    )


def described_as(report: PodReport, found: Found) -> PodReport:
    """The report of another pod of the same shape, which differs only in its name."""
    return msgspec.structs.replace(
        report,
        name=found.name if found.kind == "Pod" else found.pod.label,
        kind=found.kind,
        object=found.name,
        where=found.where,
        replicas=found.replicas,
    )


def guest_of(
    one: PreparedPod, node: ExplainedNode
) -> tuple[int | None, int | None, Literal["Manifest", "Request"] | None]:
    """The guest size of a VM, KubeVirt's overhead, and the source of the guest size."""
    if not one.facts.virtual_machine:
        return None, None, None
    found = one.found
    overhead = reported_overhead_bytes(found.pod)
    if found.vmi is not None:
        if overhead is None:
            overhead = overhead_bytes(found.vmi, running=node.running)
        return found.vmi.guest_bytes, overhead, "Manifest"
    guest = inferred_guest_bytes(one.pod, node.policy.percent)
    return guest, overhead, None if guest is None else "Request"


def shown_amounts(amounts: Amounts) -> CpuAndMemory:
    """Amounts as the report has them, with ``None`` for 0."""
    return CpuAndMemory(amounts.cpu_milli or None, amounts.memory_bytes or None)


def level(levels: Levels) -> OvercommitLevel:
    """Levels as the report has them."""
    return OvercommitLevel(
        levels.cpu.percent, levels.memory.percent, levels.cpu.undefined, levels.memory.undefined
    )


def check_names(found: Found) -> None:
    """Refuse a pod whose containers the API server would refuse.

    Raises:
        InvalidInput: the pod has no container, one without a name, or two with the same name.
    """
    pod = found.pod
    if not pod.containers:
        raise InvalidInput("spec.containers", pod.spec.containers, "at least one container")
    names: set[str] = set()
    for container in pod.all_containers():
        if not container.name:
            raise InvalidInput("spec.containers: name", container.name, "a name for each container")
        if container.name in names:
            raise InvalidInput("spec.containers: name", container.name, "a different name for each container")
        names.add(container.name)


def _containers(
    pod: ResolvedPod, node: ExplainedNode, decisions: Iterable[SwapDecision]
) -> Iterator[ContainerReport]:
    values = {
        container.name: container_values(pod, container, quota=node.cpu_quota)
        for container in pod.all_containers
    }
    # Plain init containers have ended when the others compete.
    competing = sum(
        values[container.name].cpu_weight for container in pod.all_containers if container.role != "Init"
    )
    for container, decision in zip(pod.all_containers, decisions, strict=True):
        own = values[container.name]
        resources = container.resources
        yield ContainerReport(
            name=container.name,
            role=container.role,
            requests=shown_amounts(resources.requests),
            limits=shown_amounts(resources.limits),
            cpu_shares=own.cpu_shares,
            cpu_weight=own.cpu_weight,
            cpu_quota_micros=own.cpu_quota_micros or None,
            cpu_period_micros=own.cpu_period_micros,
            memory_max_bytes=own.memory_max_bytes or None,
            oom_score_adj=oom_score_adj(pod, container, node.memory_bytes),
            swap=Swap(
                decision.swap_max_bytes,
                decision.reason,
                decision.sentence,
                decision.swap_max_bytes if decision.wanted_bytes is None else decision.wanted_bytes,
            ),
            overcommit=level(container_levels(resources)),
            cpu_share_of_pod_percent=None
            if container.role == "Init"
            else _percent(own.cpu_weight / competing),
        )


def _percent(share: float) -> float:
    return round(share * 100, 1)


def qos_reason(pod: ResolvedPod) -> str:
    """Why the pod has its QoS class: the first thing that keeps it from a higher one."""
    quality = pod.qos_class
    if reported_qos_class(pod.pod) is not None:
        computed = resolve(msgspec.structs.replace(pod.pod, status=None)).qos_class
        if computed != quality:
            return f"status.qosClass, by which the kubelet goes; by its resources it would be {computed}"
    if quality == "BestEffort":
        if pod.level is not None and not pod.needed.requests.is_empty:
            return "spec.resources is there and has no CPU or memory, so its containers do not count"
        return "it has no request and no limit of CPU or memory"
    if pod.level is not None:
        named = [("the pod", pod.level)]
    else:
        named = [(container.name, container.resources) for container in pod.all_containers]
    if quality == "Guaranteed":
        return "all CPU and memory is limited, and requests equal limits"
    for name, resources in named:
        missing = [
            resource
            for resource, limit in (
                ("CPU", resources.limits.cpu_milli),
                ("memory", resources.limits.memory_bytes),
            )
            if not limit
        ]
        if missing:
            return f"{name} has no {' and no '.join(missing)} limit"
    return "requests are below limits"


def eviction_words(*, quality: QosClass, critical: bool, request_bytes: int, priority: int) -> str:
    """When the kubelet evicts the pod if the node's memory runs low, as far as manifests show."""
    if critical:
        return "never: it is critical"
    if quality == "Guaranteed":
        return f"among the last: it cannot use more than it requests (priority {priority})"
    if request_bytes == 0:
        return f"among the first: it requests no memory, so any use exceeds its request (priority {priority})"
    return f"among the first once it uses more than {shown(request_bytes)} (priority {priority})"
