"""The relief request that an agent makes from a decision of its engine."""

from collections.abc import Sequence

from overbook.core.api.overcommit_node import MOST_CANDIDATES, ReliefCandidate, ReliefRequest
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision
from overbook.core.text import shortened


def relief_request(request_id: str, decided_at: str, decision: Decision, rank: str) -> ReliefRequest:
    """Make the relief request of a decision to relieve the node.

    Args:
        request_id: the request's id; one for each decision to relieve.
        decided_at: when the decision was made, RFC 3339.
        decision: the decision.
        rank: the ruleset's rank.
    """
    return ReliefRequest(
        id=request_id,
        decided_at=decided_at,
        rule=decision.findings[0].rule if decision.findings else "",
        sentence=shortened(decision.sentence),
        rank=rank,
        candidates=relief_candidates(decision.candidates),
    )


def relief_candidates(ranked: Sequence[Candidate]) -> tuple[ReliefCandidate, ...]:
    """Return the first :data:`MOST_CANDIDATES` in the agent's order; the excluded come last and say why."""
    return tuple(map(_relief_candidate, ranked[:MOST_CANDIDATES]))


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
        beyond_bytes=candidate.beyond_bytes,
        blame=round(candidate.blame, 3),
        sentence=candidate.sentence,
        excluded=candidate.excluded,
    )
