"""Who goes first: the pod that is doing the harm, among those that hold more than they asked for.

Pods over their request come before those within it; lower priority before higher; within a priority the
larger share of what hurts now: memory coming back from swap (refaults) and memory newly taken (growth).
"""

from collections.abc import Iterable

from overbook.core.candidate import Candidate


def rank_culprit(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates in the order in which they would be asked to go."""
    return sorted(candidates, key=_key)


def _key(candidate: Candidate) -> tuple[bool, int, float, int, str]:
    return (
        candidate.over_request_bytes <= 0,
        candidate.priority,
        # Rounded, so that a share's last digit never decides; then who holds more, then the name.
        -round(candidate.blame, 3),
        -candidate.over_request_bytes,
        candidate.label,
    )
