"""What is wrong with a node: its agent, its memory and swap, its relief. Each rule is one function."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY, Refusal, Stage
from overbook.core.kubernetes.quantity import binary
from overbook.core.overcommit.swap import swap_suffices
from overbook.core.text import shown
from overbook.status.findings import ClusterFinding, Severity
from overbook.status.view import AGENT_NAMESPACE, Clusterwide, NodeView

_UNDER_WAY: Final[tuple[Stage, ...]] = ("Asking", "Migrating", "Ending", "CoolingDown")
_JUDGED_HERE: Final = ("SwapTooSmall", "NoSwap")
"""Problems of an agent that are told from the node's own numbers here, also where no agent runs."""
_BUDGET: Final = re.compile(r"disruption budget (\S+)")


def node_findings(nodes: Iterable[NodeView], cluster: Clusterwide) -> Iterator[ClusterFinding]:
    """The findings of all nodes, by the worst rule first."""
    nodes = tuple(nodes)
    for rule in _WORST_FIRST:
        for node in nodes:
            yield from rule(node, cluster)


def is_silent(node: NodeView, cluster: Clusterwide) -> bool:
    """Whether the node's agent has not reported for so long that it counts as stopped."""
    return node.age_seconds is None or node.age_seconds > cluster.spec.relief.stale_seconds


def _relief(node: NodeView, _cluster: Clusterwide) -> Iterator[ClusterFinding]:
    relief = node.relief
    if relief.stage == "Refused":
        refusal = relief.refusals[0] if relief.refusals else None
        yield ClusterFinding(
            word="EveryoneRefused",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="no guest can be moved away: every candidate refused",
            detail=f"{refusal.label}: {refusal.message}" if refusal else relief.message,
            mend=_mend_refusal(refusal) if refusal else f"kubectl describe overcommitnode {node.name}",
            weight=len(relief.refusals),
        )
    elif relief.stage == "Waiting":
        yield ClusterFinding(
            word="ReliefWaits",
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence="relief has to wait",
            detail=relief.message,
            mend="kubectl get overcommit cluster -o jsonpath='{.spec.relief}'",
        )
    last = relief.outcomes[0] if relief.outcomes else None
    if last is not None and last.outcome in ("GivenUp", "Failed"):
        yield ClusterFinding(
            word="ReliefFailed",
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence="its last relief did not come to its end",
            detail=f"{last.victim}: {last.message}",
            mend=f"overbook status pod {last.victim}",
        )


def _mend_refusal(refusal: Refusal) -> str:
    namespace = refusal.label.partition("/")[0]
    budget = _BUDGET.search(refusal.message)
    if budget is not None:
        return f"kubectl -n {namespace} get pdb {budget[1]}"
    return f"overbook status pod {refusal.label}"


