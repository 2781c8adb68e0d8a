"""Findings about the cluster as a whole; those about one node are in ``node_findings``."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from overbook.core.api.group import NAMESPACE
from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook.core.overcommit.namespace import OUTDATED, outdated_fix
from overbook.core.text import counted
from overbook.status.findings import ClusterFinding, Gathered, gather
from overbook.status.node_findings import node_findings
from overbook.status.view import AGENT_NAMESPACE, Clusterwide, NodeView

STATUS_ROLE: Final = "overbook-status"
"""The ClusterRole with every right that ``overbook status`` uses."""

_UNKNOWN_WITHOUT: Final = {
    "nodes": "capacity, allocatable and taints are not shown",
    "pods": "totals of requests, limits and guest memory are not shown",
    "overcommits": "the percentage is not known; 100 is assumed",
    "overcommitnodes": "what agents report is not shown",
    "namespaces": "whether a namespace has an annotation that is no longer read is not known",
    "kubevirts": "KubeVirt's own percentage is not compared",
    "leases": "whether a controller leads is not known",
    "heartbeats": "whether an agent works is only known from its last report",
    "virtualmachineinstances": "guests' sizes are computed from requests, and whether VMs would be "
    "live-migrated or restarted is not known",
}
_MATTERS_MOST: Final = ("nodes", "pods", "overcommits", "overcommitnodes")
_USER: Final = re.compile(r'User "([^"]+)" cannot')


def findings(cluster: Clusterwide, nodes: Iterable[NodeView]) -> tuple[Gathered, ...]:
    """All findings, worst first.

    Args:
        cluster: what applies to every node.
        nodes: the nodes to report.
    """
    nodes = tuple(nodes)
    return gather(
        chain(
            _installation(cluster, nodes),
            node_findings(nodes, cluster),
            _settings(cluster, nodes),
            _unread(cluster),
        )
    )


def _installation(cluster: Clusterwide, nodes: tuple[NodeView, ...]) -> Iterator[ClusterFinding]:
    if cluster.why_unread("overcommitnodes") == "NotInstalled":
        yield ClusterFinding(
            word="NotInstalled",
            severity="Critical",
            sentence="Overbook's custom resources are not installed: no agent reports, and no pod is evicted",
            fix="kubectl apply -k deploy/base",
        )
        return
    if cluster.why_unread("leases") or (cluster.leader is not None and cluster.leader.leads):
        return
    waiting = sum(bool(node.candidates) for node in nodes)
    last = f"the last leader was {cluster.leader.holder}" if cluster.leader and cluster.leader.holder else ""
    requests = f"{counted(waiting, 'node')} waiting for relief" if waiting else ""
    yield ClusterFinding(
        word="NoController",
        severity="Critical" if waiting else "Warning",
        sentence="no controller leads: no pod is evicted from a node under pressure",
        detail="; ".join(part for part in (requests, last) if part),
        fix=f"kubectl -n {NAMESPACE} rollout restart deployment/overbook-controller",
    )


def _settings(cluster: Clusterwide, nodes: tuple[NodeView, ...]) -> Iterator[ClusterFinding]:
    spec = cluster.spec
    if cluster.unusable is not None:
        yield ClusterFinding(
            word=cluster.unusable.word,
            severity="Warning",
            sentence=f"{cluster.unusable.sentence}: no swap limit is set, and no pod is evicted",
            fix=cluster.unusable.fix,
        )
    if spec.paused:
        yield ClusterFinding(
            word="Paused",
            severity="Warning",
            sentence="Overbook is paused: no relief is started, even if a node is short of memory",
            fix=_patch_overcommit('{"spec":{"paused":false}}'),
        )
    overcommit, kubevirt_percent = cluster.overcommit, cluster.kubevirt_percent
    if overcommit is not None and kubevirt_percent is not None and kubevirt_percent != spec.percentage:
        yield ClusterFinding(
            word="PercentagesDiffer",
            severity="Warning",
            sentence="KubeVirt's percentage differs from Overbook's, with which swap and totals are computed",
            detail=f"KubeVirt has {kubevirt_percent}, Overcommit {OVERCOMMIT_NAME} has {spec.percentage}",
            fix=_patch_overcommit(f'{{"spec":{{"percentage":{kubevirt_percent}}}}}'),
        )
    if overcommit is not None and spec.mode == "Observe":
        yield ClusterFinding(
            word="Observes",
            severity="Note",
            sentence="mode is Observe: decisions are made and reported, but not carried out",
            fix=_patch_overcommit('{"spec":{"mode":"Enforce"}}'),
        )
    for name, word in cluster.outdated.items():
        yield ClusterFinding(
            word="NamespaceAnnotation",
            severity="Warning",
            noun="namespace",
            subject=name,
            sentence=OUTDATED,
            fix=outdated_fix(name, word),
        )
    versions = sorted({node.status.agent_version for node in nodes if node.status} - {""})
    if len(versions) > 1:
        yield ClusterFinding(
            word="AgentVersionsDiffer",
            severity="Note",
            sentence="agents have different versions",
            detail=", ".join(versions),
            fix=f"kubectl -n {AGENT_NAMESPACE} rollout status daemonset/overbook-agent",
        )


def _unread(cluster: Clusterwide) -> Iterator[ClusterFinding]:
    for one in cluster.unread:
        if one.why == "NotInstalled":
            continue
        missing = _UNKNOWN_WITHOUT.get(one.resource, "what is computed from them is not shown")
        user = _USER.search(one.message)
        grant = (
            f"kubectl create clusterrolebinding {STATUS_ROLE} --clusterrole={STATUS_ROLE} "
            f"--user={user[1] if user else 'YOU'}"
        )
        forbidden = one.why == "Forbidden"
        yield ClusterFinding(
            word=f"CannotRead{one.resource.capitalize()}",
            severity="Warning" if one.resource in _MATTERS_MOST else "Note",
            sentence=f"{one.resource} cannot be read: {missing}",
            detail="you have no right to read them" if forbidden else one.message,
            fix=grant if forbidden else "",
        )


def _patch_overcommit(patch: str) -> str:
    return f"kubectl patch overcommit {OVERCOMMIT_NAME} --type merge -p '{patch}'"
