"""Patience: for how long trouble is given time to pass before a pod is evicted, without an edge.

A pod within its covered memory is given the long patience: a burst passes, and the kernel needs seconds to
tell hot memory from cold. A pod beyond is given less, the further it is beyond: its going would end the
trouble, and it uses what is meant for others.
"""

from typing import Final

from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.reclaim import ReclaimPolicy

FAR_PERCENT: Final = 1.0
"""A share of the node's RAM. A pod that is beyond by so much is far beyond: less would not end a shortage."""


def share_beyond(candidate: Candidate | None, memory_bytes: int) -> float:
    """How far a pod is beyond its covered memory: 0 within it, 1 far beyond; steady in between.

    Args:
        candidate: the pod; ``None``: there is none, 0.
        memory_bytes: the node's RAM.
    """
    if candidate is None or memory_bytes <= 0:
        return 0.0
    return min(1.0, candidate.beyond_bytes / (memory_bytes * FAR_PERCENT / 100))


def stall_patience_seconds(policy: ReclaimPolicy, share: float) -> float:
    """For how long work may stall before the pod is evicted."""
    return policy.promise_patience_seconds + share * (
        policy.patience_seconds - policy.promise_patience_seconds
    )


def documented_patience_seconds(policy: ReclaimPolicy, share: float) -> float | None:
    """For how long a documented rule may fire while nothing stalls; ``None``: for ever.

    The documents evict at once. So does this where a pod is far beyond; where all pods are within their
    covered memory and none stalls, nobody is harmed and nobody has to leave (ADR 0019).
    """
    return policy.promise_patience_seconds * (1 - share) if share > 0 else None
