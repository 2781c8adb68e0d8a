"""Nobody is on the way: whether somebody is asked now, and who."""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit_node import ReliefCandidate, ReliefRecord, ReliefRequest
from overbook.core.relief.budgets import Budgets
from overbook.core.relief.case import ClusterCase, Look, NodeCase, Rest, Step, Write
from overbook.core.relief.guest import Guest
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
"""How old may be what is known of a pod when it is asked to go."""
LEAVING_MARGIN_SECONDS: Final = 30.0
"""A deleted pod that is there so long after its grace period is stuck; another one is asked."""
SOON_SECONDS: Final = 2.0
NOT_REFUSED: Final = frozenset({"Excluded", "StillEnding"})
"""Reasons in a refusal that are not the candidate's refusing: the last resort never touches these."""


def choose(case: NodeCase, cluster: ClusterCase, places: Budgets, now: float) -> Step:
    """The next step for a node of which nobody is on the way."""
    record, request = case.record, case.request
    if request is None or case.stale:
        return Rest() if record.stage is None else Write(idle(record))
    if outcome_of(record, request.id) is not None:
        # A guest has left for this request. The agent decides anew if that did not help.
        return Rest() if record.stage is None else Write(idle(record, record.message))
    again = from_timestamp(record.until)
    pausing = again is not None and now < again
    if pausing and _holds(record, request):
        return Rest(again)
    held_back = cluster.held_back or ("the node's agent only observes" if case.observes else "")
    if held_back:
        first = next(in_order(request.candidates, request.rank, cluster.spec.follow_seconds), None)
        would = f"; {first.label} would be asked to go" if first else ""
        return _wait(case, request, held_back + would, now)
    if record.stage == "Refused" and record.request_id == request.id and not pausing:
        if cluster.spec.last_resort != "Delete" or not case.critical:
            return Write(another_round(record))
        return _last_resort(case, request, cluster, places, now)
    if places.full():
        return _wait(case, request, places.full(), now)
    base = msgspec.structs.replace(for_request(record, request), request_id=request.id)
    return _first_that_may_go(case, request, base, cluster, places, now)


def _holds(record: ReliefRecord, request: ReliefRequest) -> bool:
    """Whether a pause that is written down is this request's to keep: a server's word always is."""
    if record.stage != "Refused" or record.request_id != request.id:
        return record.stage == "Waiting"
    known = {refusal.uid for refusal in record.refusals}
    return all(candidate.uid in known for candidate in request.candidates if not candidate.excluded)


def _first_that_may_go(
    case: NodeCase,
    request: ReliefRequest,
    base: ReliefRecord,
    cluster: ClusterCase,
    places: Budgets,
    now: float,
) -> Step:
    done = {refusal.uid for refusal in base.refusals}
    late = _migrated_late(case, base, cluster)
    if late is not None:
        left = msgspec.structs.replace(base, victim=late[0])
        said = f"{late[0]} was migrated after all ({late[1]})"
        return Write(over(left, "Migrated", said, now, cluster.spec.cool_down_seconds))
    behind = ""
    for candidate in in_order(request.candidates, request.rank, cluster.spec.follow_seconds):
        if candidate.uid in done:
            continue
        guest = _fresh(case.guests, candidate, now)
        if guest is None:
            places.take(case.name, migrates=False)  # for this plan: only so many are looked at
            return Look(candidate.uid, candidate.label)
        if guest.presence == "Gone":
            gone = msgspec.structs.replace(base, victim=candidate.label)
            said = f"{candidate.label} had gone by itself"
            return Write(over(gone, "Gone", said, now, cluster.spec.cool_down_seconds))
        why = _obstacle(case, guest, cluster, now)
        if why:
            return Write(refused(base, candidate.uid, candidate.label, *why, now))
        if guest.presence == "Leaving":
            said = f"{candidate.label} is ending already; its effect is awaited"
            return Write(waiting(base, request, said, now, now + SOON_SECONDS))
        if guest.how == "Migrated" and (full := places.migrations_full(case.name)):
            if any(refusal.reason == "MigrationStalled" for refusal in base.refusals):
                behind = full  # the stalled one takes the place; who can go without a migration goes
                continue
            return _wait(case, request, full, now)
        places.take(case.name, migrates=guest.how == "Migrated")
        return Write(asking(base, request, candidate, guest.how, seconds_to_move(candidate), now))
    return _wait(case, request, behind, now) if behind else _nobody_left(base, request, cluster, now)


