"""Findings about a node: its agent, its memory and swap, its relief. Each rule is one function."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from overbook.core.api.heartbeat import MOST_STATUS_SECONDS
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY, Refusal, Stage
from overbook.core.overcommit.swap import swap_suffices
from overbook.core.text import shown
from overbook.status.findings import ClusterFinding, Severity
from overbook.status.view import AGENT_NAMESPACE, Clusterwide, NodeView

_UNDER_WAY: Final[tuple[Stage, ...]] = ("Asking", "Migrating", "Ending", "CoolingDown")
_JUDGED_HERE: Final = ("SwapTooSmall", "NoSwap")
"""Problems of agents that are found here from the node's own numbers, also without an agent."""
_BUDGET: Final = re.compile(r"disruption budget (\S+)")


def node_findings(nodes: Iterable[NodeView], cluster: Clusterwide) -> Iterator[ClusterFinding]:
    """The findings of all nodes, in the order of the rules, worst first."""
    nodes = tuple(nodes)
    for rule in _WORST_FIRST:
        for node in nodes:
            yield from rule(node, cluster)


def is_silent(node: NodeView, cluster: Clusterwide) -> bool:
    """Whether the node's agent has given no sign of life for so long that it counts as stopped."""
    seconds = float(cluster.spec.relief.stale_seconds)
    if cluster.why_unread("heartbeats"):
        seconds += MOST_STATUS_SECONDS  # without the Leases, silence is no news for so long
    return node.age_seconds is None or node.age_seconds > seconds


def _relief(node: NodeView, _cluster: Clusterwide) -> Iterator[ClusterFinding]:
    relief = node.relief
    if relief.stage == "Refused":
        refusal = relief.refusals[0] if relief.refusals else None
        yield ClusterFinding(
            word="EveryoneRefused",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="no pod can be evicted: every candidate was refused",
            detail=f"{refusal.label}: {refusal.message}" if refusal else relief.message,
            fix=_refusal_fix(refusal) if refusal else f"kubectl describe overcommitnode {node.name}",
            weight=len(relief.refusals),
        )
    elif relief.stage == "Waiting":
        yield ClusterFinding(
            word="ReliefWaits",
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence="relief waits",
            detail=relief.message,
            fix=_waiting_fix(relief.message),
        )
    last = relief.outcomes[0] if relief.outcomes else None
    if last is not None and last.outcome in ("GivenUp", "Failed"):
        yield ClusterFinding(
            word="ReliefFailed",
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence="the last relief was not completed",
            detail=f"{last.victim}: {last.message}",
            fix=_command_in(last.message) or f"overbook status pod {last.victim}",
        )


def _waiting_fix(message: str) -> str:
    """The command for the object on which relief waits: KubeVirt's, or Overbook's own settings."""
    if message.startswith("KubeVirt's webhook"):
        return "kubectl get pods -A -l kubevirt.io=virt-api"
    if message.startswith("KubeVirt's limit"):
        settings = "kubectl get kubevirt -A -o jsonpath='{.items[0].spec.configuration.migrations}'"
        return f"kubectl get vmim -A; {settings}"
    return "kubectl get overcommit cluster -o jsonpath='{.spec.relief}'"


def _command_in(message: str) -> str:
    """The command that a message of the controller names; empty: it names none."""
    before, said, command = message.partition(": virtctl ")
    return f"virtctl {command}" if said and before else ""


def _refusal_fix(refusal: Refusal) -> str:
    namespace = refusal.label.partition("/")[0]
    budget = _BUDGET.search(refusal.message)
    if budget is not None:
        return f"kubectl -n {namespace} get pdb {budget[1]}"
    match refusal.reason:
        case "MigrationRejected":
            return f"kubectl -n {namespace} describe resourcequota"
        case "MigrationFailed" | "MigrationStalled" | "MigrationGivenUp" | "MigrationFailing":
            return _command_in(refusal.message) or f"kubectl -n {namespace} get vmim"
        case "WebhookFailed":
            return "kubectl get pods -A -l kubevirt.io=virt-api"
        case _:
            return f"overbook status pod {refusal.label}"


