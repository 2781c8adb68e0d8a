"""The order in which candidates are tried: the agent's, and among equals the fastest migration first."""

from collections.abc import Iterable, Iterator
from typing import Final

from overbook.core.api.overcommit_node import ReliefCandidate

MIGRATION_BYTES_PER_SECOND: Final = 128 * 2**20
"""The bandwidth of one live migration: about a gigabit, as KubeVirt shares it among several."""
SWAP_IN_BYTES_PER_SECOND: Final = 64 * 2**20
"""How fast memory comes back from swap by faults of single pages, which is how a migration reads it."""
LEAST_SHARE: Final = 0.1
"""The share of the bandwidth that counts at least: a VM that dirties memory faster is slowed."""
EQUAL_BLAME: Final = 0.1
"""Candidates whose blame (0–2) differs by no more are equally to blame."""


def seconds_to_move(candidate: ReliefCandidate) -> float:
    """Estimate how long a live migration of the candidate would take.

    All its swap has to come back, and all its memory is sent. Memory that changes meanwhile is sent again,
    and so on: a geometric series with the sum size / (bandwidth − dirty rate). The dirty rate is not
    measured; growth is used in its place.
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
    """Yield the candidates in the order in which they are tried, without those that the agent excludes.

    Neighbours in the agent's order are equals if they are on the same side of their covered memory and of
    their request, have the same priority, and their blame is within :data:`EQUAL_BLAME` of the first one's.
    Among equals the order is: VMs that can be live-migrated within ``follow_seconds``, the fastest first,
    because nothing is lost; then pods that are no VMs, which end; then VMs that would take longer.

    Args:
        candidates: the candidates as the agent ranked them.
        rank: the agent's rank; only ``culprit`` has equals.
        follow_seconds: how long a live migration is followed.
    """
    evictable = [candidate for candidate in candidates if not candidate.excluded]
    if rank != "culprit":
        yield from evictable
        return
    equals: list[ReliefCandidate] = []
    for candidate in evictable:
        if equals and not _equal(equals[0], candidate):
            yield from sorted(equals, key=lambda each: _ease(each, follow_seconds))
            equals = []
        equals.append(candidate)
    yield from sorted(equals, key=lambda each: _ease(each, follow_seconds))


def _equal(leader: ReliefCandidate, candidate: ReliefCandidate) -> bool:
    return (
        (leader.beyond_bytes > 0) == (candidate.beyond_bytes > 0)
        and (leader.over_request_bytes > 0) == (candidate.over_request_bytes > 0)
        and leader.priority == candidate.priority
        and abs(leader.blame - candidate.blame) <= EQUAL_BLAME
    )


def _ease(candidate: ReliefCandidate, follow_seconds: float) -> tuple[int, float]:
    seconds = seconds_to_move(candidate)
    if not candidate.virtual_machine:
        return 1, 0.0
    return (0 if seconds <= follow_seconds else 2), seconds
