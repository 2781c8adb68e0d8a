"""The changes of a relief record. Each function returns the record that is to be written next."""

from typing import Final

import msgspec

from overbook.core.api.overcommit_node import (
    MOST_OUTCOMES,
    MOST_REFUSALS,
    How,
    Outcome,
    Refusal,
    ReliefCandidate,
    ReliefOutcome,
    ReliefRecord,
    ReliefRequest,
    Stage,
)
from overbook.core.text import shortened
from overbook.core.timestamp import from_timestamp, to_timestamp

IN_FLIGHT: Final = frozenset({"Asking", "Migrating", "Ending"})
"""Stages in which a pod is leaving: they take a place in the budgets."""
LEFT: Final = frozenset({"Migrated", "Restarted", "Evicted", "Deleted", "Gone"})
"""Outcomes after which the pod is not on the node any more."""

_LONGEST_MESSAGE: Final = 300
_replace = msgspec.structs.replace


def for_request(record: ReliefRecord, request: ReliefRequest) -> ReliefRecord:
    """Drop the refusals of other requests."""
    return record if record.request_id == request.id else _replace(record, refusals=())


def in_flight(record: ReliefRecord | None) -> bool:
    """Whether a pod of the node may be leaving, by the controller's record."""
    return record is not None and record.stage in IN_FLIGHT


def outcome_of(record: ReliefRecord | None, request_id: str) -> ReliefOutcome | None:
    """Return the outcome of a request; ``None``: no pod has left for it yet."""
    for outcome in record.outcomes if record is not None else ():
        if outcome.request_id == request_id and outcome.outcome in LEFT:
            return outcome
    return None


def idle(record: ReliefRecord, message: str = "") -> ReliefRecord:
    """No pod is leaving now; outcomes and refusals stay in the record."""
    return _replace(
        record,
        stage=None,
        victim_uid="",
        victim="",
        how=None,
        migration="",
        joined=False,
        reason="",
        started_at=None,
        stage_since=None,
        until=None,
        expected_seconds=0,
        message=message,
    )


def waiting(
    record: ReliefRecord, request: ReliefRequest, message: str, now: float, until: float | None = None
) -> ReliefRecord:
    """No pod can be evicted now. ``stage_since`` stays that of the first waiting for the same reason."""
    before = for_request(record, request)
    if record.stage == "Waiting" and record.message == message and record.request_id == request.id:
        since = record.stage_since
    else:
        since = to_timestamp(now)
    return _replace(
        idle(before, message),
        request_id=request.id,
        stage="Waiting",
        stage_since=since,
        until=_moment(until),
    )


def asking(
    record: ReliefRecord,
    request: ReliefRequest,
    candidate: ReliefCandidate,
    how: How,
    expected_seconds: float,
    now: float,
    because: str = "",
) -> ReliefRecord:
    """A pod is about to be evicted; ``because``: why this one, although others are more to blame."""
    why = f"{request.rule or 'pressure'}: {candidate.sentence or candidate.label}"
    return _replace(
        idle(for_request(record, request)),
        request_id=request.id,
        stage="Asking",
        victim_uid=candidate.uid,
        victim=candidate.label,
        how=how,
        started_at=to_timestamp(now),
        stage_since=to_timestamp(now),
        expected_seconds=round(expected_seconds) if how == "Migrated" else 0,
        message=shortened(f"{why}; {because}" if because else why, _LONGEST_MESSAGE),
    )


def asking_again(record: ReliefRecord, message: str, until: float) -> ReliefRecord:
    """The same pod is to be evicted again later, and no other one: the API server's answer is not known."""
    return _replace(record, message=message, until=to_timestamp(until))


def on_its_way(
    record: ReliefRecord, stage: Stage, how: How, message: str, now: float, follow_seconds: float
) -> ReliefRecord:
    """The victim is leaving, by live migration or by ending."""
    started = from_timestamp(record.stage_since) or now
    return _replace(
        record,
        stage=stage,
        how=how,
        stage_since=to_timestamp(now),
        until=to_timestamp(started + follow_seconds),
        message=message,
    )


