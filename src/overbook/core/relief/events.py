"""Events about relief: what is reported, on pod, node and in the log, when a relief record changes."""

from typing import Final

import msgspec

from overbook.core.api.overcommit_node import Outcome, ReliefRecord

OUTCOME_REASONS: Final[dict[Outcome, str]] = {
    "Migrated": "Migrated",
    "Restarted": "Restarted",
    "Evicted": "Evicted",
    "Deleted": "DeletedAsLastResort",
    "Gone": "GuestGone",
    "GivenUp": "ReliefGivenUp",
    "Failed": "MigrationFailed",
}
_HOW: Final = {
    "Migrated": "is evicted (KubeVirt will live-migrate it)",
    "Restarted": "is evicted (its VM will be restarted, not live-migrated)",
    "Evicted": "is evicted",
    "Deleted": "is deleted as the last resort (every candidate was refused)",
}


class ReliefEvent(msgspec.Struct, frozen=True, gc=False):
    """One event about a relief.

    Attributes:
        reason: why, in CamelCase.
        message: the event's sentence, for people.
        warning: whether it needs attention.
        uid: the UID of the pod that it is about; empty: it is about the node only.
        label: ``namespace/name`` of the pod.
    """

    reason: str
    message: str
    warning: bool = False
    uid: str = ""
    label: str = ""


def relief_events(node: str, before: ReliefRecord, after: ReliefRecord) -> list[ReliefEvent]:
    """Return what happened between two records of a node."""
    events = [
        ReliefEvent(
            "ReliefRefused",
            f"{refusal.label} does not leave {node}: {refusal.reason}: {refusal.message}",
            warning=True,
            uid=refusal.uid,
            label=refusal.label,
        )
        for refusal in after.refusals
        if refusal not in before.refusals
    ]
    known = before.outcomes[0] if before.outcomes else None
    latest = after.outcomes[0] if after.outcomes else None
    if latest is not None and latest != known:
        failed = latest.outcome in ("GivenUp", "Failed")
        uid = before.victim_uid if before.victim == latest.victim else ""
        reason = OUTCOME_REASONS[latest.outcome]
        events.append(ReliefEvent(reason, f"{node}: {latest.message}", failed, uid, latest.victim))
    if after.reason and not before.reason:
        message = f"the live migration of {after.victim} is cancelled: {after.message}"
        events.append(ReliefEvent("CancellingMigration", message, True, after.victim_uid, after.victim))
    if after.stage == before.stage and after.victim_uid == before.victim_uid:
        return events
    if after.stage == "Asking":
        how = _HOW[after.how or "Evicted"]
        message = f"{after.victim} {how} because of memory pressure on {node}: {after.message}"
        events.append(
            ReliefEvent("ReliefStarted", message, after.how == "Deleted", after.victim_uid, after.victim)
        )
    elif after.stage == "Migrating":
        message = f"{after.victim} is being live-migrated away from {node}: {after.message}"
        events.append(ReliefEvent("LiveMigrating", message, uid=after.victim_uid, label=after.victim))
    elif after.stage == "Ending" and after.how == "Restarted":
        events.append(ReliefEvent("Restarting", after.message, True, after.victim_uid, after.victim))
    elif after.stage == "Refused":
        events.append(ReliefEvent("NobodyMayGo", f"no pod can leave {node}: {after.message}", warning=True))
    return events
