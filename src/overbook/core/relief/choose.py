"""The next step for a node that no pod is leaving: whether a pod is evicted now, and which one.

The reasons not to evict are read in this order: there is no request; a pod has left for it already; the
record has a pause; the cluster or the agent only observes; all candidates were refused; the budget is used
up. Then the candidates are tried one by one. Each is fetched first, and a refusal is written before the next
one is tried. A refusal of a pod that is beyond its covered memory sends no pod away that is within its own
before the patience with such pods is over: any owner can make a disruption budget.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit_node import Refusal, ReliefCandidate, ReliefRecord, ReliefRequest
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.relief.budgets import Budgets
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import ClusterCase, Look, NodeCase, Rest, Step, Write
from overbook.core.relief.leaving import LEAVING_MARGIN_SECONDS, SOON_SECONDS, gave_up, leaves_already
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
WEBHOOK_FAILED: Final = "WebhookFailed"
WEBHOOK_PAUSE_SECONDS: Final = 30.0
"""How long no VM is evicted after the API server could not call a webhook for one: it costs one VM's try."""
WITHIN_PATIENCE_SECONDS: Final = ReclaimPolicy().promise_patience_seconds
"""How long pods within their covered memory are spared after one beyond its own was refused."""
NOT_REFUSED: Final = frozenset({"Excluded", "StillEnding", WEBHOOK_FAILED})
"""Reasons that are no refusal: the pod must not be evicted, ends already, or nobody answered for it. The last
resort never deletes it."""


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
        return _wait(case, request, _held_back(record, request, held_back, cluster), now)
    if record.stage == "Refused" and record.request_id == request.id and not pausing:
        if cluster.spec.last_resort != "Delete" or not case.critical:
            return Write(another_round(record))
        return _last_resort(case, request, cluster, budgets, now)
    if budgets.full():
        return _wait(case, request, budgets.full(), now)
    base = msgspec.structs.replace(for_request(record, request), request_id=request.id)
    late = _migrated_late(case, base, cluster, now)
    return late or _first_that_may_leave(case, request, base, cluster, budgets, now)


def _held_back(record: ReliefRecord, request: ReliefRequest, why: str, cluster: ClusterCase) -> str:
    """Return why no relief may begin, and which pod would have been evicted when that was found.

    The agents rank again every few seconds: the record is not written again for each other first candidate.
    """
    order = in_order(request.candidates, request.rank, cluster.spec.follow_seconds)
    texts = [f"{why}; {candidate.label} would be evicted" for candidate in order] or [why]
    return record.message if record.message in texts else texts[0]


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
    candidates = _in_turn(case, request, cluster)
    if step := leaves_already(case, request, base, candidates, cluster, budgets, now):
        return step
    failed = [each for each in base.refusals if _webhook_is_down(each, now)]
    done = {refusal.uid for refusal in base.refusals if refusal.reason != WEBHOOK_FAILED or refusal in failed}
    down = {refusal.uid for refusal in failed}
    no_place = ""
    for candidate in candidates:
        if candidate.uid in done:
            continue
        if candidate.virtual_machine and any(each.uid in down for each in candidates if each.virtual_machine):
            no_place = "KubeVirt's webhook for evictions does not answer"  # pods that are no VMs are tried
            continue
        instead = _in_the_place_of(candidate, request, base)
        known = case.pods.get(candidate.uid)
        agrees = known is not None and known.agrees
        if instead is not None and not agrees:
            patient = now < (from_timestamp(instead.at) or now) + WITHIN_PATIENCE_SECONDS
            if patient:
                return _wait(case, request, f"{_does_not_leave(instead)}; the others are within theirs", now)
        tried = _try(case, request, base, candidate, instead, cluster, budgets, now)
        if not isinstance(tried, str):
            return tried
        if not any(refusal.reason == "MigrationStalled" for refusal in base.refusals):
            return _wait(case, request, tried, now)
        no_place = tried  # the stalled migration holds the place; pods that need none are still tried
    return _wait(case, request, no_place, now) if no_place else _none_left(base, request, cluster, now)


def _in_turn(case: NodeCase, request: ReliefRequest, cluster: ClusterCase) -> list[ReliefCandidate]:
    """Return the candidates that may be evicted, those last whose owners wish that, as far as it is known."""
    ordered = in_order(request.candidates, request.rank, cluster.spec.follow_seconds)
    return sorted(ordered, key=lambda each: each.uid in case.pods and case.pods[each.uid].goes_last)