def _pressure(node: NodeView, _cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if node.status is None or node.pressure == "None":
        return
    pressure, relief = node.status.pressure, node.relief
    under_way = relief.stage in _UNDER_WAY
    severity: Severity = "Critical" if node.pressure == "Critical" and not under_way else "Warning"
    first = next((candidate.label for candidate in node.candidates if not candidate.excluded), "")
    seen = pressure.sentence or pressure.rule
    if under_way:
        seen = f"{seen}; {relief.message or f'{relief.stage} {relief.victim}'}"
    yield ClusterFinding(
        word="PressureCritical" if node.pressure == "Critical" else "Pressure",
        severity=severity,
        noun="node",
        subject=node.name,
        sentence="memory is short, and a pod has to leave"
        if node.pressure == "Critical"
        else "memory is short",
        detail=seen,
        fix=f"overbook status pod {relief.victim or first}" if relief.victim or first else "",
        weight=pressure.stall_full_percent or 0.0,
    )


def _agent(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if cluster.why_unread("overcommitnodes"):
        return
    fix = f"kubectl -n {AGENT_NAMESPACE} get pods -o wide --field-selector spec.nodeName={node.name}"
    down = "the node is not Ready" if node.ready is False else ""
    if node.status is None or (node.status.observed_at is None and node.age_seconds is None):
        yield ClusterFinding(
            word="NoAgent",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="no agent has reported: swap limits are not kept, and pressure is not noticed",
            detail=down,
            fix=fix,
            weight=node.promised_percent or 0,
        )
    elif is_silent(node, cluster):
        since = f"silent since {node.seen_at or node.status.observed_at}"
        yield ClusterFinding(
            word="AgentSilent",
            severity="Critical",
            noun="node",
            subject=node.name,
            sentence="the agent no longer reports",
            detail=f"{since}; {down}" if down else since,
            fix=fix,
            weight=node.age_seconds or 0.0,
        )


def _swap(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    if not cluster.percent_known:
        return
    ram, swap = node.ordinary_bytes, node.swap_bytes
    demanded = node.demanded_swap_bytes(cluster.percent)
    machines = node.sums.virtual_machines if node.sums else 0
    if ram is None or swap is None or demanded is None or (node.control_plane and not machines):
        return
    if swap_suffices(ram, swap, cluster.percent):
        return
    # Then RAM and swap could not hold the guests' memory even if no other memory were used.
    exposed = node.sums is not None and node.sums.guest_bytes > ram + swap
    yield ClusterFinding(
        word="SwapTooSmall",
        severity="Critical" if exposed else "Warning",
        noun="node",
        subject=node.name,
        sentence=f"less swap than {cluster.percent} % needs",
        detail=f"{shown(swap)} of {shown(demanded)}",
        fix=f"overbook node swap apply --percent {cluster.percent}",
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
        sentence=f"guests are promised more memory than {cluster.percent} % of RAM",
        detail=f"{shown(node.sums.guest_bytes if node.sums else 0)}, {promised} %",
        fix=f"kubectl cordon {node.name}",
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
            sentence="Overbook's taint is set, but no agent reports pressure",
            fix=f"kubectl taint node {node.name} {TAINT_KEY}:{TAINT_EFFECT}-",
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
            sentence="may be evicted next, and has no eviction strategy: would be restarted, "
            "not live-migrated",
            fix=f"kubectl -n {candidate.namespace} patch vm {guest.name} --type merge -p "
            '\'{"spec":{"template":{"spec":{"evictionStrategy":"LiveMigrateIfPossible"}}}}\'',
            weight=candidate.usage_bytes,
        )


def _marks(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    """VMs that KubeVirt will move sooner or later, although nobody drains the node and no relief wants it."""
    if node.cordoned or node.pressure != "None" or node.relief.stage in _UNDER_WAY:
        return
    for machine in cluster.marked:
        if machine.node == node.name:
            yield ClusterFinding(
                word="EvacuationLeft",
                severity="Note",
                noun="virtual machine",
                subject=f"{machine.namespace}/{machine.name}",
                sentence="KubeVirt tries to live-migrate it again and again, "
                "and the node is calm and not cordoned",
                fix=f"virtctl evacuate-cancel vmi {machine.name} --namespace {machine.namespace}",
            )


def _problems(node: NodeView, cluster: Clusterwide) -> Iterator[ClusterFinding]:
    of_all = cluster.unusable.word if cluster.unusable else ""
    for problem in node.status.problems if node.status else ():
        if problem.word in _JUDGED_HERE or problem.word == of_all:
            continue
        yield ClusterFinding(
            word=problem.word,
            severity="Warning",
            noun="node",
            subject=node.name,
            sentence=f"the agent reports {problem.word}",
            detail=problem.sentence,
            fix=problem.fix,
        )


_WORST_FIRST: Final[tuple[Callable[[NodeView, Clusterwide], Iterator[ClusterFinding]], ...]] = (
    _relief,
    _pressure,
    _agent,
    _swap,
    _promise,
    _taint,
    _restarts,
    _marks,
    _problems,
)
