"""Budgets: how many pods may be leaving at once, and which node comes first.

Budgets are counted from the API's objects for each plan and never stored, so no crash can leave a wrong
count.
"""

from collections import Counter
from collections.abc import Iterable

from overbook.core.relief.case import ClusterCase, NodeCase
from overbook.core.relief.migrating import migration_of
from overbook.core.relief.record import in_flight
from overbook.core.timestamp import from_timestamp


class Budgets:
    """The budgets of one plan. Each relief that the plan begins takes a place in them.

    Args:
        cases: all nodes that request relief or have a relief under way.
        cluster: the limits, and the live migrations under way.
    """

    def __init__(self, cases: Iterable[NodeCase], cluster: ClusterCase) -> None:
        self._cluster = cluster
        under_way = [case for case in cases if in_flight(case.record)]
        self._taken = len(under_way)
        # As KubeVirt counts them: pending ones have no place yet, and may wait for minutes after a failure.
        running = [known for known in cluster.migrations if known.takes_a_place]
        self._migrations = len(running)
        self._outbound = Counter(known.source_node for known in running)
        for case in under_way:
            if case.record.how != "Migrated" or case.record.stage == "Ending":
                continue
            seen = migration_of(case, running)
            if seen is None:  # KubeVirt has not begun it yet
                self._migrations += 1
            if seen is None or seen.source_node != case.name:
                self._outbound[case.name] += 1

    def full(self) -> str:
        """Return why no other pod may be evicted now; empty if one may."""
        limit = self._cluster.spec.per_cluster
        if self._taken < limit:
            return ""
        return f"the cluster's limit of {limit} reliefs at once (relief.perCluster) is used up"

    def migrations_full(self, node: str) -> str:
        """Return why no other live migration away from a node may begin now; empty if one may."""
        limits = self._cluster.limits
        if limits is None:
            return "KubeVirt's limits are not known yet"
        if self._migrations >= limits.per_cluster:
            return f"KubeVirt's limit of {limits.per_cluster} live migrations at once is used up"
        if self._outbound[node] >= limits.per_node:
            return f"KubeVirt's limit of {limits.per_node} live migrations away from {node} is used up"
        return ""

    def take(self, node: str, *, migrates: bool) -> None:
        """Take a place for a pod of the node."""
        self._taken += 1
        if migrates:
            self._migrations += 1
            self._outbound[node] += 1


def turn(case: NodeCase, now: float) -> tuple[bool, float, str]:
    """Return the sort key of a node: critical ones first, then the one that has waited longest.

    A node waits since its decision, or since its last relief, whatever the result of that was. So a node
    whose candidates all refuse goes behind the others and does not block them.
    """
    decided = from_timestamp(case.request.decided_at) if case.request else None
    last = case.record.outcomes[0] if case.record.outcomes else None
    relieved = from_timestamp(last.finished_at) if last else None
    since = max((moment for moment in (decided, relieved) if moment is not None), default=now)
    return not case.critical, min(since, now), case.name
