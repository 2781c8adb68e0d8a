"""From a decision of the engine to what is asked of the controller, and back: when a relief is over."""

from collections.abc import Collection, Sequence
from typing import Final

from overbook.core.candidate import Candidate
from overbook.core.custom_overcommit_node import (
    MOST_CANDIDATES,
    Outcome,
    ReliefCandidate,
    ReliefOutcome,
    ReliefRecord,
    ReliefRequest,
    Stage,
)
from overbook.core.decision import Decision

LONGEST_SENTENCE: Final = 1024
"""Characters, of what is written into an object that everybody reads."""

IN_FLIGHT: Final[Collection[Stage]] = ("Asking", "Migrating", "Ending")
"""Stages in which a guest may be on its way: nobody else of the node is asked meanwhile."""
WENT: Final[Collection[Outcome]] = ("Migrated", "Restarted", "Evicted", "Deleted", "Gone")
"""Outcomes with which a guest left. After the others the controller goes on to the next candidate."""


def relief_request(request_id: str, decided_at: str, decision: Decision) -> ReliefRequest:
    """What is asked for by a decision to relieve the node.

    Args:
        request_id: one for each pressure.
        decided_at: when, RFC 3339.
        decision: the decision.
    """
    return ReliefRequest(
        id=request_id,
        decided_at=decided_at,
        rule=decision.findings[0].rule if decision.findings else "",
        sentence=shortened(decision.sentence),
        candidates=relief_candidates(decision.candidates),
    )


def relief_candidates(ranked: Sequence[Candidate]) -> tuple[ReliefCandidate, ...]:
    """The first :data:`MOST_CANDIDATES` in the agent's order; who may not go comes last and says why."""
    return tuple(map(_relief_candidate, ranked[:MOST_CANDIDATES]))


def shortened(sentence: str) -> str:
    """At most :data:`LONGEST_SENTENCE` characters of a sentence."""
    return sentence if len(sentence) <= LONGEST_SENTENCE else sentence[: LONGEST_SENTENCE - 1] + "…"


def in_flight(record: ReliefRecord | None) -> bool:
    """Whether a guest of the node may be on its way, as the controller wrote it down."""
    return record is not None and record.stage in IN_FLIGHT


def outcome_of(record: ReliefRecord | None, request_id: str) -> ReliefOutcome | None:
    """With what a request was met; ``None``: nobody has left for it yet."""
    for outcome in record.outcomes if record is not None else ():
        if outcome.request_id == request_id and outcome.outcome in WENT:
            return outcome
    return None


def _relief_candidate(candidate: Candidate) -> ReliefCandidate:
    namespace, _, name = candidate.label.partition("/")
    return ReliefCandidate(
        uid=candidate.uid,
        namespace=namespace,
        name=name,
        virtual_machine=candidate.virtual_machine,
        priority=candidate.priority,
        usage_bytes=candidate.usage_bytes,
        swap_bytes=candidate.swap_bytes,
        growth_bytes_per_second=candidate.growth_bytes_per_second,
        over_request_bytes=candidate.over_request_bytes,
        over_promise_bytes=candidate.over_promise_bytes,
        blame=round(candidate.blame, 3),
        sentence=candidate.sentence,
        excluded=candidate.excluded,
    )
