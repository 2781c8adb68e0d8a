"""The next step for a pod that is leaving: evicted, migrating or ending, until it has left or is given up.

``Asking``: send the eviction and follow the API server's answer; if the eviction must not be sent again, look
at the pod. ``Migrating``: follow KubeVirt's migration object. ``Ending``: look at the pod until it is gone.
Every relief that ends is written into the record's outcomes; one that was given up also into its refusals.
"""

from collections.abc import Iterable
from typing import Final

from overbook.core.api.overcommit_node import How, Outcome, ReliefRecord
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.answer import LATER_SECONDS, EvictionAnswer
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import (
    ClusterCase,
    Delete,
    Evict,
    Look,
    NodeCase,
    Rest,
    Step,
    Write,
    migration_key,
)
from overbook.core.relief.record import asking_again, following, idle, on_its_way, over, refused, waiting
from overbook.core.timestamp import from_timestamp

LOOK_SECONDS: Final = 2.0
"""A pod that is ending is fetched again after this time."""
MIGRATING_LOOK_SECONDS: Final = 15.0
"""The same while its migration object is watched, which shows changes sooner."""
CLOCK_MARGIN_SECONDS: Final = 10.0
"""How far this clock may be ahead of the one that dates migrations."""
BEFORE_SIGHT_SECONDS: Final = 30.0
"""How long before this leader saw it first something may have happened, as far as times count."""
MOST_BACKOFF_SECONDS: Final = 30.0
MOST_LATER_SECONDS: Final = 300.0
"""The longest pause that a server may demand: pressure does not wait."""


def follow(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    """Return the next step for the record's victim."""
    if case.record.stage == "Asking":
        if case.answer is not None:
            return _answered(case, case.answer, cluster, now)
        return _asking(case, cluster, now)
    if case.record.stage == "Migrating":
        return _migrating(case, cluster, now)
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
    pod = _seen_lately(case, now, LOOK_SECONDS)
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
        case "Refused":
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
    pod = _seen_lately(case, now, LOOK_SECONDS)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone":
        how: Outcome = record.how or "Evicted"
        return _over(case, cluster, how, f"{record.victim}: {how.lower()}", now)
    if now >= (from_timestamp(record.until) or now):
        return _given_up(case, cluster, "StillEnding", "it was evicted and has not ended", now)
    return Rest(pod.seen_at + LOOK_SECONDS)


def _migrating(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    record = case.record
    migration = migration_of(case, cluster.migrations)
    if migration is not None and migration.metadata.name != record.migration:
        return Write(following(record, migration.metadata.name))
    if migration is not None and migration.is_over:
        return _migration_over(case, migration, cluster, now)
    pod = _seen_lately(case, now, MIGRATING_LOOK_SECONDS if migration else LOOK_SECONDS)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone" and migration is None:
        moved = pod.instance_node not in ("", case.name)
        outcome: Outcome = "Migrated" if moved else "Gone"
        return _over(case, cluster, outcome, f"{record.victim} has left {case.name}", now)
    ends = from_timestamp(record.until) or now
    # A migration that was not heard of is not one that stands still: nothing follows from silence.
    silent = cluster.migrations_silent_seconds
    heard_until = None if silent is None else now - silent
    if heard_until is None:
        return Rest(pod.seen_at + LOOK_SECONDS)
    if heard_until >= ends:
        message = f"its live migration has not ended within {cluster.spec.follow_seconds} s"
        return _given_up(case, cluster, "MigrationGivenUp", message, now)
    stalls = _stalls_at(record, migration, cluster)
    if heard_until >= stalls and case.critical and case.request is not None:
        phase = f"phase {migration.phase}" if migration else "no migration object"
        message = f"no progress of its live migration for {cluster.spec.stall_seconds} s ({phase})"
        return _given_up(case, cluster, "MigrationStalled", message, now)
    pause = MIGRATING_LOOK_SECONDS if migration else LOOK_SECONDS
    return Rest(min(moment for moment in (ends, pod.seen_at + pause, stalls) if moment > now))


def _migration_over(case: NodeCase, migration: Migration, cluster: ClusterCase, now: float) -> Step:
    record, name = case.record, migration.metadata.name
    if migration.phase == "Succeeded":
        target = migration.state.target_node
        where = f" to {target}" if target else ""
        return _over(case, cluster, "Migrated", f"{record.victim} was migrated{where} ({name})", now)
    why = migration.state.failure_reason or "no reason given"
    ended = over(record, "Failed", f"{name} failed: {why}", now, cluster.spec.cool_down_seconds)
    message = f"live migration {name} failed: {why}"
    return Write(refused(ended, record.victim_uid, record.victim, "MigrationFailed", message, now))


def _given_up(case: NodeCase, cluster: ClusterCase, reason: str, message: str, now: float) -> Step:
    record = case.record
    ended = over(record, "GivenUp", message, now, cluster.spec.cool_down_seconds)
    return Write(refused(ended, record.victim_uid, record.victim, reason, message, now))


def _over(case: NodeCase, cluster: ClusterCase, outcome: Outcome, message: str, now: float) -> Step:
    return Write(over(case.record, outcome, message, now, cluster.spec.cool_down_seconds))


def _seen_lately(case: NodeCase, now: float, seconds: float) -> CandidatePod | None:
    """Return the victim as it was fetched, if that was after the stage began and not long ago."""
    pod = case.pods.get(case.record.victim_uid)
    if pod is None or pod.seen_at < (from_timestamp(case.record.stage_since) or 0.0):
        return None
    # A fetch in the future was dated by a clock that has been set back since.
    return pod if 0 <= now - pod.seen_at < seconds else None


def _stalls_at(record: ReliefRecord, migration: Migration | None, cluster: ClusterCase) -> float:
    """Return when a migration without further progress counts as stalled.

    KubeVirt reports no progress except phases. While memory is sent there is no new phase, so the time that
    sending was expected to take is added then.
    """
    progressed = from_timestamp(record.stage_since) or 0.0
    if migration is not None:
        progressed = max(progressed, _progressed_at(migration, cluster))
    sending = record.expected_seconds if migration is not None and migration.phase == "Running" else 0
    return progressed + cluster.spec.stall_seconds + sending


def _progressed_at(migration: Migration, cluster: ClusterCase) -> float:
    """Return when a migration got into its phase: KubeVirt's date, as far as it agrees with what was seen."""
    written, seen = migration.progressed_at or 0.0, cluster.phase_seen.get(migration_key(migration))
    return written if seen is None else min(max(written, seen - BEFORE_SIGHT_SECONDS), seen)


def migration_of(case: NodeCase, migrations: Iterable[Migration]) -> Migration | None:
    """Return the migration of the record's victim: the newest that was not over before the eviction."""
    record = case.record
    pod = case.pods.get(record.victim_uid)
    instance = pod.instance if pod is not None else ""
    namespace = record.victim.partition("/")[0]
    evicted_at = (from_timestamp(record.started_at) or 0.0) - CLOCK_MARGIN_SECONDS
    found: Migration | None = None
    for known in migrations:
        if (known.metadata.namespace or "default") != namespace:
            continue
        if known.metadata.name != record.migration or not record.migration:
            matches = known.source_pod == record.victim or (instance and known.instance == instance)
            if not matches or (known.is_over and (known.progressed_at or 0.0) < evicted_at):
                continue
        if found is None or _age(known) > _age(found):
            found = known
    return found


def _age(migration: Migration) -> tuple[str, str]:
    return migration.metadata.creation_timestamp or "", migration.metadata.name
