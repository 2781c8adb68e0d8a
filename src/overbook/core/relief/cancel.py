"""The next step for a live migration that is given up: KubeVirt would try it again for ever.

The VM stays marked for evacuation after a failed, stalled or deleted migration. So the evacuation is
cancelled and then its migration deleted, before the next pod is evicted: else the VM would leave as well,
later, when the pressure is over. The decision is in the record before it is carried out.
"""

from typing import Final

from overbook.core.api.overcommit_node import Outcome, ReliefRecord
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import Cancel, ClusterCase, Look, NodeCase, Rest, Step, Write
from overbook.core.relief.record import cancelling, ended_unfinished, over
from overbook.core.timestamp import from_timestamp

CANCEL_SECONDS: Final = 15.0
"""How long the cancellation is tried before the next pod is evicted all the same."""
AGAIN_SECONDS: Final = 2.0
"""The pause between two tries, as long as the mark is there: others, such as a drain, may set it again."""
TAKEOVER_SECONDS: Final = 30.0
"""How long after that time a new leader still tries."""


def given_up(case: NodeCase, reason: str, message: str, now: float) -> Step:
    """Return the step that gives a live migration up: an evacuation of others is left alone.

    Args:
        case: the node.
        reason: why, in CamelCase.
        message: why, in a sentence.
        now: seconds since the epoch.
    """
    record = case.record
    if record.joined:
        return Write(ended_unfinished(record, outcome_of(reason), reason, message, now))
    return Write(cancelling(record, reason, message, now, now + CANCEL_SECONDS))


def cancel(
    case: NodeCase, migration: Migration | None, pod: CandidatePod | None, cluster: ClusterCase, now: float
) -> Step:
    """Return the next step for a record with a reason why its migration is given up.

    Args:
        case: the node.
        migration: the newest migration of the victim, maybe a repetition; ``None``: there is none.
        pod: the victim as it was just fetched; ``None``: it was not.
        cluster: what applies to all nodes.
        now: seconds since the epoch.
    """
    record = case.record
    cool_down = cluster.spec.cool_down_seconds
    if migration is not None and migration.phase == "Succeeded":
        message = f"{record.victim} was migrated after all ({migration.metadata.name})"
        return Write(over(record, "Migrated", message, now, cool_down))
    if pod is None:
        return Look(record.victim_uid, record.victim)
    if pod.presence == "Gone":
        moved = pod.instance_node not in ("", case.name)
        outcome: Outcome = "Migrated" if moved else "Gone"
        return Write(over(record, outcome, f"{record.victim} has left {case.name}", now, cool_down))
    runs = migration is not None and migration.is_evacuation and not migration.is_over
    if not pod.evacuating and not runs:
        return Write(_done(record, record.message, now))
    tried, until = case.uncancelled, from_timestamp(record.until) or now
    if tried is not None and not tried.is_final and now < min(until, tried.at + AGAIN_SECONDS):
        return Rest(min(until, tried.at + AGAIN_SECONDS))
    # A new leader may come when the time is over, and tries once.
    until += TAKEOVER_SECONDS if tried is None else 0.0
    if now < until and not (tried is not None and tried.is_final):
        meta = migration.metadata if migration is not None and runs else None
        name, uid = (meta.name, meta.uid or "") if meta is not None else ("", "")
        return Cancel(record.victim_uid, record.victim, pod.instance, case.name, name, uid)
    namespace, _, name = pod.instance.partition("/")
    why = tried.message if tried is not None else "there was no time"
    left = f"KubeVirt still tries to migrate it, as it was not cancelled ({why}): "
    fix = f"virtctl evacuate-cancel vmi {name} --namespace {namespace}"
    return Write(_done(record, f"{record.message}; {left}{fix}", now))


def outcome_of(reason: str) -> Outcome:
    """The outcome of a relief that ends for a reason."""
    return "Failed" if reason in ("MigrationFailed", "MigrationRejected") else "GivenUp"


def _done(record: ReliefRecord, message: str, now: float) -> ReliefRecord:
    return ended_unfinished(record, outcome_of(record.reason), record.reason, message, now)
