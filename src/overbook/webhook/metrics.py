"""The webhook's metrics: admissions, and how long they took."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.override.admission import Admission
from overbook.probes.exposition import Histogram, Metric, render

PREFIX: Final = "overbook_webhook_"
MOST_SERIES: Final = 2000
"""The most combinations of outcome, override and namespace; later ones count as namespace ``(other)``."""

BUCKETS: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
"""The buckets of the histogram, in seconds."""


class WebhookMetrics:
    """The counters of one server process."""

    def __init__(self) -> None:
        self.admissions: Counter[tuple[str, str, str]] = Counter()
        self.latency = [0] * (len(BUCKETS) + 1)
        self.latency_sum = 0.0

    def admitted(self, admission: Admission, namespace: str, seconds: float) -> None:
        """Count the review of a pod.

        Args:
            admission: the decision.
            namespace: the pod's namespace; empty: there is no such namespace.
            seconds: how long the review took.
        """
        key = (admission.outcome, admission.source.label, namespace)
        if key not in self.admissions and len(self.admissions) >= MOST_SERIES:
            # This adds at most one more series for each outcome.
            key = (admission.outcome, "", "(other)")
        self.admissions[key] += 1
        self.latency[bisect_left(BUCKETS, seconds)] += 1
        self.latency_sum += seconds

    def counted(self, outcome: str) -> None:
        """Count the review of something other than a pod."""
        self.admissions[outcome, "", ""] += 1

    def render(self, responses: Mapping[int, int], *, ready: bool, connections: int, dropped: int) -> bytes:
        """The exposition.

        Args:
            responses: the number of HTTP answers to reviews by status.
            ready: whether reviews may be sent here.
            connections: the number of connections to the port for reviews.
            dropped: the number of those that were closed because there were too many.
        """
        return render(PREFIX, METRICS, WebhookReading(self, responses, ready, connections, dropped))


class WebhookReading(msgspec.Struct, frozen=True, gc=False):
    """The values from which metrics are computed; the fields are those of :meth:`WebhookMetrics.render`."""

    counts: WebhookMetrics
    responses: Mapping[int, int]
    ready: bool
    connections: int
    dropped: int


METRICS: Final[tuple[Metric[WebhookReading], ...]] = (
    Metric(
        "admissions_total",
        "counter",
        "Reviews answered.",
        lambda of: of.counts.admissions,
        ("outcome", "override", "namespace"),
    ),
    Metric(
        "admission_seconds",
        "histogram",
        "From a review's first byte to its answer.",
        lambda of: Histogram(BUCKETS, of.counts.latency, of.counts.latency_sum),
    ),
    Metric(
        "http_responses_total",
        "counter",
        "HTTP answers by status.",
        lambda of: {str(status): count for status, count in of.responses.items()},
        ("code",),
    ),
    Metric("ready", "gauge", "Whether reviews may be sent here.", lambda of: int(of.ready)),
    Metric("connections", "gauge", "Connections to the port for reviews.", lambda of: of.connections),
    Metric(
        "connections_dropped_total",
        "counter",
        "Connections to the port for reviews that were closed because others needed their place.",
        lambda of: of.dropped,
    ),
)
