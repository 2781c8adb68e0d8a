"""What people are told when a relief's record changes: events on pod and node, and a line in the log."""

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
    "Migrated": "asked to migrate live",
    "Restarted": "asked to go; its VM will be restarted, not migrated",
    "Evicted": "asked to go",
    "Deleted": "deleted as the last resort: every candidate refused",
}


class ReliefEvent(msgspec.Struct, frozen=True, gc=False):
    """Something worth an event.

    Attributes:
        reason: CamelCase.
        message: for people.
        warning: whether somebody should look at it.
        uid: of the pod that it is about; empty: about the node only.
        label: the pod's.
    """

    reason: str
    message: str
    warning: bool = False
    uid: str = ""
    label: str = ""


def told(node: str, before: ReliefRecord, after: ReliefRecord) -> list[ReliefEvent]:
    """What has happened between two records of a node."""
    said = [
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
        said.append(ReliefEvent(reason, f"{node}: {latest.message}", failed, uid, latest.victim))
    if after.stage == before.stage and after.victim_uid == before.victim_uid:
        return said
    if after.stage == "Asking":
        how = _HOW[after.how or "Evicted"]
        message = f"{after.victim} is {how}, because of memory pressure on {node}: {after.message}"
        said.append(
            ReliefEvent("ReliefStarted", message, after.how == "Deleted", after.victim_uid, after.victim)
        )
    elif after.stage == "Migrating":
        message = f"{after.victim} is being migrated live away from {node}: {after.message}"
        said.append(ReliefEvent("LiveMigrating", message, uid=after.victim_uid, label=after.victim))
    elif after.stage == "Ending" and after.how == "Restarted":
        said.append(ReliefEvent("Restarting", after.message, True, after.victim_uid, after.victim))
    elif after.stage == "Refused":
        said.append(ReliefEvent("NobodyMayGo", f"{node} is not relieved: {after.message}", warning=True))
    return said
