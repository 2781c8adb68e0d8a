"""Where a pod stands among those that may have to go, and what happened to it, by the nodes' reports."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from overbook.core.api.overcommit_node import Outcome, OvercommitNodeStatus, ReliefRecord
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import is_critical
from overbook.status.view import NodeView

_OUTCOMES: Final[dict[Outcome, str]] = {
    "Migrated": "migrated live",
    "Restarted": "restarted elsewhere",
    "Evicted": "evicted",
    "Deleted": "deleted",
    "Gone": "ended by itself",
    "GivenUp": "given up",
    "Failed": "failed",
}


class Place(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Where a pod stands in its node's order.

    Attributes:
        place: 1 goes first; ``None``: it is not among the candidates.
        candidates: how many there are.
        excluded: why it must not go; empty: it may.
        sentence: for people.
    """

    place: int | None
    candidates: int
    excluded: str
    sentence: str


class Happening(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Something that happened to a pod.

    Attributes:
        at: when, RFC 3339; ``None``: not known.
        what: in a word or two.
        sentence: the details.
        where: the node, or who says so.
    """

    at: str | None
    what: str
    sentence: str
    where: str


def place_of(pod: Pod, node: NodeView) -> Place:
    """Where the pod stands among its node's candidates."""
    candidates = node.candidates
    for number, candidate in enumerate(candidates, 1):
        if candidate.uid == pod.metadata.uid:
            return Place(number, len(candidates), candidate.excluded, candidate.sentence)
    if is_critical(pod):
        return Place(None, len(candidates), "critical, static and mirror pods never go", "")
    if not candidates:
        calm = "nobody has to go now; who would is decided by what pods hold and take then"
        return Place(None, 0, "", calm)
    return Place(None, len(candidates), "", "it is not among those that its agent would ask")


def history_of(
    label: str, uid: str | None, reports: Iterable[tuple[str, OvercommitNodeStatus]]
) -> Iterator[Happening]:
    """What nodes' reports tell of a pod, newest first.

    Args:
        label: ``namespace/name``.
        uid: the pod's UID; ``None``: it is gone, and any pod of that name is meant.
        reports: each node's name and status.
    """
    found = [happening for name, status in reports for happening in _of_node(label, uid, name, status)]
    yield from sorted(found, key=lambda one: one.at or "", reverse=True)


def _of_node(label: str, uid: str | None, node: str, status: OvercommitNodeStatus) -> Iterator[Happening]:
    relief = status.relief or ReliefRecord()
    if relief.stage and relief.victim == label and uid in (None, relief.victim_uid):
        yield Happening(relief.stage_since, f"relief: {relief.stage}", relief.message, node)
    for refusal in relief.refusals:
        if refusal.label == label and uid in (None, refusal.uid):
            yield Happening(refusal.at, f"refused: {refusal.reason}", refusal.message, node)
    for outcome in relief.outcomes:
        if outcome.victim == label:
            yield Happening(outcome.finished_at, _OUTCOMES[outcome.outcome], outcome.message, node)
    for decision in status.decisions:
        if decision.victim == label:
            yield Happening(decision.at, f"decided: {decision.action}", decision.sentence, node)
