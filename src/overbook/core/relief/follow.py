"""The next step for a pod that is leaving: evicted, migrating or ending, until it has left or is given up.

``Asking``: send the eviction and follow the API server's answer; if the eviction must not be sent again, look
at the pod. ``Migrating``: follow KubeVirt's migration object. ``Cancelling``: take a migration back that is
given up (:mod:`overbook.core.relief.cancel`). ``Ending``: look at the pod until it is gone.
Every relief that ends is written into the record's outcomes; one that was given up also into its refusals.
"""

from collections.abc import Iterable
from typing import Final

from overbook.core.api.overcommit_node import How, Outcome, ReliefRecord
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.answer import LATER_SECONDS, EvictionAnswer
from overbook.core.relief.cancel import cancel, given_up
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
from overbook.core.relief.record import (
    asking_again,
    ended_unfinished,
    following,
    idle,
    on_its_way,
    over,
    refused,
    waiting,
)
from overbook.core.timestamp import from_timestamp

LOOK_SECONDS: Final = 2.0
"""A pod that is ending is fetched again after this time."""
MIGRATING_LOOK_SECONDS: Final = 15.0
"""The same while its migration object is watched, which shows changes sooner."""
CLOCK_MARGIN_SECONDS: Final = 10.0
"""How far this clock may be ahead of the one that dates migrations."""
SECOND_WRITE_SECONDS: Final = 3.0
"""How long after its end a migration may still say where to and why not: KubeVirt writes that later."""
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
    if case.record.stage == "Cancelling":
        seen = _seen_lately(case, now, LOOK_SECONDS)
        known = migrations_of(case, cluster.migrations)
        return cancel(case, known[-1] if known else None, seen, cluster, now)
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
    pod = _seen_lately(case, now, LOOK_SECONDS)
    return pod is None or pod.seen_at < answer.at


def _is_marked(case: NodeCase, answer: EvictionAnswer, now: float) -> bool:
    pod = _seen_lately(case, now, LOOK_SECONDS)
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
    pod = _seen_lately(case, now, LOOK_SECONDS)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone":
        how: Outcome = "Gone" if record.migration else record.how or "Evicted"
        return _over(case, cluster, how, f"{record.victim}: {how.lower()}", now)
    if now >= (from_timestamp(record.until) or now):
        message = "it was evicted and has not ended"
        return Write(ended_unfinished(record, "GivenUp", "StillEnding", message, now))
    return Rest(pod.seen_at + LOOK_SECONDS)


def _migrating(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    record = case.record
    migration = migration_of(case, cluster.migrations)
    if migration is not None and migration.metadata.name != record.migration:
        return Write(following(record, migration.metadata.name))
    over_already = migration is not None and migration.is_over
    pod = _seen_lately(
        case, now, LOOK_SECONDS if migration is None or over_already else MIGRATING_LOOK_SECONDS
    )
    if migration is not None and over_already:
        return _migration_over(case, migration, pod, cluster, now)
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone" and migration is None:
        moved = pod.instance_node not in ("", case.name)
        outcome: Outcome = "Migrated" if moved else "Gone"
        return _over(case, cluster, outcome, f"{record.victim} has left {case.name}", now)
    if record.joined and migration is None and pod.presence == "Here" and not pod.leaves_already:
        return Write(idle(record, f"the eviction of {record.victim} was taken back by others"))
    return _still_migrating(case, migration, pod, cluster, now)


def _still_migrating(
    case: NodeCase, migration: Migration | None, pod: CandidatePod, cluster: ClusterCase, now: float
) -> Step:
    record = case.record
    ends = from_timestamp(record.until) or now
    # A migration that was not heard of is not one that stands still: nothing follows from silence.
    silent = cluster.migrations_silent_seconds
    heard_until = None if silent is None else now - silent
    if heard_until is None:
        return Rest(pod.seen_at + LOOK_SECONDS)
    if migration is not None and migration.rejection:
        message = f"live migration {migration.metadata.name} gets no target pod ({migration.rejection})"
        return given_up(case, "MigrationRejected", message, now)
    if heard_until >= ends:
        message = f"its live migration has not ended within {cluster.spec.follow_seconds} s"
        return given_up(case, "MigrationGivenUp", message, now)
    stalls = _stalls_at(record, migration, cluster)
    if heard_until >= stalls and case.critical and case.request is not None:
        phase = f"phase {migration.phase}" if migration else "no migration object"
        message = f"no progress of its live migration for {cluster.spec.stall_seconds} s ({phase})"
        return given_up(case, "MigrationStalled", message, now)
    pause = MIGRATING_LOOK_SECONDS if migration else LOOK_SECONDS
    return Rest(min(moment for moment in (ends, pod.seen_at + pause, stalls) if moment > now))


def _migration_over(
    case: NodeCase, migration: Migration, pod: CandidatePod | None, cluster: ClusterCase, now: float
) -> Step:
    """The migration is over. Where to and why not are on the VM first, and then in a second write."""
    record, name, state = case.record, migration.metadata.name, migration.state
    if pod is None:
        return Look(record.victim_uid, record.victim)
    since = now - (migration.progressed_at or 0.0)
    may_be_told = -CLOCK_MARGIN_SECONDS < since < SECOND_WRITE_SECONDS
    if migration.phase == "Succeeded":
        target = state.target_node or (pod.instance_node if pod.instance_node != case.name else "")
        if not target and may_be_told:
            return Rest(now - since + SECOND_WRITE_SECONDS)
        where = f" to {target}" if target else ""
        return _over(case, cluster, "Migrated", f"{record.victim} was migrated{where} ({name})", now)
    if pod.presence == "Gone":
        return _over(case, cluster, "Gone", f"{record.victim} has left {case.name}: its VM has ended", now)
    if pod.presence == "Leaving":
        message = f"{record.victim} ends during its live migration"
        how: How = record.how or "Migrated"
        return Write(on_its_way(record, "Ending", how, message, now, cluster.spec.follow_seconds))
    on_the_vm = pod.migration_failure if pod.migration_uid == migration.metadata.uid else ""
    why = state.failure_reason or on_the_vm
    if not why and may_be_told:
        return Rest(now - since + SECOND_WRITE_SECONDS)
    message = f"live migration {name} failed: {why or 'KubeVirt names no reason'}"
    return given_up(case, "MigrationFailed", message, now)


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
    """Return the migration of the record's victim: the one that is followed, else the first of them.

    Later ones are KubeVirt's repetitions after a failure, which is known already.
    """
    found = migrations_of(case, migrations)
    followed = (known for known in found if known.metadata.name == case.record.migration)
    return next(followed, found[0] if found else None)


def migrations_of(case: NodeCase, migrations: Iterable[Migration]) -> list[Migration]:
    """Return the migrations of the record's victim that were not over before the eviction, oldest first."""
    record = case.record
    pod = case.pods.get(record.victim_uid)
    instance = pod.instance if pod is not None else ""
    namespace = record.victim.partition("/")[0]
    evicted_at = (from_timestamp(record.started_at) or 0.0) - CLOCK_MARGIN_SECONDS
    found = []
    for known in migrations:
        if (known.metadata.namespace or "default") != namespace:
            continue
        if known.metadata.name != record.migration or not record.migration:
            matches = known.source_pod == record.victim or (instance and known.instance == instance)
            if not matches or (known.is_over and (known.progressed_at or 0.0) < evicted_at):
                continue
        found.append(known)
    return sorted(found, key=_age)


def _age(migration: Migration) -> tuple[str, str]:
    return migration.metadata.creation_timestamp or "", migration.metadata.name
