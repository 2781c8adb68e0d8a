"""The next step for a pod that is leaving: evicted, migrating or ending, until it has left or is given up.

``Asking``: send the eviction and follow the API server's answer; if the eviction must not be sent again, look
at the pod. ``Migrating``: :mod:`overbook.core.relief.migrating`, and with a reason why that is given up
:mod:`overbook.core.relief.cancel`. ``Ending``: look at the pod until it is gone.
Every relief that ends is written into the record's outcomes; one that was given up also into its refusals.
"""

from typing import Final

from overbook.core.api.overcommit_node import How, Outcome, ReliefRecord
from overbook.core.relief.answer import LATER_SECONDS, EvictionAnswer
from overbook.core.relief.cancel import cancel
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import ClusterCase, Delete, Evict, Look, NodeCase, Rest, Step, Write
from overbook.core.relief.migrating import LOOK_SECONDS, migrating, migrations_of, seen_lately
from overbook.core.relief.record import (
    asking_again,
    ended_unfinished,
    idle,
    on_its_way,
    over,
    refused,
    waiting,
)
from overbook.core.timestamp import from_timestamp

MOST_BACKOFF_SECONDS: Final = 30.0
MOST_LATER_SECONDS: Final = 300.0
"""The longest pause that a server may demand: pressure does not wait."""


def follow(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    """Return the next step for the record's victim."""
    if case.record.stage == "Asking":
        if case.answer is not None:
            return _answered(case, case.answer, cluster, now)
        return _asking(case, cluster, now)
    if case.record.stage == "Migrating" and case.record.reason:
        seen = seen_lately(case, now, LOOK_SECONDS)
        known = migrations_of(case, cluster.migrations)
        return cancel(case, known[-1] if known else None, seen, cluster, now)
    if case.record.stage == "Migrating":
        return migrating(case, cluster, now)
    return _ending(case, cluster, now)


def _asking(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    """Send the eviction, for the first time or again. The UID in it makes a second one harmless."""
    record = case.record
    again = from_timestamp(record.until)
    if again is not None and now < again:
        return Rest(again)
    tried_for = now - (from_timestamp(record.stage_since) or now)
    if case.request is None or case.stale or cluster.held_back or tried_for > cluster.spec.stall_seconds:
        return _undecided(case, cluster, now)
    step = Delete if record.how == "Deleted" else Evict
    return step(record.victim_uid, record.victim)


def _undecided(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    """Look at the pod, since the eviction is not sent again: was it carried out?"""
    record = case.record
    pod = seen_lately(case, now, LOOK_SECONDS)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone":
        return _over(case, cluster, "Gone", f"{record.victim} is gone", now)
    if pod.presence == "Leaving":
        return _ends(case, pod, cluster, now)
    if pod.evacuating:
        return Write(_migration_begun(record, cluster, f"KubeVirt live-migrates {record.victim}", now))
    if case.request is None or case.stale or cluster.held_back:
        return Write(idle(record, f"{record.victim} was not evicted: {_why_not(case, cluster)}"))
    message = record.message or "the API server did not answer"
    return Write(refused(record, record.victim_uid, record.victim, "NoAnswer", message, now))


def _why_not(case: NodeCase, cluster: ClusterCase) -> str:
    if cluster.held_back:
        return cluster.held_back
    return "the agent has stopped reporting" if case.stale else "the agent has withdrawn its request"


def _answered(case: NodeCase, answer: EvictionAnswer, cluster: ClusterCase, now: float) -> Step:
    record = case.record
    match answer.meaning:
        case "Accepted":
            return _ends(case, case.pods.get(record.victim_uid), cluster, now)
        case "Evacuating":
            return Write(_migration_begun(record, cluster, answer.message, now))
        case "Gone":
            return _over(case, cluster, "Gone", f"{record.victim} is gone: {answer.message}", now)
        case "Refused" | "WebhookFailed" if record.how == "Migrated" and _may_be_marked(case, answer, now):
            return Look(record.victim_uid, record.victim)
        case "Refused" | "WebhookFailed" if record.how == "Migrated" and _is_marked(case, answer, now):
            return Write(_migration_begun(record, cluster, answer.message, now))
        case "Refused" | "WebhookFailed":
            entry = (record.victim_uid, record.victim, answer.reason, answer.message)
            return Write(refused(record, *entry, now))
        case "Later":
            pause = min(answer.retry_seconds or LATER_SECONDS, MOST_LATER_SECONDS)
            if case.request is None:
                return Write(idle(record, answer.message))
            message = f"{record.victim}: {answer.message}"
            return Write(waiting(record, case.request, message, now, now + pause))
        case "Unknown":
            # The pauses double: each is as long as the time since the first try.
            passed = now - (from_timestamp(record.stage_since) or now)
            pause = answer.retry_seconds or min(max(1.0, passed), MOST_BACKOFF_SECONDS)
            return Write(asking_again(record, answer.message, now + min(pause, MOST_LATER_SECONDS)))


def _may_be_marked(case: NodeCase, answer: EvictionAnswer, now: float) -> bool:
    """Whether the VM has to be looked at: KubeVirt may have marked it before the eviction was refused."""
    pod = seen_lately(case, now, LOOK_SECONDS)
    return pod is None or pod.seen_at < answer.at


def _is_marked(case: NodeCase, answer: EvictionAnswer, now: float) -> bool:
    pod = seen_lately(case, now, LOOK_SECONDS)
    return pod is not None and pod.seen_at >= answer.at and pod.evacuating


def _ends(case: NodeCase, pod: CandidatePod | None, cluster: ClusterCase, now: float) -> Step:
    """The pod ends. For a VM that means that it is not live-migrated."""
    record = case.record
    how: How
    if record.how == "Deleted":
        how, message = "Deleted", f"{record.victim} was deleted, as the last resort"
    elif record.how in ("Migrated", "Restarted") or (pod is not None and pod.instance):
        how = "Restarted"
        message = f"{record.victim} ends without a live migration; its VM is restarted"
    else:
        how, message = "Evicted", f"{record.victim} was evicted and is ending"
    return Write(on_its_way(record, "Ending", how, message, now, cluster.spec.follow_seconds))


def _migration_begun(record: ReliefRecord, cluster: ClusterCase, message: str, now: float) -> ReliefRecord:
    return on_its_way(record, "Migrating", "Migrated", message, now, cluster.spec.follow_seconds)


def _ending(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    record = case.record
    pod = seen_lately(case, now, LOOK_SECONDS)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone":
        how: Outcome = "Gone" if record.migration else record.how or "Evicted"
        return _over(case, cluster, how, f"{record.victim}: {how.lower()}", now)
    if now >= (from_timestamp(record.until) or now):
        message = "it was evicted and has not ended"
        return Write(ended_unfinished(record, "GivenUp", "StillEnding", message, now))
    return Rest(pod.seen_at + LOOK_SECONDS)


def _over(case: NodeCase, cluster: ClusterCase, outcome: Outcome, message: str, now: float) -> Step:
    return Write(over(case.record, outcome, message, now, cluster.spec.cool_down_seconds))
