"""Nodes, their agents' reports and their pods' sums put together."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from overbook.core.cluster_view import NodeView
from overbook.core.custom_overcommit_node import TAINT_KEY, OvercommitNode
from overbook.core.pod import ObjectMeta
from overbook.core.pod_sums import NO_PODS, PodSums
from overbook.core.resources import amounts
from overbook.core.timestamp import from_timestamp
from overbook.kube.objects import KubeVirt, Node

_CONTROL_PLANE_ROLES: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def views_of(
    nodes: Iterable[Node] | None,
    reports: Mapping[str, OvercommitNode],
    sums: Mapping[str, PodSums] | None,
    now: float,
) -> list[NodeView]:
    """Nodes, agents' reports and pods put together, by name.

    Args:
        nodes: ``None``: they may not be read, and there is a view for each report.
        reports: by node.
        sums: by node; ``None``: pods may not be read.
        now: seconds since 1970.
    """
    if nodes is None:
        return [
            view_of(Node(metadata=ObjectMeta(name=name)), reports[name], _sums_of(sums, name), now)
            for name in sorted(reports)
        ]
    found = {node.metadata.name: node for node in nodes}
    return [
        view_of(node, reports.get(name), _sums_of(sums, name), now) for name, node in sorted(found.items())
    ]


def view_of(node: Node, report: OvercommitNode | None, sums: PodSums | None, now: float) -> NodeView:
    """One node.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    status = report.status if report else None
    seen = from_timestamp(status.observed_at) if status else None
    ready = next((one.status for one in node.status.conditions or () if one.type == "Ready"), None)
    swap = node.status.node_info.swap if node.status.node_info else None
    labels = node.metadata.labels or {}
    return NodeView(
        name=node.metadata.name,
        ready=None if ready is None else ready == "True",
        control_plane=any(role in labels for role in _CONTROL_PLANE_ROLES),
        capacity=amounts(node.status.capacity, "status.capacity."),
        allocatable=amounts(node.status.allocatable, "status.allocatable."),
        tainted=any(taint.key == TAINT_KEY for taint in node.spec.taints or ()),
        kubelet_swap_bytes=swap.capacity if swap else None,
        sums=sums,
        status=status,
        age_seconds=None if seen is None else max(0.0, now - seen),
    )


def _sums_of(sums: Mapping[str, PodSums] | None, name: str) -> PodSums | None:
    return None if sums is None else sums.get(name, NO_PODS)


def percent_of(kubevirt: KubeVirt | None) -> int | None:
    """``memoryOvercommit`` of KubeVirt; 100 where it says nothing, ``None`` where it is not there."""
    if kubevirt is None:
        return None
    written: Any = (kubevirt.spec.configuration.developer_configuration or {}).get("memoryOvercommit", 100)
    return written if isinstance(written, int) and 10 <= written <= 10_000 else 100
