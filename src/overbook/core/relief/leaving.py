"""Whether a candidate leaves already: others evict pods as well, and one that leaves is enough.

A descheduler, a drain or a user may have requested the eviction of a candidate. Then no other one is evicted
for the same pressure: a live migration of others is followed like one's own, but never cancelled. One that
KubeVirt only repeats after failures is not waited for.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from overbook.core.api.overcommit_node import ReliefCandidate, ReliefRecord, ReliefRequest
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.budgets import Budgets
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import ClusterCase, Look, NodeCase, Step, Write
from overbook.core.relief.record import joining, waiting
from overbook.core.timestamp import from_timestamp

LEAVING_MARGIN_SECONDS: Final = 30.0
"""A deleted pod that still exists this long after its grace period is stuck; another one is evicted."""
SOON_SECONDS: Final = 2.0
MOST_LOOKED_AT: Final = 8
"""So many candidates are fetched before the first one is evicted, and only those that hold enough memory."""
ENOUGH: Final = 0.5
"""The share of the first candidate's memory from which on a pod that leaves is relief enough."""
LOOKED_SECONDS: Final = 30.0
"""How long it stays known that a candidate does not leave."""


def leaves_already(
    case: NodeCase,
    request: ReliefRequest,
    base: ReliefRecord,
    candidates: Iterable[ReliefCandidate],
    cluster: ClusterCase,
    budgets: Budgets,
    now: float,
) -> Step | None:
    """Return the step for a candidate that leaves already; ``None``: none does.

    Args:
        case: the node.
        request: its request.
        base: its record, for this request.
        candidates: the candidates that may be evicted, in their order.
        cluster: what applies to all nodes.
        budgets: each fetch takes a place in them for this plan.
        now: seconds since the epoch.
    """
    refused = {refusal.uid for refusal in base.refusals}
    ordered = list(islice(candidates, MOST_LOOKED_AT))
    enough = ENOUGH * ordered[0].usage_bytes if ordered else 0.0
    for candidate in ordered:
        if candidate.uid in refused or candidate.usage_bytes < enough:
            continue
        pod = case.pods.get(candidate.uid)
        if pod is None or not 0 <= now - pod.seen_at < LOOKED_SECONDS:
            budgets.take(case.name, migrates=False)  # for this plan: only so many pods are fetched
            return Look(candidate.uid, candidate.label)
        if step := _step(case, request, base, candidate, pod, cluster, now):
            return step
    return None


def _step(
    case: NodeCase,
    request: ReliefRequest,
    base: ReliefRecord,
    candidate: ReliefCandidate,
    pod: CandidatePod,
    cluster: ClusterCase,
    now: float,
) -> Step | None:
    if pod.obstacle or pod.presence == "Gone":
        return None
    if pod.presence == "Leaving":
        if now > (pod.leaves_at or 0.0) + LEAVING_MARGIN_SECONDS:
            return None
        message = f"{candidate.label} is ending already; waiting for its effect"
        return _look_again(base, request, message, pod, candidate, now)
    if pod.evacuating:
        if gave_up(base, candidate) or is_retried(pod, case.name, cluster.migrations):
            return None
        return Write(joining(base, request, candidate, now, cluster.spec.follow_seconds))
    if pod.in_progress and not pod.instance:
        decided = from_timestamp(request.decided_at) or now
        if now < decided + cluster.spec.stall_seconds:
            message = f"{candidate.label} is being evicted already, by others (eviction-in-progress)"
            return _look_again(base, request, message, pod, candidate, now)
    return None


def _look_again(
    base: ReliefRecord,
    request: ReliefRequest,
    message: str,
    pod: CandidatePod,
    candidate: ReliefCandidate,
    now: float,
) -> Step:
    """Return the step that waits a little, and then fetches the pod again."""
    if now - pod.seen_at >= SOON_SECONDS:
        return Look(candidate.uid, candidate.label)
    return Write(waiting(base, request, message, now, now + SOON_SECONDS))


def gave_up(record: ReliefRecord, candidate: ReliefCandidate) -> bool:
    """Whether a live migration of the candidate was given up here, so that the evacuation is one's own."""
    return any(
        outcome.victim == candidate.label and outcome.outcome in ("GivenUp", "Failed")
        for outcome in record.outcomes
    )


def is_retried(pod: CandidatePod, node: str, migrations: Iterable[Migration]) -> bool:
    """Whether KubeVirt only repeats the evacuation of a VM that failed before, after a pause."""
    of_it = [known for known in migrations if known.instance == pod.instance and known.source_node == node]
    return any(known.phase == "Failed" for known in of_it) and not any(known.takes_a_place for known in of_it)
