"""Budgets: how many guests may be on their way at once, and whose turn it is.

A budget is counted anew from what is written and seen, never kept: whatever crashed, it is right again.
"""

from collections import Counter
from collections.abc import Iterable

from overbook.core.relief.case import ClusterCase, NodeCase
from overbook.core.relief.follow import migration_of
from overbook.core.relief.record import in_flight
from overbook.core.timestamp import from_timestamp


class Budgets:
    """What is left of the budgets; whoever takes a place takes it here.

    Args:
        cases: all nodes for which something was begun or asked.
        cluster: limits, and the migrations that run.
    """

    def __init__(self, cases: Iterable[NodeCase], cluster: ClusterCase) -> None:
        self._cluster = cluster
        flying = [case for case in cases if in_flight(case.record)]
        self._taken = len(flying)
        unfinished = [known for known in cluster.migrations if not known.is_over]
        self._migrations = len(unfinished)
        self._outbound = Counter(known.source_node for known in unfinished)
        for case in flying:
            if case.record.how != "Migrated" or case.record.stage == "Ending":
                continue
            seen = migration_of(case, unfinished)
            if seen is None:  # KubeVirt has not made its object yet
                self._migrations += 1
            if seen is None or seen.source_node != case.name:
                self._outbound[case.name] += 1

    def full(self) -> str:
        """Why no further guest may be asked; empty: one may."""
        limit = self._cluster.spec.per_cluster
        if self._taken < limit:
            return ""
        return f"the cluster's limit of {limit} guests at once (relief.perCluster) is used up"

    def migrations_full(self, node: str) -> str:
        """Why no further live migration may be set off from a node; empty: one may."""
        limits = self._cluster.limits
        if limits is None:
            return "KubeVirt's limits are not known yet"
        if self._migrations >= limits.per_cluster:
            return f"KubeVirt's limit of {limits.per_cluster} live migrations at once is used up"
        if self._outbound[node] >= limits.per_node:
            return f"KubeVirt's limit of {limits.per_node} live migrations away from {node} is used up"
        return ""

    def take(self, node: str, *, migrates: bool) -> None:
        """A guest of the node goes."""
        self._taken += 1
        if migrates:
            self._migrations += 1
            self._outbound[node] += 1


def turn(case: NodeCase, now: float) -> tuple[bool, float, str]:
    """Sorts nodes that want a place: critical ones first, then who has waited longest.

    Waiting begins with the decision, or with the node's last relief, whatever became of it: so a node whose
    guests come to nothing goes round behind the others and starves nobody.
    """
    decided = from_timestamp(case.request.decided_at) if case.request else None
    last = case.record.outcomes[0] if case.record.outcomes else None
    served = from_timestamp(last.finished_at) if last else None
    since = max((moment for moment in (decided, served) if moment is not None), default=now)
    return not case.critical, min(since, now), case.name
