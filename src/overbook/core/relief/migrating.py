"""The next step for a VM that KubeVirt live-migrates, and which migration object is that of the victim.

KubeVirt shows no progress of a migration but its phases, and says some things late: the node that a VM went
to and why a migration failed are on the VM first, then in a second write of the migration object.
"""

from collections.abc import Iterable
from typing import Final

from overbook.core.api.overcommit_node import How, Outcome, ReliefRecord
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.cancel import given_up
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import ClusterCase, Look, NodeCase, Rest, Step, Write, migration_key
from overbook.core.relief.record import following, idle, on_its_way, over
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


def migrating(case: NodeCase, cluster: ClusterCase, now: float) -> Step:
    """Return the next step for a record in the stage ``Migrating``."""
    record = case.record
    migration = migration_of(case, cluster.migrations)
    if migration is not None and migration.metadata.name != record.migration:
        return Write(following(record, migration.metadata.name))
    over_already = migration is not None and migration.is_over
    pod = seen_lately(
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
    # As this leader saw it, where it did: KubeVirt's clock may be minutes apart.
    since = now - cluster.phase_seen.get(migration_key(migration), migration.progressed_at or 0.0)
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


def seen_lately(case: NodeCase, now: float, seconds: float) -> CandidatePod | None:
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


def _age(migration: Migration) -> tuple[str, bool, str]:
    # Creation has whole seconds. Of two migrations of one VM in one second the ended one came first.
    return migration.metadata.creation_timestamp or "", not migration.is_over, migration.metadata.name
