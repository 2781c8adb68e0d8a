"""The report of ``overbook status``, made from the data that was read; nothing is formatted here."""

from collections.abc import Sequence

import msgspec

from overbook.core.kubernetes.resources import Amounts
from overbook.explain.pod import level, shown_amounts
from overbook.status.cluster_findings import findings
from overbook.status.node_findings import is_silent
from overbook.status.report import (
    AgentReport,
    ClusterReport,
    ClusterSettings,
    NodeStatusReport,
    Sums,
    SwapReport,
)
from overbook.status.sums import NO_PODS, PodSums
from overbook.status.view import Clusterwide, NodeView


def build_cluster(
    cluster: Clusterwide, nodes: Sequence[NodeView], *, seconds_old: float = 0.0
) -> ClusterReport:
    """The whole report.

    Args:
        cluster: what applies to every node.
        nodes: the nodes to report, in the order in which they are shown.
        seconds_old: the age of the data.
    """
    total = NO_PODS
    for node in nodes:
        total += node.sums or NO_PODS
    return ClusterReport(
        settings=build_settings(cluster),
        totals=None if cluster.why_unread("pods") else build_sums(total),
        nodes=tuple(build_node(node, cluster) for node in nodes),
        findings=findings(cluster, nodes),
        unread=cluster.unread,
        seconds_old=round(seconds_old, 1),
    )


def build_settings(cluster: Clusterwide) -> ClusterSettings:
    """The settings that apply to every node."""
    source = "Overcommit cluster"
    if cluster.overcommit is None:
        source = "default" if cluster.kubevirt_percent is None else "KubeVirt"
    return ClusterSettings(
        percentage=cluster.percent,
        percentage_from=source,
        mode=cluster.spec.mode,
        paused=cluster.spec.paused,
        kubevirt_percentage=cluster.kubevirt_percent,
        controller=cluster.leader,
    )


def build_node(node: NodeView, cluster: Clusterwide) -> NodeStatusReport:
    """The report on one node."""
    status = node.status
    agent = None
    if status is not None and status.observed_at is not None:
        agent = AgentReport(
            version=status.agent_version,
            mode=status.mode,
            paused=status.paused,
            observed_at=status.observed_at,
            age_seconds=None if node.age_seconds is None else round(node.age_seconds, 1),
            silent=is_silent(node, cluster),
        )
    known = node.sums is not None and bool(node.capacity.memory_bytes)
    return NodeStatusReport(
        name=node.name,
        ready=node.ready,
        ram_bytes=node.ram_bytes,
        available_bytes=status.memory.available_bytes if status else None,
        offloaded_bytes=status.memory.offloaded_bytes if status else None,
        offloadable_bytes=status.memory.offloadable_bytes if status else None,
        capacity=shown_amounts(node.capacity),
        allocatable=shown_amounts(node.allocatable),
        sums=None if node.sums is None else build_sums(node.sums),
        promised_percent=node.promised_percent,
        overcommitted=bool(node.causes) if known else None,
        causes=node.causes,
        swap=_swap(node, cluster),
        pressure=status.pressure if status else None,
        tainted=node.tainted,
        relief=status.relief if status else None,
        agent=agent,
        huge_pages_bytes=status.memory.hugetlb_bytes if status else 0,
        agent_known=cluster.why_unread("overcommitnodes") in (None, "NotInstalled"),
    )


def build_sums(sums: PodSums) -> Sums:
    """The sums in the form of the report."""
    cpu, memory = sums.levels.cpu, sums.levels.memory
    return Sums(
        pods=sums.pods,
        requests=shown_amounts(Amounts.of(cpu.requested, memory.requested)),
        limits=shown_amounts(Amounts.of(cpu.limited, memory.limited)),
        overcommit=level(sums.levels),
        pods_without_memory_limit=memory.without_limit,
        pods_without_cpu_limit=cpu.without_limit,
        virtual_machines=sums.virtual_machines,
        guest_bytes=sums.guest_bytes,
    )


def _swap(node: NodeView, cluster: Clusterwide) -> SwapReport:
    demanded = node.demanded_swap_bytes(cluster.percent) if cluster.percent_known else None
    report = SwapReport(size_bytes=node.swap_bytes, demanded_bytes=demanded)
    if node.status is None:
        return report
    swap = node.status.swap
    return msgspec.structs.replace(
        report,
        used_bytes=swap.used_bytes,
        allowed_bytes=swap.allowed_bytes,
        in_pages_per_second=swap.in_pages_per_second,
        out_pages_per_second=swap.out_pages_per_second,
        writer=swap.writer,
        page_bytes=swap.page_bytes,
    )
