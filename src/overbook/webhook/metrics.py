"""The webhook's Prometheus metrics: admissions by outcome, override and namespace, and their duration."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from overbook.core.override.admission import Admission

PREFIX: Final = "overbook_webhook_"
MOST_SERIES: Final = 2000
"""The most combinations of outcome, override and namespace; later ones count as namespace ``(other)``."""

BUCKETS: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
"""The buckets of the histogram, in seconds."""


class WebhookMetrics:
    """The counters of one server process."""

    def __init__(self) -> None:
        self._admissions: Counter[tuple[str, str, str]] = Counter()
        self._latency = [0] * (len(BUCKETS) + 1)
        self._latency_sum = 0.0

    def admitted(self, admission: Admission, namespace: str, seconds: float) -> None:
        """Count the review of a pod."""
        key = (admission.outcome, admission.source.label, namespace)
        if key not in self._admissions and len(self._admissions) >= MOST_SERIES:
            # This adds at most as many series as there are outcomes.
            key = (admission.outcome, "", "(other)")
        self._admissions[key] += 1
        self._latency[bisect_left(BUCKETS, seconds)] += 1
        self._latency_sum += seconds

    def counted(self, outcome: str) -> None:
        """Count a review of something other than a pod."""
        self._admissions[outcome, "", ""] += 1

    def render(self, responses: Mapping[int, int], gauges: Mapping[str, float]) -> bytes:
        """The metrics as text.

        Args:
            responses: HTTP answers to reviews by status.
            gauges: further values by name, without the prefix.
        """
        return "".join(self._lines(responses, gauges)).encode()

    def _lines(self, responses: Mapping[int, int], gauges: Mapping[str, float]) -> Iterator[str]:
        yield f"# HELP {PREFIX}admissions_total Reviews answered.\n# TYPE {PREFIX}admissions_total counter\n"
        for (outcome, override, namespace), count in self._admissions.items():
            labels = f'outcome="{outcome}",override="{_escaped(override)}",namespace="{_escaped(namespace)}"'
            yield f"{PREFIX}admissions_total{{{labels}}} {count}\n"
        name = f"{PREFIX}admission_seconds"
        yield f"# HELP {name} From a review's first byte to its answer.\n# TYPE {name} histogram\n"
        counts = list(accumulate(self._latency))
        for bound, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}\n'
        yield f"{name}_sum {self._latency_sum:.9g}\n{name}_count {counts[-1]}\n"
        name = f"{PREFIX}http_responses_total"
        yield f"# HELP {name} HTTP answers by status.\n# TYPE {name} counter\n"
        for status, count in responses.items():
            yield f'{name}{{code="{status}"}} {count}\n'
        for gauge, value in gauges.items():
            help_text = gauge.replace("_", " ").capitalize()
            yield f"# HELP {PREFIX}{gauge} {help_text}.\n# TYPE {PREFIX}{gauge} gauge\n"
            yield f"{PREFIX}{gauge} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
