"""The controller's Prometheus metrics, in the text exposition format."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

PREFIX: Final = "overbook_controller_"


class ControllerMetrics:
    """The counters of one process; they continue when the lead is lost and won again."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.plans = 0
        self.plan_seconds = 0.0
        self.taints_cleared = 0
        self.conditions_written = 0
        self.leads = False

    def render(self, now: Mapping[str, float], stages: Mapping[str, int]) -> bytes:
        """The metrics as text.

        Args:
            now: present values by name without the prefix.
            stages: the number of nodes by stage.
        """
        return "".join(self._lines(now, stages)).encode()

    def _lines(self, now: Mapping[str, float], stages: Mapping[str, int]) -> Iterator[str]:
        yield from _metric("leader", "Whether this replica leads.", {"": int(self.leads)})
        yield from _metric("plans_total", "Plans made from all requests.", {"": self.plans})
        yield from _metric("plan_seconds_total", "Time spent on plans.", {"": self.plan_seconds})
        yield from _metric(
            "evictions_total",
            "Evictions and deletions requested, by the meaning of the API server's answer.",
            _labelled("answer", self.answers),
        )
        yield from _metric("events_total", "Events reported, by reason.", _labelled("reason", self.events))
        yield from _metric("failures_total", "Steps that failed, by step.", _labelled("step", self.failures))
        yield from _metric(
            "taints_cleared_total",
            "Taints removed from nodes without a reporting agent.",
            {"": self.taints_cleared},
        )
        yield from _metric(
            "conditions_written_total", "Node conditions written.", {"": self.conditions_written}
        )
        yield from _metric("nodes", "Nodes by stage of their relief.", _labelled("stage", stages))
        for name, value in now.items():
            yield from _metric(name, name.replace("_", " ").capitalize() + ".", {"": value})


def _metric(name: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    yield f"# HELP {PREFIX}{name} {text}\n# TYPE {PREFIX}{name} {kind}\n"
    for labels, value in values.items():
        yield f"{PREFIX}{name}{labels} {value:.17g}\n"


def _labelled(label: str, counts: Mapping[str, float]) -> dict[str, float]:
    """The values by label. All label values are fixed words, so nothing has to be escaped."""
    return {f'{{{label}="{word}"}}': count for word, count in sorted(counts.items())}
