"""A pod's place among the candidates of its node, and its history, from the nodes' reports."""

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
    """A pod's place in the order in which its node's candidates would be evicted.

    Attributes:
        place: 1 is evicted first; ``None``: the pod is no candidate.
        candidates: the number of candidates.
        excluded: why the pod must not be evicted; empty: it may be.
        sentence: for people.
    """

    place: int | None
    candidates: int
    excluded: str
    sentence: str


class Happening(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Something that happened to a pod.

    Attributes:
        at: the time, RFC 3339; ``None``: not known.
        what: a word or two.
        sentence: the details.
        where: the node, or the program that reported the event.
    """

    at: str | None
    what: str
    sentence: str
    where: str


def place_of(pod: Pod, node: NodeView) -> Place:
    """The pod's place among its node's candidates."""
    candidates = node.candidates
    for number, candidate in enumerate(candidates, 1):
        if candidate.uid == pod.metadata.uid:
            return Place(number, len(candidates), candidate.excluded, candidate.sentence)
    if is_critical(pod):
        return Place(None, len(candidates), "critical, static and mirror pods are never evicted", "")
    if not candidates:
        calm = "no pod has to leave now; the order is decided by usage when the node is under pressure"
        return Place(None, 0, "", calm)
    return Place(None, len(candidates), "", "it is not a candidate of its agent")


def history_of(
    label: str, uid: str | None, reports: Iterable[tuple[str, OvercommitNodeStatus]]
) -> Iterator[Happening]:
    """What the nodes' reports contain about a pod, newest first.

    Args:
        label: ``namespace/name``.
        uid: the pod's UID; ``None``: the pod no longer exists, so every pod with that name is meant.
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