def _obstacle(case: NodeCase, guest: Guest, cluster: ClusterCase, now: float) -> tuple[str, str] | None:
    """Reason and message of why a pod that is there is not asked."""
    if guest.obstacle:
        return "Excluded", guest.obstacle
    if guest.presence == "Leaving" and now > (guest.leaves_at or 0.0) + LEAVING_MARGIN_SECONDS:
        return "StillEnding", "it was deleted long ago and does not end"
    if guest.how == "Migrated" and not cluster.destinations - {case.name}:
        return "NoDestination", "no other node is ready, schedulable and without memory pressure"
    return None


def _nobody_left(base: ReliefRecord, request: ReliefRequest, cluster: ClusterCase, now: float) -> Step:
    count = len(base.refusals)
    if count and not all(refusal.reason in NOT_REFUSED for refusal in base.refusals):
        said = f"all {count} candidates refused" if count > 1 else "the only candidate refused"
    else:
        said = "no candidate may be asked to go"
    pause = max(SOON_SECONDS, float(cluster.spec.cool_down_seconds))
    written = msgspec.structs.replace(base, request_id=request.id)
    return Write(all_refused(written, said, now, now + pause))


def _last_resort(
    case: NodeCase, request: ReliefRequest, cluster: ClusterCase, places: Budgets, now: float
) -> Step:
    """Everybody refused, and the node is still critical: the first that refused is deleted."""
    refusals = {refusal.uid: refusal.reason for refusal in case.record.refusals}
    if places.full():
        return Rest()  # the record says who refused; that is worth more than that it also waits
    for candidate in in_order(request.candidates, request.rank, cluster.spec.follow_seconds):
        if refusals.get(candidate.uid, "Excluded") in NOT_REFUSED:
            continue
        guest = _fresh(case.guests, candidate, now)
        if guest is None:
            places.take(case.name, migrates=False)
            return Look(candidate.uid, candidate.label)
        if guest.presence == "Here" and not guest.obstacle:
            places.take(case.name, migrates=False)
            return Write(asking(case.record, request, candidate, "Deleted", 0.0, now))
    return Write(another_round(case.record))


def _wait(case: NodeCase, request: ReliefRequest, message: str, now: float) -> Step:
    """Write the waiting down once, however long it lasts."""
    record = waiting(case.record, request, message, now)
    return Rest() if record == case.record else Write(record)


def _fresh(guests: Mapping[str, Guest], candidate: ReliefCandidate, now: float) -> Guest | None:
    guest = guests.get(candidate.uid)
    return guest if guest is not None and 0 <= now - guest.seen_at < FRESH_SECONDS else None


def _migrated_late(case: NodeCase, base: ReliefRecord, cluster: ClusterCase) -> tuple[str, str] | None:
    """The guest that left after its migration was given up for this request, and the migration's name."""
    for refusal in base.refusals:
        if refusal.reason not in ("MigrationStalled", "MigrationGivenUp"):
            continue
        given_up_at = int(from_timestamp(refusal.at) or 0.0)  # whole seconds, as the API server counts them
        for known in cluster.migrations:
            late = known.phase == "Succeeded" and (known.progressed_at or 0.0) >= given_up_at
            if late and known.source_pod == refusal.label and known.source_node in ("", case.name):
                return refusal.label, known.metadata.name
    return None
