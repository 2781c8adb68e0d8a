"""The next step for a node that no pod is leaving: whether a pod is evicted now, and which one.

The reasons not to evict are read in this order: there is no request; a pod has left for it already; the
record has a pause; the cluster or the agent only observes; all candidates were refused; the budget is used
up. Then the candidates are tried one by one. Each is fetched first, and a refusal is written before the next
one is tried.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit_node import ReliefCandidate, ReliefRecord, ReliefRequest
from overbook.core.relief.budgets import Budgets
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import ClusterCase, Look, NodeCase, Rest, Step, Write
from overbook.core.relief.order import in_order, seconds_to_move
from overbook.core.relief.record import (
    all_refused,
    another_round,
    asking,
    for_request,
    idle,
    outcome_of,
    over,
    refused,
    waiting,
)
from overbook.core.timestamp import from_timestamp

FRESH_SECONDS: Final = 5.0
"""A pod that was fetched longer ago than this is fetched again before it is evicted."""
LEAVING_MARGIN_SECONDS: Final = 30.0
"""A deleted pod that still exists this long after its grace period is stuck; another one is evicted."""
SOON_SECONDS: Final = 2.0
NOT_REFUSED: Final = frozenset({"Excluded", "StillEnding"})
"""Reasons that say of a pod that it must not be evicted or ends already: the last resort never deletes it."""


def choose(case: NodeCase, cluster: ClusterCase, budgets: Budgets, now: float) -> Step:
    """Return the next step for a node that no pod is leaving."""
    record, request = case.record, case.request
    if request is None or case.stale:
        return Rest() if record.stage is None else Write(idle(record))
    if outcome_of(record, request.id) is not None:
        # A pod has left for this request. If that did not help, the agent makes another request.
        return Rest() if record.stage is None else Write(idle(record, record.message))
    again = from_timestamp(record.until)
    pausing = again is not None and now < again
    if pausing and _pause_applies(record, request):
        return Rest(again)
    held_back = cluster.held_back or ("the node's agent only observes" if case.observes else "")
    if held_back:
        first = next(in_order(request.candidates, request.rank, cluster.spec.follow_seconds), None)
        would = f"; {first.label} would be evicted" if first else ""
        return _wait(case, request, held_back + would, now)
    if record.stage == "Refused" and record.request_id == request.id and not pausing:
        if cluster.spec.last_resort != "Delete" or not case.critical:
            return Write(another_round(record))
        return _last_resort(case, request, cluster, budgets, now)
    if budgets.full():
        return _wait(case, request, budgets.full(), now)
    base = msgspec.structs.replace(for_request(record, request), request_id=request.id)
    return _first_that_may_leave(case, request, base, cluster, budgets, now)


def _pause_applies(record: ReliefRecord, request: ReliefRequest) -> bool:
    """Whether the pause in the record applies to this request; one that the API server named always does."""
    if record.stage != "Refused" or record.request_id != request.id:
        return record.stage == "Waiting"
    known = {refusal.uid for refusal in record.refusals}
    return all(candidate.uid in known for candidate in request.candidates if not candidate.excluded)


def _first_that_may_leave(
    case: NodeCase,
    request: ReliefRequest,
    base: ReliefRecord,
    cluster: ClusterCase,
    budgets: Budgets,
    now: float,
) -> Step:
    done = {refusal.uid for refusal in base.refusals}
    late = _migrated_late(case, base, cluster)
    if late is not None:
        left = msgspec.structs.replace(base, victim=late[0])
        message = f"{late[0]} was migrated after all ({late[1]})"
        return Write(over(left, "Migrated", message, now, cluster.spec.cool_down_seconds))
    no_place = ""
    for candidate in in_order(request.candidates, request.rank, cluster.spec.follow_seconds):
        if candidate.uid in done:
            continue
        pod = _fresh(case.pods, candidate, now)
        if pod is None:
            budgets.take(case.name, migrates=False)  # for this plan: only so many pods are fetched
            return Look(candidate.uid, candidate.label)
        if pod.presence == "Gone":
            gone = msgspec.structs.replace(base, victim=candidate.label)
            message = f"{candidate.label} had left by itself"
            return Write(over(gone, "Gone", message, now, cluster.spec.cool_down_seconds))
        why = _obstacle(case, pod, cluster, now)
        if why:
            return Write(refused(base, candidate.uid, candidate.label, *why, now))
        if pod.presence == "Leaving":
            message = f"{candidate.label} is ending already; waiting for its effect"
            return Write(waiting(base, request, message, now, now + SOON_SECONDS))
        if pod.how == "Migrated" and (full := budgets.migrations_full(case.name)):
            if any(refusal.reason == "MigrationStalled" for refusal in base.refusals):
                no_place = full  # the stalled migration holds the place; pods that need none are still tried
                continue
            return _wait(case, request, full, now)
        budgets.take(case.name, migrates=pod.how == "Migrated")
        return Write(asking(base, request, candidate, pod.how, seconds_to_move(candidate), now))
    return _wait(case, request, no_place, now) if no_place else _none_left(base, request, cluster, now)


def _obstacle(case: NodeCase, pod: CandidatePod, cluster: ClusterCase, now: float) -> tuple[str, str] | None:
    """Return reason and message if a pod that still exists must not be evicted."""
    if pod.obstacle:
        return "Excluded", pod.obstacle
    if pod.presence == "Leaving" and now > (pod.leaves_at or 0.0) + LEAVING_MARGIN_SECONDS:
        return "StillEnding", "it was deleted and has not ended within its grace period"
    if pod.how == "Migrated" and not cluster.destinations - {case.name}:
        return "NoDestination", "no other node is ready, schedulable and without memory pressure"
    return None


def _none_left(base: ReliefRecord, request: ReliefRequest, cluster: ClusterCase, now: float) -> Step:
    count = len(base.refusals)
    if count and not all(refusal.reason in NOT_REFUSED for refusal in base.refusals):
        message = f"all {count} candidates were refused" if count > 1 else "the only candidate was refused"
    else:
        message = "no candidate may be evicted"
    pause = max(SOON_SECONDS, float(cluster.spec.cool_down_seconds))
    written = msgspec.structs.replace(base, request_id=request.id)
    return Write(all_refused(written, message, now, now + pause))


def _last_resort(
    case: NodeCase, request: ReliefRequest, cluster: ClusterCase, budgets: Budgets, now: float
) -> Step:
    """All refused and the node is still critical: return the step that deletes the first one that refused."""
    refusals = {refusal.uid: refusal.reason for refusal in case.record.refusals}
    if budgets.full():
        return Rest()  # the record keeps the refusals, which are worth more than the reason for waiting
    for candidate in in_order(request.candidates, request.rank, cluster.spec.follow_seconds):
        if refusals.get(candidate.uid, "Excluded") in NOT_REFUSED:
            continue
        pod = _fresh(case.pods, candidate, now)
        if pod is None:
            budgets.take(case.name, migrates=False)
            return Look(candidate.uid, candidate.label)
        if pod.presence == "Here" and not pod.obstacle:
            budgets.take(case.name, migrates=False)
            return Write(asking(case.record, request, candidate, "Deleted", 0.0, now))
    return Write(another_round(case.record))


def _wait(case: NodeCase, request: ReliefRequest, message: str, now: float) -> Step:
    """Return the step that writes the waiting into the record, once per reason."""
    record = waiting(case.record, request, message, now)
    return Rest() if record == case.record else Write(record)


def _fresh(pods: Mapping[str, CandidatePod], candidate: ReliefCandidate, now: float) -> CandidatePod | None:
    pod = pods.get(candidate.uid)
    return pod if pod is not None and 0 <= now - pod.seen_at < FRESH_SECONDS else None


def _migrated_late(case: NodeCase, base: ReliefRecord, cluster: ClusterCase) -> tuple[str, str] | None:
    """Return the pod and the migration that succeeded after it had been given up for this request."""
    for refusal in base.refusals:
        if refusal.reason not in ("MigrationStalled", "MigrationGivenUp"):
            continue
        given_up_at = int(from_timestamp(refusal.at) or 0.0)  # whole seconds, as the API server counts them
        for known in cluster.migrations:
            late = known.phase == "Succeeded" and (known.progressed_at or 0.0) >= given_up_at
            if late and known.source_pod == refusal.label and known.source_node in ("", case.name):
                return refusal.label, known.metadata.name
    return None
