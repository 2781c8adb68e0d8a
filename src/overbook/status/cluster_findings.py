"""What is wrong with the cluster as a whole; the nodes' own findings are in ``node_findings``."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook.core.text import counted
from overbook.status.findings import ClusterFinding, Gathered, gather
from overbook.status.node_findings import node_findings
from overbook.status.view import AGENT_NAMESPACE, Clusterwide, NodeView

STATUS_ROLE: Final = "overbook-status"
"""The ClusterRole with every right that ``overbook status`` uses."""

_UNKNOWN_WITHOUT: Final = {
    "nodes": "capacity, allocatable and taints are not shown",
    "pods": "sums of requests, limits and guests are not shown",
    "overcommits": "the percentage is not known and taken as 100",
    "overcommitnodes": "what agents report is not shown",
    "kubevirts": "KubeVirt's own percentage is not compared",
    "leases": "whether a controller leads is not known",
    "virtualmachineinstances": "whether guests would be migrated or restarted is not known",
}
_MATTERS_MOST: Final = ("nodes", "pods", "overcommits", "overcommitnodes")
_USER: Final = re.compile(r'User "([^"]+)" cannot')


def findings(cluster: Clusterwide, nodes: Iterable[NodeView]) -> tuple[Gathered, ...]:
    """Everything that is wrong, worst first.

    Args:
        cluster: what counts for every node.
        nodes: the nodes that are asked about.
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
            sentence="its custom resources are not installed: no agent reports, nothing is relieved",
            mend="kubectl apply -k deploy/base",
        )
        return
    if cluster.why_unread("leases") or (cluster.leader is not None and cluster.leader.leads):
        return
    waiting = sum(bool(node.candidates) for node in nodes)
    last = f"the last one was {cluster.leader.holder}" if cluster.leader and cluster.leader.holder else ""
    asking = f"{counted(waiting, 'node')} waiting for relief" if waiting else ""
    yield ClusterFinding(
        word="NoController",
        severity="Critical" if waiting else "Warning",
        sentence="no controller leads: guests are not moved away from nodes in trouble",
        detail="; ".join(part for part in (asking, last) if part),
        mend=f"kubectl -n {AGENT_NAMESPACE} rollout restart deployment/overbook-controller",
    )


def _settings(cluster: Clusterwide, nodes: tuple[NodeView, ...]) -> Iterator[ClusterFinding]:
    spec = cluster.spec
    if spec.paused:
        yield ClusterFinding(
            word="Paused",
            severity="Warning",
            sentence="Overbook is paused: no relief is started, whatever happens",
            mend=_patch_overcommit('{"spec":{"paused":false}}'),
        )
    ours, theirs = cluster.overcommit, cluster.kubevirt_percent
    if ours is not None and theirs is not None and theirs != spec.percentage:
        yield ClusterFinding(
            word="PercentagesDiffer",
            severity="Warning",
            sentence="KubeVirt promises guests another percentage than swap and sums are reckoned by",
            detail=f"KubeVirt has {theirs}, Overcommit {OVERCOMMIT_NAME} has {spec.percentage}",
            mend=_patch_overcommit(f'{{"spec":{{"percentage":{theirs}}}}}'),
        )
    if spec.mode == "Observe":
        yield ClusterFinding(
            word="Observes",
            severity="Note",
            sentence="mode is Observe: everything is decided and reported, nothing is done",
            mend=_patch_overcommit('{"spec":{"mode":"Enforce"}}'),
        )
    if ours is None and not cluster.why_unread("overcommits"):
        yield ClusterFinding(
            word="NoOvercommit",
            severity="Note",
            sentence=f"there is no Overcommit named {OVERCOMMIT_NAME}: defaults are in force",
            mend="kubectl apply -f deploy/base/overcommit.yaml",
        )
    versions = sorted({node.status.agent_version for node in nodes if node.status} - {""})
    if len(versions) > 1:
        yield ClusterFinding(
            word="AgentVersionsDiffer",
            severity="Note",
            sentence="agents of several versions run",
            detail=", ".join(versions),
            mend=f"kubectl -n {AGENT_NAMESPACE} rollout status daemonset/overbook-agent",
        )


def _unread(cluster: Clusterwide) -> Iterator[ClusterFinding]:
    for one in cluster.unread:
        if one.why == "NotInstalled":
            continue
        missing = _UNKNOWN_WITHOUT.get(one.resource, "what depends on it is not shown")
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
            detail="you have no right to it" if forbidden else one.message,
            mend=grant if forbidden else "",
        )


def _patch_overcommit(patch: str) -> str:
    return f"kubectl patch overcommit {OVERCOMMIT_NAME} --type merge -p '{patch}'"