def joining(
    record: ReliefRecord,
    request: ReliefRequest,
    candidate: ReliefCandidate,
    now: float,
    follow_seconds: float,
) -> ReliefRecord:
    """A candidate leaves already because others requested its eviction: the relief waits for that."""
    begun = _replace(asking(record, request, candidate, "Migrated", 0.0, now), joined=True)
    message = f"{candidate.label} leaves already: its eviction was requested by others"
    return on_its_way(begun, "Migrating", "Migrated", message, now, follow_seconds)


def cancelling(record: ReliefRecord, reason: str, message: str, now: float, until: float) -> ReliefRecord:
    """The live migration is given up; KubeVirt's evacuation is cancelled next.

    The stage stays ``Migrating``: agents of an older version know no other word.
    """
    return _replace(
        record,
        reason=reason,
        stage_since=to_timestamp(now),
        until=to_timestamp(until),
        message=shortened(message, _LONGEST_MESSAGE),
    )


def ended_unfinished(
    record: ReliefRecord, outcome: Outcome, reason: str, message: str, now: float
) -> ReliefRecord:
    """The relief is over and the pod has not left: other candidates may be tried."""
    ended = over(record, outcome, message, now, 0.0)
    return refused(ended, record.victim_uid, record.victim, reason, message, now)


def following(record: ReliefRecord, migration: str) -> ReliefRecord:
    """The live migration's object is known by name."""
    return _replace(record, migration=migration)


def refused(
    record: ReliefRecord, uid: str, label: str, reason: str, message: str, now: float
) -> ReliefRecord:
    """A candidate could not leave; no pod is leaving now."""
    entry = Refusal(uid=uid, label=label, reason=reason, message=message, at=to_timestamp(now))
    others = tuple(known for known in record.refusals if known.uid != uid)
    return _replace(
        idle(record, f"{label} does not leave: {reason}"), refusals=(*others, entry)[-MOST_REFUSALS:]
    )


def all_refused(record: ReliefRecord, message: str, now: float, until: float) -> ReliefRecord:
    """No candidate is left to try."""
    return _replace(
        idle(record, message), stage="Refused", stage_since=to_timestamp(now), until=to_timestamp(until)
    )


def another_round(record: ReliefRecord) -> ReliefRecord:
    """After a pause all candidates may be tried once more."""
    return _replace(idle(record, "trying all candidates once more"), refusals=())


def over(
    record: ReliefRecord, outcome: Outcome, message: str, now: float, cool_down_seconds: float
) -> ReliefRecord:
    """The relief is over. If the pod has left, its effect is given time; otherwise no pod is leaving now."""
    entry = ReliefOutcome(
        request_id=record.request_id,
        victim=record.victim,
        outcome=outcome,
        message=message,
        started_at=record.started_at or to_timestamp(now),
        finished_at=to_timestamp(now),
    )
    ended = _replace(idle(record, message), outcomes=(entry, *record.outcomes)[:MOST_OUTCOMES])
    if outcome not in LEFT:
        return ended
    return _replace(
        ended,
        stage="CoolingDown",
        victim=record.victim,
        how=record.how,
        stage_since=to_timestamp(now),
        until=to_timestamp(now + cool_down_seconds),
    )


def dated_now(record: ReliefRecord, now: float) -> ReliefRecord:
    """Correct a record from a clock that was ahead: its moments move to now, its time spans stay."""
    since = from_timestamp(record.stage_since)
    until = from_timestamp(record.until)
    left = None if since is None or until is None else max(0.0, until - since)
    return _replace(
        record,
        started_at=to_timestamp(now) if record.started_at else None,
        stage_since=to_timestamp(now),
        until=_moment(None if left is None else now + left),
    )


def counted_from(record: ReliefRecord, earliest: float) -> ReliefRecord:
    """Correct a record from a clock that may have been behind: its stage began at ``earliest`` or later.

    The end of the stage moves with its beginning. The time of the eviction stays, because migrations are
    compared with it. A node that waits has waited for as long as its record says.
    """
    since, until = from_timestamp(record.stage_since), from_timestamp(record.until)
    if record.stage in (None, "Waiting") or since is None or since >= earliest:
        return record
    return _replace(
        record,
        stage_since=to_timestamp(earliest),
        until=None if until is None else to_timestamp(until + earliest - since),
    )


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else to_timestamp(seconds)
