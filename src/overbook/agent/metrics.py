"""The agent's metrics for Prometheus: the node, the decisions and the agent itself."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.agent.tick import AgentTick
from overbook.core.overcommit.writer import WRITERS
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.model import NodeModel, PodModel, pod_models
from overbook.probes.exposition import Kind, Metric, Values, render

PREFIX: Final = "overbook_"


class AgentMetrics:
    """Holds the counts since the agent's start, and the last tick."""

    def __init__(self) -> None:
        self.ticks = 0
        self.tick_seconds = 0.0
        self.last_tick_wall_seconds = 0.0
        self.failed_ticks = 0
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.relief: Counter[str] = Counter()
        self.reclaimed_bytes = 0
        self.reclaim_cpu_seconds = 0.0
        self.latest: AgentTick | None = None
        self.writer = ""
        """The writer of swap limits in use."""

    def decided(self, decision: Decision) -> None:
        """Count a decision by rule and action; there are only as many rules as in the ruleset."""
        self.decisions[decision.findings[0].rule, decision.action] += 1

    def render(self, others: Mapping[str, float]) -> bytes:
        """Return the metrics as text.

        Args:
            others: values that the parts of the agent count, by name.
        """
        tick, pods = self.latest, None
        if tick is not None:
            models = pod_models((tick.sample,))
            pods = {facts.label: models[uid] for uid, facts in tick.facts.items() if uid in models}
        return render(PREFIX, METRICS, AgentReading(self, others, pods))


class AgentReading(msgspec.Struct, frozen=True, gc=False):
    """The values from which the metrics are made.

    Attributes:
        agent: counts since the agent's start, and the last tick.
        others: values that the parts of the agent count, by name.
        pods: the known pods with cgroups in the last tick, by label; ``None``: there was no tick yet.
    """

    agent: AgentMetrics
    others: Mapping[str, float]
    pods: Mapping[str, PodModel] | None


def _other(name: str, kind: Kind, text: str) -> Metric[AgentReading]:
    """Make the metric of a value that a part of the agent counts; without that part it has no value."""
    return Metric(name, kind, text, lambda of: of.others.get(name))


def _of_tick(read: Callable[[AgentTick], Values]) -> Callable[[AgentReading], Values]:
    """Read a value from the last tick; before the first tick there is none."""
    return lambda of: None if of.agent.latest is None else read(of.agent.latest)


def _of_pods(read: Callable[[PodModel], float]) -> Callable[[AgentReading], Values]:
    """Read a number for each pod of the last tick; before the first tick there is none."""
    return lambda of: None if of.pods is None else {label: read(pod) for label, pod in of.pods.items()}


def _of_domain(tick: AgentTick, read: Callable[[NodeModel], int | None]) -> Values:
    """Read a number of the domain that was looked at, by its cgroup; before the first look there is none."""
    domain = tick.domain
    number = None if domain is None else read(domain.sizes)
    return None if domain is None or number is None else {domain.path or "node": number}


