"""What Prometheus reads: the node, the decisions and the agent itself, in the text exposition format."""

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.overcommit.writer import WRITERS
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.model import NodeModel, pod_models
from overbook.core.pressure.sample import Sample

PREFIX = "overbook_"


class TickFacts(msgspec.Struct, frozen=True, gc=False):
    """What one tick showed. Worked out only when somebody asks, which is seldomer than each tick.

    Attributes:
        node: the node's model.
        sample: what was read.
        facts: what is known of the pods, by UID.
        allowances: what each container may swap.
        relief_active: whether a guest is on its way out.
    """

    node: NodeModel
    sample: Sample
    facts: Mapping[str, PodFacts]
    allowances: Mapping[tuple[str, str], SwapDecision]
    relief_active: bool

    @property
    def swap_allowed_bytes(self) -> int:
        """The sum of all allowances."""
        return sum(decision.swap_max_bytes for decision in self.allowances.values())


class AgentMetrics:
    """Counts over the agent's life, and the last tick."""

    def __init__(self) -> None:
        self.ticks = 0
        self.tick_seconds = 0.0
        self.last_tick_wall_seconds = 0.0
        self.failed_ticks = 0
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.relief: Counter[str] = Counter()
        self.reclaimed_bytes = 0
        self.latest: TickFacts | None = None
        self.writer = ""
        """Who writes swap limits."""

    def decided(self, decision: Decision) -> None:
        """Count a decision under its rule and action; rules are as many as the ruleset has."""
        self.decisions[decision.findings[0].rule, decision.action] += 1

    def render(self, others: Mapping[str, float]) -> bytes:
        """The exposition.

        Args:
            others: further single values by name, without the prefix; ``_total`` at the end makes a counter.
        """
        return "".join(self._lines(others)).encode()

    def _lines(self, others: Mapping[str, float]) -> Iterator[str]:
        yield from _metric("ticks_total", "Samples taken.", {"": self.ticks})
        yield from _metric("failed_ticks_total", "Ticks that ended in an error.", {"": self.failed_ticks})
        yield from _metric("tick_seconds_total", "Time spent in ticks.", {"": self.tick_seconds})
        yield from _metric(
            "last_tick_timestamp_seconds",
            "When the last sample was taken.",
            {"": self.last_tick_wall_seconds},
        )
        yield from _metric(
            "decisions_total",
            "Decisions by rule and action.",
            {_labels(rule=rule, action=action): count for (rule, action), count in self.decisions.items()},
        )
        yield from _metric(
            "relief_total",
            "Guests asked to go, by outcome.",
            {_labels(outcome=outcome): count for outcome, count in self.relief.items()},
        )
        yield from _metric("reclaim_asked_bytes_total", "Pushed out on request.", {"": self.reclaimed_bytes})
        yield from _metric(
            "swap_writer",
            "Who writes swap limits.",
            {_labels(writer=each): int(each == self.writer) for each in WRITERS},
        )
        for name, value in others.items():
            yield from _metric(name, name.replace("_", " ").capitalize() + ".", {"": value})
        if self.latest is not None:
            yield from _tick_lines(self.latest)


def _tick_lines(tick: TickFacts) -> Iterator[str]:
    node = tick.node
    yield from _metric("node_memory_bytes", "RAM.", {"": node.memory_total_bytes})
    if node.memory_available_bytes is not None:
        yield from _metric("node_memory_available_bytes", "MemAvailable.", {"": node.memory_available_bytes})
    yield from _metric("node_swap_bytes", "Swap.", {"": node.swap_total_bytes})
    yield from _metric("node_swap_used_bytes", "Swap in use.", {"": node.swap_used_bytes})
    yield from _metric("node_swap_allowed_bytes", "Sum of all allowances.", {"": tick.swap_allowed_bytes})
    yield from _metric("relief_active", "Whether a guest is on its way out.", {"": int(tick.relief_active)})
    pods = pod_models((tick.sample,))
    named = {uid: _labels(pod=pod.label) for uid, pod in tick.facts.items() if uid in pods}
    yield from _metric(
        "pod_working_set_bytes",
        "Memory in use without inactive file pages.",
        {label: pods[uid].working_set_bytes for uid, label in named.items()},
    )
    yield from _metric(
        "pod_swap_bytes", "Swap in use.", {label: pods[uid].swap_bytes for uid, label in named.items()}
    )


def _metric(name: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    yield f"# HELP {PREFIX}{name} {text}\n# TYPE {PREFIX}{name} {kind}\n"
    for labels, value in values.items():
        yield f"{PREFIX}{name}{labels} {value:.17g}\n"


def _labels(**labels: str) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

    return "{" + ",".join(f'{key}="{escaped(value)}"' for key, value in labels.items()) + "}"
