"""What Prometheus reads of an agent: the node, the decisions and the agent itself."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.agent.tick import AgentTick
from overbook.core.overcommit.writer import WRITERS
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.model import PodModel, pod_models
from overbook.probes.exposition import Kind, Metric, Values, render

PREFIX: Final = "overbook_"


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
        self.latest: AgentTick | None = None
        self.writer = ""
        """Who writes swap limits."""

    def decided(self, decision: Decision) -> None:
        """Count a decision under its rule and action; rules are as many as the ruleset has."""
        self.decisions[decision.findings[0].rule, decision.action] += 1

    def render(self, others: Mapping[str, float]) -> bytes:
        """The exposition.

        Args:
            others: values that the parts of the agent count, by name.
        """
        tick, pods = self.latest, None
        if tick is not None:
            models = pod_models((tick.sample,))
            pods = {facts.label: models[uid] for uid, facts in tick.facts.items() if uid in models}
        return render(PREFIX, METRICS, AgentReading(self, others, pods))


class AgentReading(msgspec.Struct, frozen=True, gc=False):
    """What the metrics are read from.

    Attributes:
        agent: counts over the agent's life, and the last tick.
        others: values that the parts of the agent count, by name.
        pods: those of the last tick that run and are known, by label; ``None``: there was no tick yet.
    """

    agent: AgentMetrics
    others: Mapping[str, float]
    pods: Mapping[str, PodModel] | None


def _other(name: str, kind: Kind, text: str) -> Metric[AgentReading]:
    """A value that a part of the agent counts; without that part there is none."""
    return Metric(name, kind, text, lambda of: of.others.get(name))


def _of_tick(read: Callable[[AgentTick], Values]) -> Callable[[AgentReading], Values]:
    """What the last tick showed; before the first one there is nothing."""
    return lambda of: None if of.agent.latest is None else read(of.agent.latest)


def _of_pods(read: Callable[[PodModel], float]) -> Callable[[AgentReading], Values]:
    """A number for each pod that runs and is known."""
    return lambda of: None if of.pods is None else {label: read(pod) for label, pod in of.pods.items()}


METRICS: Final[tuple[Metric[AgentReading], ...]] = (
    Metric("ticks_total", "counter", "Samples taken.", lambda of: of.agent.ticks),
    Metric(
        "failed_ticks_total", "counter", "Ticks that ended in an error.", lambda of: of.agent.failed_ticks
    ),
    Metric("tick_seconds_total", "counter", "Time spent in ticks.", lambda of: of.agent.tick_seconds),
    Metric(
        "last_tick_timestamp_seconds",
        "gauge",
        "When the last sample was taken.",
        lambda of: of.agent.last_tick_wall_seconds,
    ),
    Metric(
        "decisions_total",
        "counter",
        "Decisions by rule and action.",
        lambda of: of.agent.decisions,
        ("rule", "action"),
    ),
    Metric(
        "relief_total",
        "counter",
        "Pods asked to leave, by outcome.",
        lambda of: of.agent.relief,
        ("outcome",),
    ),
    Metric(
        "reclaim_asked_bytes_total", "counter", "Swapped out on request.", lambda of: of.agent.reclaimed_bytes
    ),
    Metric(
        "swap_writer",
        "gauge",
        "Who writes swap limits.",
        lambda of: {each: int(each == of.agent.writer) for each in WRITERS},
        ("writer",),
    ),
    _other("swap_limits_written_total", "counter", "Swap limits written."),
    _other("swap_limits_corrected_total", "counter", "Swap limits written that something else had changed."),
    _other("swap_limits_differing", "gauge", "Containers with another swap limit than they should have."),
    _other("qos_memory_max_written_total", "counter", "Memory limits of QoS classes written."),
    _other("unreadable_files_total", "counter", "Reads that failed."),
    _other("containers", "gauge", "Containers that are sampled."),
    _other("pods_known", "gauge", "Pods whose manifests are known."),
    _other("nri_connected", "gauge", "Whether the container runtime has taken the agent in."),
    _other("nri_connections_total", "counter", "How often the container runtime took the agent in."),
    _other("nri_adjusted_total", "counter", "Containers that started with their swap limit."),
    _other("nri_kept_total", "counter", "Updates by others in which a swap limit was kept."),
    _other("nri_left_alone_total", "counter", "Containers whose swap limit was left to somebody else."),
    _other("api_contact_age_seconds", "gauge", "Time since the API server last answered a write."),
    _other("api_unreachable_seconds", "gauge", "For how long the API server has not answered; 0: it does."),
    _other("api_failures_total", "counter", "Writes that the API server did not answer."),
    _other("api_publishes_total", "counter", "Statuses written."),
    _other("api_thread_restarts_total", "counter", "How often the thread for the API failed."),
    _other("events_waiting", "gauge", "Events that are not sent yet."),
    _other("events_dropped_total", "counter", "Events given up for newer ones."),
    _other("enforcing", "gauge", "Whether the agent changes anything."),
    _other("paused", "gauge", "Whether overcommit is paused."),
    _other("tainted", "gauge", "Whether the node is tainted."),
    _other("yielding", "gauge", "Whether another agent writes for this node."),
    Metric("node_memory_bytes", "gauge", "RAM.", _of_tick(lambda tick: tick.node.memory_total_bytes)),
    Metric(
        "node_memory_available_bytes",
        "gauge",
        "MemAvailable.",
        _of_tick(lambda tick: tick.node.memory_available_bytes),
    ),
    Metric("node_swap_bytes", "gauge", "Swap.", _of_tick(lambda tick: tick.node.swap_total_bytes)),
    Metric("node_swap_used_bytes", "gauge", "Swap in use.", _of_tick(lambda tick: tick.node.swap_used_bytes)),
    Metric(
        "node_swap_allowed_bytes",
        "gauge",
        "Sum of all allowances.",
        _of_tick(lambda tick: tick.swap_allowed_bytes),
    ),
    Metric(
        "relief_active", "gauge", "Whether a pod is leaving.", _of_tick(lambda tick: int(tick.relief_active))
    ),
    Metric(
        "pod_working_set_bytes",
        "gauge",
        "Memory in use without inactive file pages.",
        _of_pods(lambda pod: pod.working_set_bytes),
        ("pod",),
    ),
    Metric("pod_swap_bytes", "gauge", "Swap in use.", _of_pods(lambda pod: pod.swap_bytes), ("pod",)),
)