METRICS: Final[tuple[Metric[AgentReading], ...]] = (
    Metric("ticks_total", "counter", "Ticks begun.", lambda of: of.agent.ticks),
    Metric(
        "failed_ticks_total", "counter", "Ticks that ended in an error.", lambda of: of.agent.failed_ticks
    ),
    Metric("tick_seconds_total", "counter", "Time spent in ticks.", lambda of: of.agent.tick_seconds),
    Metric(
        "last_tick_timestamp_seconds",
        "gauge",
        "When the last successful tick began.",
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
        "Reliefs that ended, by outcome.",
        lambda of: of.agent.relief,
        ("outcome",),
    ),
    Metric(
        "reclaim_asked_bytes_total",
        "counter",
        "Bytes requested from the kernel through memory.reclaim.",
        lambda of: of.agent.reclaimed_bytes,
    ),
    Metric(
        "reclaim_cpu_seconds_total",
        "counter",
        "CPU time of memory.reclaim.",
        lambda of: of.agent.reclaim_cpu_seconds,
    ),
    Metric(
        "offloadable_bytes",
        "gauge",
        "Memory that offload would swap out now; no value where it does so, and where it is off.",
        _of_tick(lambda tick: tick.offloadable_bytes),
    ),
    Metric(
        "offloaded_bytes",
        "gauge",
        "RAM that offload has bought: what it swapped out and has not come back.",
        _of_tick(lambda tick: tick.offloaded_bytes),
    ),
    Metric(
        "swap_writer",
        "gauge",
        "1 for the writer of swap limits in use.",
        lambda of: {each: int(each == of.agent.writer) for each in WRITERS},
        ("writer",),
    ),
    _other("swap_limits_written_total", "counter", "Swap limits written."),
    _other(
        "swap_limits_corrected_total",
        "counter",
        "Swap limits written that another program had changed.",
    ),
    _other(
        "swap_limits_differing",
        "gauge",
        "Containers with a wrong swap limit that the agent does not write.",
    ),
    _other("qos_memory_max_written_total", "counter", "Memory limits of QoS classes written."),
    _other("unreadable_files_total", "counter", "Reads of kernel files that failed."),
    _other("containers", "gauge", "Containers that are sampled."),
    _other("pods_known", "gauge", "Pods whose manifests are known."),
    _other("pods_misplaced", "gauge", "Running pods without a container cgroup."),
    _other("containers_without_swap_accounting", "gauge", "Containers whose swap the kernel does not count."),
    _other("nri_connected", "gauge", "Whether the container runtime has accepted the agent as a plugin."),
    _other(
        "nri_connections_total",
        "counter",
        "Times that the container runtime accepted the agent as a plugin.",
    ),
    _other("nri_adjusted_total", "counter", "Containers that started with their swap limit, by NRI."),
    _other("nri_kept_total", "counter", "Updates by other plugins in which a swap limit was kept."),
    _other(
        "nri_left_alone_total",
        "counter",
        "Times that a swap limit was left to another plugin or kubelet.",
    ),
    _other("api_contact_age_seconds", "gauge", "Time since the API server last answered a write."),
    _other("api_unreachable_seconds", "gauge", "Time without an answer of the API server; 0: it answers."),
    _other("api_failures_total", "counter", "Writes that the API server did not answer."),
    _other("api_publishes_total", "counter", "Statuses of the node written."),
    _other("api_heartbeats_total", "counter", "Renewals of the node's Lease."),
    _other("api_thread_restarts_total", "counter", "How often the thread for the API failed."),
    _other("events_waiting", "gauge", "Events that are not sent yet."),
    _other("events_dropped_total", "counter", "Events dropped in favour of newer ones."),
    _other("enforcing", "gauge", "1 if the agent may change anything, 0 if it only observes."),
    _other("paused", "gauge", "1 while Overcommit is paused."),
    _other("overcommit_usable", "gauge", "0 while there is no Overcommit that can be followed."),
    _other("tainted", "gauge", "1 while the agent wants the node tainted."),
    _other("yielding", "gauge", "1 while the agent yields to another one on this node."),
    Metric(
        "node_memory_bytes", "gauge", "RAM of the node.", _of_tick(lambda tick: tick.node.installed_bytes)
    ),
    Metric(
        "node_hugetlb_bytes",
        "gauge",
        "Huge pages that were set aside, which nothing else can use.",
        _of_tick(lambda tick: tick.node.hugetlb_bytes),
    ),
    Metric(
        "node_zswap_bytes",
        "gauge",
        "RAM that pages in zswap take, compressed; no value where the kernel has none.",
        _of_tick(lambda tick: tick.sample.node.zswap_pool_bytes),
    ),
    Metric(
        "domain_limit_bytes",
        "gauge",
        "Limit of the tightest domain of shortage: the node, kubepods or a QoS class.",
        _of_tick(lambda tick: _of_domain(tick, lambda sizes: sizes.memory_total_bytes)),
        ("domain",),
    ),
    Metric(
        "domain_available_bytes",
        "gauge",
        "Memory that is available in this domain without swapping.",
        _of_tick(lambda tick: _of_domain(tick, lambda sizes: sizes.memory_available_bytes)),
        ("domain",),
    ),
    Metric(
        "node_memory_available_bytes",
        "gauge",
        "MemAvailable of the node.",
        _of_tick(lambda tick: tick.node.memory_available_bytes),
    ),
    Metric(
        "node_swap_bytes", "gauge", "Swap of the node.", _of_tick(lambda tick: tick.node.swap_total_bytes)
    ),
    Metric("node_swap_used_bytes", "gauge", "Swap in use.", _of_tick(lambda tick: tick.node.swap_used_bytes)),
    Metric(
        "node_swap_cached_bytes",
        "gauge",
        "Memory that is in RAM and in swap (SwapCached).",
        _of_tick(lambda tick: tick.node.swap_cached_bytes),
    ),
    Metric(
        "node_swap_allowed_bytes",
        "gauge",
        "Sum of all swap allowances.",
        _of_tick(lambda tick: tick.swap_allowed_bytes),
    ),
    Metric(
        "relief_active",
        "gauge",
        "1 while a relief is under way.",
        _of_tick(lambda tick: int(tick.relief_active)),
    ),
    Metric(
        "pod_working_set_bytes",
        "gauge",
        "Memory of the pod without inactive file pages.",
        _of_pods(lambda pod: pod.working_set_bytes),
        ("pod",),
    ),
    Metric(
        "pod_swap_bytes", "gauge", "Swap that the pod uses.", _of_pods(lambda pod: pod.swap_bytes), ("pod",)
    ),
    Metric(
        "pod_held_bytes",
        "gauge",
        "Holdings of the pod: its working set and its swap, counted once.",
        _of_pods(lambda pod: pod.usage_bytes),
        ("pod",),
    ),
)
