"""Patience: for how long trouble is given time to pass before a pod is evicted, without an edge.

A pod within its covered memory is given the long patience: a burst passes, and the kernel needs seconds to
tell hot memory from cold. A pod beyond is given less, the further it is beyond: its going would end the
trouble, and it uses what is meant for others.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import FiredRule
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import Rule
from overbook.core.pressure.stall import StallClock

CAUSE_SHARE: Final = 0.25
"""Pods beyond with less than this share of all burden are not the cause, and their going would end little."""
IMMINENT_SECONDS: Final = 2.0
"""With so little time left before memory runs out, the kernel's OOM killer is the alternative."""
FAR_PERCENT: Final = 1.0
"""A share of the node's RAM. A pod that is beyond by so much is far beyond: less would not end a shortage."""


def share_to_blame(ranked: Sequence[Candidate], memory_bytes: int) -> float:
    """How far the first candidate, if it may be evicted, is to blame; see `blame_of`, 0 to 1."""
    if not ranked or ranked[0].excluded:
        return 0.0
    return blame_of(ranked[0], ranked, memory_bytes)


def blame_of(pod: Candidate, pods: Sequence[Candidate], memory_bytes: int) -> float:
    """How far a pod is beyond its covered memory, and pods beyond are the cause of the trouble, 0 to 1.

    0 within its covered memory, 1 if it is far beyond and the pods beyond have a large part of all burden;
    steady in between.

    Args:
        pod: the pod.
        pods: all pods, this one among them.
        memory_bytes: the node's RAM.
    """
    if memory_bytes <= 0:
        return 0.0
    far = pod.beyond_bytes / (memory_bytes * FAR_PERCENT / 100)
    burden = sum(each.burden_bytes for each in pods)
    beyond = sum(each.burden_bytes for each in pods if each.beyond_bytes > 0)
    cause = beyond / (burden * CAUSE_SHARE) if burden > 0 else 0.0
    return min(1.0, far) * min(1.0, cause)


def stall_seconds(policy: ReclaimPolicy, share: float) -> float:
    """For how long work may stall before the pod is evicted."""
    return policy.promise_patience_seconds + share * (
        policy.patience_seconds - policy.promise_patience_seconds
    )


def documented_seconds(policy: ReclaimPolicy, share: float) -> float:
    """For how long a documented rule may fire while nothing stalls.

    The documents evict at once. So does this where a pod is far beyond; where all pods are within their
    covered memory and none stalls, nobody is harmed and nobody has to leave (ADR 0019).
    """
    return policy.promise_patience_seconds * (1 - share) if share > 0 else math.inf


def urgent_seconds(within_seconds: float, share: float) -> float:
    """How near the end of memory has to be for the pod to be evicted at once.

    Args:
        within_seconds: the time that an eviction takes.
        share: how far the first candidate is to blame. One that is not may stop in time.
    """
    return IMMINENT_SECONDS + share * max(0.0, within_seconds - IMMINENT_SECONDS)


class Patience:
    """Knows for how long rules have fired, and whether that is too long.

    Args:
        policy: the longest and the shortest patience.
    """

    def __init__(self, policy: ReclaimPolicy) -> None:
        self._policy = policy
        self._stall = StallClock()
        self._trouble = StallClock()

    def seen(self, rules: Collection[Rule], now: float) -> None:
        """Note which rules fire now."""
        self._stall.seen(any(rule.is_about_stalls for rule in rules), now)
        self._trouble.seen(bool(rules), now)

    @property
    def stalling(self) -> bool:
        """Whether a rule on stalls fires, or did a moment ago."""
        return self._stall.running

    def age_seconds(self, now: float) -> float:
        """The time since rules began to fire."""
        return self._trouble.age_seconds(now)

    def is_over(self, found: Iterable[tuple[Rule, FiredRule]], share: float, *, absorbing: bool) -> bool:
        """Whether the first candidate has to leave now.

        Args:
            found: the rules that fire, with their findings.
            share: how far the first candidate is to blame, 0-1.
            absorbing: whether memory is swapped out and stays out. Then a pod that is not to blame need not
                leave.
        """
        for rule, finding in found:
            if rule.urgent_seconds:
                if finding.numbers["secondsLeft"] <= urgent_seconds(rule.urgent_seconds, share):
                    return True
            elif not rule.is_about_stalls and self._trouble.seconds >= documented_seconds(
                self._policy, share
            ):
                return True
        if not self._stall.running:
            return False
        in_vain = self._stall.seconds_in_vain(absorbing=absorbing)
        waited = share * self._stall.seconds + (1 - share) * in_vain
        return not (absorbing and share <= 0) and waited >= stall_seconds(self._policy, share)
