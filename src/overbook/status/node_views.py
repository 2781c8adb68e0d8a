"""The views of nodes, from the nodes, their agents' reports and heartbeats, and the sums of their pods."""

from collections.abc import Iterable, Mapping
from typing import Final

from overbook.core.api.overcommit_node import TAINT_KEY, OvercommitNode
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.kubernetes.resources import amounts
from overbook.core.timestamp import from_timestamp
from overbook.kube.api.objects import Lease, Node
from overbook.status.sums import NO_PODS, PodSums
from overbook.status.view import NodeView

_CONTROL_PLANE_ROLES: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def views_of(
    nodes: Iterable[Node] | None,
    reports: Mapping[str, OvercommitNode],
    sums: Mapping[str, PodSums] | None,
    now: float,
    renewed: Mapping[str, str] | None = None,
) -> list[NodeView]:
    """The view of each node, from the nodes, the agents' reports and the sums of pods; sorted by name.

    Args:
        nodes: the nodes; ``None``: they may not be read, and each report gives a view.
        reports: the agents' reports by node.
        sums: the sums of pods by node; ``None``: pods may not be read.
        now: seconds since 1970.
        renewed: when each agent last renewed its Lease; ``None``: Leases may not be read.
    """
    renewed = renewed or {}
    if nodes is None:
        return [
            view_of(
                Node(metadata=ObjectMeta(name=name)),
                reports[name],
                _sums_of(sums, name),
                now,
                renewed.get(name),
            )
            for name in sorted(reports)
        ]
    found = {node.metadata.name: node for node in nodes}
    return [
        view_of(node, reports.get(name), _sums_of(sums, name), now, renewed.get(name))
        for name, node in sorted(found.items())
    ]


def renewals(leases: Iterable[Lease]) -> dict[str, str]:
    """When each node's agent last renewed its Lease, by node."""
    return {lease.metadata.name: lease.spec.renew_time for lease in leases if lease.spec.renew_time}


def view_of(
    node: Node,
    report: OvercommitNode | None,
    sums: PodSums | None,
    now: float,
    renewed: str | None = None,
) -> NodeView:
    """The view of one node.

    An agent of an earlier version has no Lease and dates its report often, so the younger date counts.

    Raises:
        InvalidInput: a quantity is one that the API server refuses.
    """
    status = report.status if report else None
    seen = from_timestamp(status.observed_at) if status else None
    seen_at = status.observed_at if status else None
    sign = from_timestamp(renewed)
    if seen is not None and sign is not None and sign > seen:
        seen, seen_at = sign, renewed
    ready = next((one.status for one in node.status.conditions or () if one.type == "Ready"), None)
    swap = node.status.node_info.swap if node.status.node_info else None
    labels = node.metadata.labels or {}
    return NodeView(
        name=node.metadata.name,
        ready=None if ready is None else ready == "True",
        control_plane=any(role in labels for role in _CONTROL_PLANE_ROLES),
        capacity=amounts(node.status.capacity, "status.capacity."),
        allocatable=amounts(node.status.allocatable, "status.allocatable."),
        cordoned=bool(node.spec.unschedulable),
        tainted=any(taint.key == TAINT_KEY for taint in node.spec.taints or ()),
        kubelet_swap_bytes=swap.capacity if swap else None,
        sums=sums,
        status=status,
        age_seconds=None if seen is None else max(0.0, now - seen),
        seen_at=seen_at,
    )


def _sums_of(sums: Mapping[str, PodSums] | None, name: str) -> PodSums | None:
    return None if sums is None else sums.get(name, NO_PODS)
