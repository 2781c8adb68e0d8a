"""Whom to ask first: the agent's order, and among equals the one that can be moved soon."""

from collections.abc import Iterable, Iterator
from typing import Final

from overbook.core.api.overcommit_node import ReliefCandidate

MIGRATION_BYTES_PER_SECOND: Final = 128 * 2**20
"""What one live migration gets of the network: about a gigabit, as KubeVirt shares it among several."""
SWAP_IN_BYTES_PER_SECOND: Final = 64 * 2**20
"""How fast swap comes back by faults of single pages, which is how a migration reads it."""
LEAST_SHARE: Final = 0.1
"""Of the network, that is left to a guest that dirties memory as fast as it is sent: it is slowed down."""
EQUAL_BLAME: Final = 0.1
"""Candidates whose blame (0–2) differs by no more are equally to blame."""


def seconds_to_move(candidate: ReliefCandidate) -> float:
    """How long a live migration of the guest would take.

    All its swap has to come back, and all its memory is sent; what it dirties meanwhile is sent again, and
    so on: a geometric series whose sum is size / (bandwidth − dirty rate). Growth stands for the dirty rate,
    which nobody measures.
    """
    back = candidate.swap_bytes / SWAP_IN_BYTES_PER_SECOND
    left = max(
        MIGRATION_BYTES_PER_SECOND - max(0, candidate.growth_bytes_per_second),
        LEAST_SHARE * MIGRATION_BYTES_PER_SECOND,
    )
    return back + candidate.usage_bytes / left


def in_order(
    candidates: Iterable[ReliefCandidate], rank: str, follow_seconds: float
) -> Iterator[ReliefCandidate]:
    """The candidates in the order in which they are asked; those that the agent excludes are left out.

    Neighbours in the agent's order are equals if they are on the same side of their request, have the same
    priority, and their blame is within :data:`EQUAL_BLAME` of the first one's. Among equals come first the
    VMs that can be moved while one would follow them, soonest first: nobody loses anything. Then pods that
    have to be ended; then VMs that would take too long.

    Args:
        candidates: as the agent ranked them.
        rank: by which it did; only ``culprit`` knows equals.
        follow_seconds: how long a live migration is followed.
    """
    eligible = [candidate for candidate in candidates if not candidate.excluded]
    if rank != "culprit":
        yield from eligible
        return
    equals: list[ReliefCandidate] = []
    for candidate in eligible:
        if equals and not _equal(equals[0], candidate):
            yield from sorted(equals, key=lambda each: _ease(each, follow_seconds))
            equals = []
        equals.append(candidate)
    yield from sorted(equals, key=lambda each: _ease(each, follow_seconds))


def _equal(leader: ReliefCandidate, candidate: ReliefCandidate) -> bool:
    return (
        (leader.over_request_bytes > 0) == (candidate.over_request_bytes > 0)
        and leader.priority == candidate.priority
        and abs(leader.blame - candidate.blame) <= EQUAL_BLAME
    )


def _ease(candidate: ReliefCandidate, follow_seconds: float) -> tuple[int, float]:
    seconds = seconds_to_move(candidate)
    if not candidate.virtual_machine:
        return 1, 0.0
    return (0 if seconds <= follow_seconds else 2), seconds