def _webhook_is_down(refusal: Refusal, now: float) -> bool:
    """Whether a webhook failed so lately that it is not tried again yet."""
    at = from_timestamp(refusal.at) or now
    return refusal.reason == WEBHOOK_FAILED and now < at + WEBHOOK_PAUSE_SECONDS


def _try(
    case: NodeCase,
    request: ReliefRequest,
    base: ReliefRecord,
    candidate: ReliefCandidate,
    instead: Refusal | None,
    cluster: ClusterCase,
    budgets: Budgets,
    now: float,
) -> Step | str:
    """Return the next step for a candidate whose turn it is, or why a live migration has to wait."""
    pod = _fresh(case.pods, candidate, now)
    if pod is None:
        budgets.take(case.name, migrates=False)  # for this plan: only so many pods are fetched
        return Look(candidate.uid, candidate.label)
    if pod.presence == "Gone":
        if pod.ended_at is not None and pod.ended_at < (from_timestamp(request.decided_at) or 0.0):
            message = "it had ended before the request, and holds nothing"
            return Write(refused(base, candidate.uid, candidate.label, "Excluded", message, now))
        gone = msgspec.structs.replace(base, victim=candidate.label)
        message = f"{candidate.label} had left by itself"
        return Write(over(gone, "Gone", message, now, cluster.spec.cool_down_seconds))
    why = _obstacle(case, pod, cluster, now)
    if why is None and pod.evacuating and not gave_up(base, candidate):
        why = "MigrationFailing", "others requested its eviction, and KubeVirt repeats a migration that fails"
    if why:
        return Write(refused(base, candidate.uid, candidate.label, *why, now))
    if pod.presence == "Leaving":
        message = f"{candidate.label} is ending already; waiting for its effect"
        return Write(waiting(base, request, message, now, now + SOON_SECONDS))
    if full := _no_migration(case, pod, cluster, budgets):
        return full
    budgets.take(case.name, migrates=pod.how == "Migrated")
    because = _does_not_leave(instead)
    return Write(asking(base, request, candidate, pod.how, seconds_to_move(candidate), now, because))


def _no_migration(case: NodeCase, pod: CandidatePod, cluster: ClusterCase, budgets: Budgets) -> str:
    """Return why a VM cannot be live-migrated now; empty: it can, or the pod is none."""
    if pod.is_vm and not cluster.kubevirt_known:
        return "it is not known yet whether KubeVirt can migrate a VM"
    return budgets.migrations_full(case.name) if pod.how == "Migrated" else ""


def _in_the_place_of(
    candidate: ReliefCandidate, request: ReliefRequest, base: ReliefRecord
) -> Refusal | None:
    """Return the first refusal of a pod beyond its covered memory, if the candidate is within its own."""
    if request.rank != "culprit" or candidate.beyond_bytes > 0:
        return None
    beyond = {candidate.uid for candidate in request.candidates if candidate.beyond_bytes > 0}
    refusals = [each for each in base.refusals if each.uid in beyond and each.reason != "Excluded"]
    return min(refusals, key=lambda refusal: refusal.at, default=None)


def _does_not_leave(refusal: Refusal | None) -> str:
    if refusal is None:
        return ""
    return f"{refusal.label} is beyond its covered memory and does not leave ({refusal.reason})"


def _obstacle(case: NodeCase, pod: CandidatePod, cluster: ClusterCase, now: float) -> tuple[str, str] | None:
    """Return reason and message if a pod that still exists must not be evicted."""
    if pod.obstacle:
        return "Excluded", pod.obstacle
    if pod.presence == "Leaving" and now > (pod.leaves_at or 0.0) + LEAVING_MARGIN_SECONDS:
        return "StillEnding", "it was deleted and has not ended within its grace period"
    if pod.how == "Migrated" and all(name == case.name for name in cluster.destinations):
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


def _migrated_late(case: NodeCase, base: ReliefRecord, cluster: ClusterCase, now: float) -> Step | None:
    """Return the end of the relief, if a migration succeeded after it had been given up for this request."""
    for refusal in base.refusals:
        if refusal.reason not in ("MigrationStalled", "MigrationGivenUp", "MigrationFailed"):
            continue
        given_up_at = int(from_timestamp(refusal.at) or 0.0)  # whole seconds, as the API server counts them
        for known in cluster.migrations:
            late = known.phase == "Succeeded" and (known.progressed_at or 0.0) >= given_up_at
            if late and known.source_pod == refusal.label and known.source_node in ("", case.name):
                left = msgspec.structs.replace(base, victim=refusal.label)
                message = f"{refusal.label} was migrated after all ({known.metadata.name})"
                return Write(over(left, "Migrated", message, now, cluster.spec.cool_down_seconds))
    return None
