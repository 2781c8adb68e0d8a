"""The controller's metrics."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.controller.situation import ClusterSituation
from overbook.probes.exposition import Metric, Values, render

PREFIX: Final = "overbook_controller_"


class ControllerMetrics:
    """The counters of one process. They go on if it loses the lease and gets it again."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.plans = 0
        self.plan_seconds = 0.0
        self.taints_cleared = 0
        self.conditions_written = 0
        self.events_dropped = 0
        self.leads = False

    def render(self, situation: ClusterSituation | None) -> bytes:
        """The exposition.

        Args:
            situation: the state of the cluster; ``None`` if this replica does not lead.
        """
        return render(PREFIX, METRICS, ControllerReading(self, situation))


class ControllerReading(msgspec.Struct, frozen=True, gc=False):
    """The values from which the metrics are computed.

    Attributes:
        counts: the counters since the start of the process.
        situation: the state of the cluster; ``None`` if this replica does not lead.
    """

    counts: ControllerMetrics
    situation: ClusterSituation | None


def _known(read: Callable[[ClusterSituation], Values]) -> Callable[[ControllerReading], Values]:
    """A metric's value that only the leading replica has."""
    return lambda of: None if of.situation is None else read(of.situation)


METRICS: Final[tuple[Metric[ControllerReading], ...]] = (
    Metric("leader", "gauge", "Whether this replica leads.", lambda of: int(of.counts.leads)),
    Metric("plans_total", "counter", "Plans made from all requests.", lambda of: of.counts.plans),
    Metric("plan_seconds_total", "counter", "Time spent on plans.", lambda of: of.counts.plan_seconds),
    Metric(
        "evictions_total",
        "counter",
        "Evictions and deletions requested, by the meaning of the API server's answer.",
        lambda of: of.counts.answers,
        ("answer",),
    ),
    Metric(
        "events_dropped_total",
        "counter",
        "Events dropped for newer ones, because more are recorded than may be sent.",
        lambda of: of.counts.events_dropped,
    ),
    Metric(
        "overcommit_usable",
        "gauge",
        "0 while there is no Overcommit that can be followed: then no relief begins.",
        _known(lambda now: int(now.overcommit.problem is None)),
    ),
    Metric(
        "events_total", "counter", "Events reported, by reason.", lambda of: of.counts.events, ("reason",)
    ),
    Metric(
        "failures_total", "counter", "Steps that failed, by step.", lambda of: of.counts.failures, ("step",)
    ),
    Metric(
        "taints_cleared_total",
        "counter",
        "Taints removed from nodes without a reporting agent.",
        lambda of: of.counts.taints_cleared,
    ),
    Metric(
        "conditions_written_total",
        "counter",
        "Node conditions written.",
        lambda of: of.counts.conditions_written,
    ),
    Metric(
        "nodes",
        "gauge",
        "Nodes by stage of their relief.",
        _known(lambda now: Counter(record.stage or "None" for record in now.records.nodes.values())),
        ("stage",),
    ),
    Metric(
        "nodes_reporting",
        "gauge",
        "Nodes with an OvercommitNode.",
        _known(lambda now: len(now.asking.objects)),
    ),
    Metric(
        "nodes_asking",
        "gauge",
        "Nodes that request relief.",
        _known(lambda now: sum(node.status.request is not None for node in now.asking.objects.values())),
    ),
    Metric(
        "destinations",
        "gauge",
        "Nodes to which a VM could be live-migrated.",
        _known(lambda now: len(now.destinations)),
    ),
    Metric(
        "migrations_unfinished",
        "gauge",
        "Live migrations that have not ended.",
        _known(lambda now: sum(not migration.is_over for migration in now.kubevirt.migrations)),
    ),
)