def _pressure(node: NodeView, _cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if node.status is None or node.pressure == "None":
        return
    pressure, relief = node.status.pressure, node.relief
    helped = relief.stage in _UNDER_WAY
    severity: Severity = "Critical" if node.pressure == "Critical" and not helped else "Warning"
    first = next((candidate.label for candidate in node.candidates if not candidate.excluded), "")
    seen = pressure.sentence or pressure.rule
    if helped:
        seen = f"{seen}; {relief.message or f'{relief.stage} {relief.victim}'}"
    yield ClusterFinding(
        word="PressureCritical" if node.pressure == "Critical" else "Pressure",
        severity=severity,
        noun="node",
        subject=node.name,
        sentence="memory is short, and a guest has to go"
        if node.pressure == "Critical"
        else "memory is short",
        detail=seen,
        mend=f"overbook status pod {relief.victim or first}" if relief.victim or first else "",
        weight=pressure.stall_full_percent or 0.0,
    )


def _agent(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if cluster.why_unread("overcommitnodes"):
        return
    mend = f"kubectl -n {AGENT_NAMESPACE} get pods -o wide --field-selector spec.nodeName={node.name}"
    down = "the node is not Ready" if node.ready is False else ""
    if node.status is None or (node.status.observed_at is None and node.age_seconds is None):
        yield ClusterFinding(
            word="NoAgent",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="no agent has reported: swap limits are not kept, and nobody sees pressure",
            detail=down,
            mend=mend,
            weight=node.promised_percent or 0,
        )
    elif is_silent(node, cluster):
        since = f"silent since {node.status.observed_at}"
        yield ClusterFinding(
            word="AgentSilent",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="its agent no longer reports",
            detail=f"{since}; {down}" if down else since,
            mend=mend,
            weight=node.age_seconds or 0.0,
        )


def _swap(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if not cluster.percent_known:
        return
    ram, swap = node.ram_bytes, node.swap_bytes
    demanded = node.demanded_swap_bytes(cluster.percent)
    machines = node.sums.virtual_machines if node.sums else 0
    if ram is None or swap is None or demanded is None or (node.control_plane and not machines):
        return
    if swap_suffices(ram, swap, cluster.percent):
        return
    # Not only less than it should be: its guests could not be held even if all else were empty.
    exposed = node.sums is not None and node.sums.guest_bytes > ram + swap
    yield ClusterFinding(
        word="SwapTooSmall",
        severity="Critical" if exposed else "Warning",
        noun="node",
        subject=node.name,
        sentence=f"its swap is smaller than {cluster.percent} % demands",
        detail=f"{shown(swap)} of {shown(demanded)}",
        mend=f"overbook swap-size --ram {binary(ram)} --overcommit {cluster.percent}",
        weight=demanded - swap,
    )


def _promise(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    promised = node.promised_percent
    if promised is None or promised <= cluster.percent or not cluster.percent_known:
        return
    yield ClusterFinding(
        word="PromisedTooMuch",
        severity="Warning",
        noun="node",
        subject=node.name,
        sentence=f"more memory is promised to guests than {cluster.percent} % of its RAM",
        detail=f"{shown(node.sums.guest_bytes if node.sums else 0)}, {promised} %",
        mend=f"kubectl cordon {node.name}",
        weight=promised,
    )


def _taint(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if not node.tainted or cluster.why_unread("overcommitnodes"):
        return
    abandoned = node.status is None or is_silent(node, cluster)
    if abandoned or (node.pressure == "None" and not node.candidates and not node.relief.stage):
        yield ClusterFinding(
            word="TaintLeft",
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence="it keeps new pods away with our taint, and no agent says why",
            mend=f"kubectl taint node {node.name} {TAINT_KEY}:{TAINT_EFFECT}-",
        )


def _restarts(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    for candidate in node.candidates:
        guest = cluster.guests.get(candidate.uid)
        if candidate.excluded or guest is None or guest.strategy != "None":
            continue
        yield ClusterFinding(
            word="WouldRestart",
            severity="Warning",
            noun="virtual machine",
            subject=candidate.label,
            sentence="it could be next, and has no eviction strategy: it would be restarted, not migrated",
            mend=f"kubectl -n {candidate.namespace} patch vm {guest.name} --type merge -p "
            '\'{"spec":{"template":{"spec":{"evictionStrategy":"LiveMigrateIfPossible"}}}}\'',
            weight=candidate.usage_bytes,
        )


def _problems(node: NodeView, _cluster: Clusterwide) -> Iterator[ClusterFinding]:
    for problem in node.status.problems if node.status else ():
        if problem.word in _JUDGED_HERE:
            continue
        yield ClusterFinding(
            word=problem.word,
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence=f"its agent reports {problem.word}",
            detail=problem.sentence,
            mend=problem.mend,
        )


_WORST_FIRST: Final[tuple[Callable[[NodeView, Clusterwide], Iterator[ClusterFinding]], ...]] = (
    _relief,
    _pressure,
    _agent,
    _swap,
    _promise,
    _taint,
    _restarts,
    _problems,
)
