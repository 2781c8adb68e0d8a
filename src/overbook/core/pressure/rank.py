"""The ranks of the candidates: ``culprit`` is Overbook's own, ``original`` is the order of wasp-agent.

Source of ``original``: wasp-agent's ranking as of 2025-04, before its eviction was removed.
"""

from collections.abc import Iterable

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.model import PodModel


class MemoryUsage(msgspec.Struct, frozen=True, gc=False):
    """The holdings of a pod or container, in bytes."""

    working_set_bytes: int
    swap_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Memory in RAM and in swap together."""
        return self.working_set_bytes + self.swap_bytes


class RankInput(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The numbers of a pod by which the rank ``original`` sorts.

    Attributes:
        key: the caller's key for the pod (its UID).
        priority: the pod's priority; higher is evicted later.
        request_bytes: the pod's memory request, see ``original_request_bytes`` in ``core.overcommit.facts``.
        over_limit: whether a container holds more than its memory limit in RAM and swap.
        usage: the pod's holdings; ``None``: there are no statistics.
    """

    key: str
    priority: int = 0
    request_bytes: int = 0
    over_limit: bool = False
    usage: MemoryUsage | None = None


def rank_input(model: PodModel, facts: PodFacts) -> RankInput:
    """Return the numbers of a pod by which the rank ``original`` sorts."""
    limits = {container.name: container.memory_limit_bytes for container in facts.containers}
    return RankInput(
        key=model.uid,
        priority=facts.priority,
        request_bytes=facts.original_request_bytes,
        over_limit=any(
            (limit := limits.get(name)) is not None and held > limit for name, _, held in model.containers
        ),
        usage=MemoryUsage(model.usage_bytes - model.swap_bytes, model.swap_bytes),
    )


def rank_original(pods: Iterable[RankInput]) -> list[RankInput]:
    """Sort pods by the rank ``original``, the first to be evicted first.

    Pods without statistics come first, lower priority before higher. Then: a container over its limit
    before none, over the request before not, lower priority before higher, more bytes over the request
    before fewer. Pods that are equal in all of this stay in the order given (as in wasp-agent up to twelve
    pods; beyond that wasp-agent's order among equals is arbitrary).
    """
    return sorted(pods, key=_original_key)


def _original_key(pod: RankInput) -> tuple[bool, bool, bool, int, int]:
    if pod.usage is None:
        return (False, False, False, pod.priority, 0)
    over = pod.usage.total_bytes - pod.request_bytes
    return (True, not pod.over_limit, over <= 0, pod.priority, -over)


def rank_culprit(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sort candidates by the rank ``culprit``, the first to be evicted first.

    Pods beyond their covered memory come before all others, at any priority. Among these, the ones whose
    burden is at least half of the largest come first: going, each of them helps about as much. Then lower
    priority before higher, and the larger burden. The others follow by priority and blame: a pod that may
    swap is meant to hold more than its request.
    """
    found = list(candidates)
    largest = max((c.burden_bytes for c in found if c.beyond_bytes > 0 and not c.excluded), default=0.0)
    beyond = [candidate for candidate in found if candidate.beyond_bytes > 0]
    beyond.sort(key=lambda c: (c.burden_bytes * 2 < largest, c.priority, -c.burden_bytes, c.label))
    within = sorted((c for c in found if c.beyond_bytes <= 0), key=_within_key)
    return beyond + within


def _within_key(candidate: Candidate) -> tuple[int, float, int, str]:
    return (
        candidate.priority,
        # Rounded, so that a share's last digit never decides; then the larger holder first, then by name.
        -round(candidate.blame, 3),
        -candidate.over_request_bytes,
        candidate.label,
    )
