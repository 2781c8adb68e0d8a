"""The agent: samples, decides and acts, one tick at a time."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from overbook.agent.bridge import Bridge
from overbook.agent.collector import Collector
from overbook.agent.journal import DecisionJournal, Recorder
from overbook.agent.known_pods import KnownPods
from overbook.agent.limits.reserves import Reserves
from overbook.agent.limits.swap_writers import SwapWriters
from overbook.agent.limits.zswap import ZswapLimits
from overbook.agent.metrics import AgentMetrics
from overbook.agent.misplaced import MisplacedPods
from overbook.agent.no_cluster import NoCluster
from overbook.agent.orders import Posture
from overbook.agent.ports import Ports
from overbook.agent.relief.local import LocalRelief, ReliefReport
from overbook.agent.settings import AgentSettings
from overbook.agent.source import PodSource
from overbook.agent.steady_memory import SteadyMemory
from overbook.agent.tick import AgentTick
from overbook.core.overcommit.swap import ordinary_bytes, whole_pages
from overbook.core.pressure.cold import room_bytes
from overbook.core.pressure.decision import Decision, ReclaimStep
from overbook.core.pressure.engine import Engine
from overbook.core.pressure.model import NodeModel, node_model
from overbook.core.relief.candidate_pod import is_own
from overbook.core.say_once import SayOnce
from overbook.kernel.files import KernelFileError
from overbook.kernel.machine import page_size_bytes
from overbook.nri.plugin import ContainerKey

if TYPE_CHECKING:
    from overbook.agent.cluster import Cluster

log = logging.getLogger(__name__)

HEALTHY_TICKS: Final = 5
"""Intervals without a successful tick after which ``/healthz`` answers 503."""


class Agent:
    """Samples, decides and acts.

    Args:
        settings: the agent's settings.
        source: where pods come from.
        clock: seconds, monotonic.
        wall_clock: seconds since the epoch.
        bridge: to the thread for the API; ``None``: there is no cluster.
    """

    def __init__(
        self,
        settings: AgentSettings,
        source: PodSource,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        bridge: Bridge | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self.collector = Collector(settings.fsroot)
        self.known_pods = KnownPods(source, settings.swap)
        self.engine = Engine(settings.ruleset, settings.reclaim, offload=settings.offload)
        self.journal = DecisionJournal()
        self.metrics = AgentMetrics()
        self.cluster: Cluster | NoCluster
        if bridge is None:
            self.cluster = NoCluster(settings, LocalRelief(self.collector, settings.fsroot))
        else:
            from overbook.agent import cluster  # noqa: PLC0415 - loaded only where there is one

            self.cluster = cluster.Cluster(settings, bridge, self.collector, self.engine, clock, wall_clock)
        self.writers = SwapWriters(settings, self.collector, self._allowed, clock())
        self._page_bytes = page_size_bytes()
        self._ports = Ports(
            self.collector,
            self.cluster.relief,
            self.writers,
            Reserves(self.collector, settings.fsroot, settings.reserves.qos_reserved_memory_percent),
            settings.fsroot,
            enforcing=settings.mode == "Enforce",
        )
        self._zswap = ZswapLimits(self.collector, settings.zswap, settings.fsroot)
        self._memory = SteadyMemory()
        self._misplaced = MisplacedPods(settings.fsroot)
        self._recorder = Recorder(settings.record, settings.record_limit_bytes) if settings.record else None
        self._last_tick: AgentTick | None = None
        self._last_good_tick: float | None = None
        self._failed = SayOnce(partial(log.error, "this tick failed, the next is tried: %s"))

    def tick(self) -> Decision | None:
        """Do one tick: sample, limits, decision, action, report. Returns the decision, if there is one."""
        started = self._clock()
        wall = self._wall_clock()
        self.metrics.ticks += 1
        try:
            decision = self._tick(started, wall)
        except (KernelFileError, OSError) as error:
            self.metrics.failed_ticks += 1
            self._failed(str(error))
            return None
        finished = self._clock()
        self._failed.over()
        self._last_good_tick = finished
        self.metrics.tick_seconds += finished - started
        self.metrics.last_tick_wall_seconds = wall
        return decision

    @property
    def instance(self) -> str:
        """The name of this running agent in the cluster; empty: there is no cluster."""
        return self.cluster.instance

    def take_news(self) -> None:
        """Follow the cluster's news now, without waiting for the next tick."""
        self.cluster.clear()
        posture = self._obey()
        if self._look_again():
            # The hook may be asked about a new pod before the next tick.
            self.writers.keep(self._clock(), self.known_pods.allowances)
        if self._last_tick is not None:
            self._last_tick = msgspec.structs.replace(
                self._last_tick, posture=posture, pods=self.known_pods.pods, ports=self._ports.state()
            )
            self.cluster.publish(self._last_tick)

    def _obey(self) -> Posture:
        """Take the orders, and settle the mode and the writer of limits by them."""
        orders = self.cluster.orders()
        posture = orders.posture
        self.known_pods.use_percent(posture.percent)
        self.writers.settle(self._clock(), orders.kubelet, asked=orders.kubelet_asked)
        kubelet = self.writers.kubelet
        self.collector.reads_protection = kubelet is not None and kubelet.protects_requests(
            orders.kubelet_minor
        )
        self.metrics.writer = self.writers.choice.writer if self.writers.choice else ""
        self._ports.enforce(posture.enforcing, hands_off=posture.yielding)
        return posture

    def _tick(self, now: float, wall: float) -> Decision | None:
        tick = self._collected(self._obey(), now, wall)
        self._keep_limits(tick, now)
        tick = self._decided(tick, now, wall)
        tick = self._acted(tick, now)
        self._reported(tick)
        return tick.decision

    def _collected(self, posture: Posture, now: float, wall: float) -> AgentTick:
        """Read the node, and refresh what is known of its pods."""
        self.known_pods.look()
        sample = self.collector.collect(now, wall, self.known_pods.source.pods)
        node = self._steady(node_model(sample.node), now)
        if self.known_pods.refresh(node.installed_bytes, sample.node.swap_total_bytes or 0):
            self._know_pods()
        self._misplaced.look(sample, self.known_pods.source.pods, now)
        if self._recorder:
            self._recorder.sample(sample)
        return AgentTick(
            node=node,
            sample=sample,
            facts=self.known_pods.facts,
            allowances=self.known_pods.allowances,
            relief_active=self.relieving,
            posture=posture,
            pods=self.known_pods.pods,
            misplaced=self._misplaced.found,
        )

    def _steady(self, node: NodeModel, now: float) -> NodeModel:
        """The node's sizes for what is written and reported: its RAM follows what lasts."""
        installed = self._memory.follow(node.installed_bytes, now)
        return msgspec.structs.replace(node, memory_total_bytes=ordinary_bytes(installed, node.hugetlb_bytes))

    def _keep_limits(self, tick: AgentTick, now: float) -> None:
        """Write the limits that differ, whatever the pressure."""
        self._ports.limits.keep(tick.sample, tick.facts, tick.allowances)
        self._zswap.keep(tick.allowances, enforcing=self._ports.enforcing)
        self.writers.keep(now, tick.allowances)
        if self.cluster.pods_known and self.writers.choice is not None:
            node = tick.node
            self._ports.reserves.keep(
                node.installed_bytes, tick.pods, self.writers.kubelet, node.memory_total_bytes
            )

    def _decided(self, tick: AgentTick, now: float, wall: float) -> AgentTick:
        """Look what became of the relief under way, and decide."""
        relieved = self._ports.relief.tick(now)
        if relieved is not None:
            self._note_relieved(relieved, wall)
        decision = self.engine.step(tick.sample, tick.facts, self._ports.relief.state)
        if self.engine.history.forgotten:
            log.info("averages start again: %s", self.engine.history.forgotten)
        if decision is not None:
            self._note_decision(decision, tick.posture)
        return msgspec.structs.replace(
            tick,
            relieved=relieved,
            findings=self.engine.findings,
            wanting=self.engine.wanting,
            decision=decision,
            domain=self.engine.situation.domain,
        )

    def _acted(self, tick: AgentTick, now: float) -> AgentTick:
        """Carry out the decision."""
        decision = tick.decision
        if decision is not None and decision.victim is not None:
            wanted = tick.facts[decision.victim.uid].grace_seconds
            self._ports.relief.begin(decision, min(wanted, self._settings.grace_seconds), now)
        self._ports.throttle.keep(self.engine.throttles if tick.posture.enforcing else {}, tick.facts)
        self._swap_out(decision.reclaim if decision is not None else ())
        return msgspec.structs.replace(
            tick,
            relief_active=self.relieving,
            ports=self._ports.state(),
            offloaded_bytes=self.engine.offload.bought_bytes(self.engine.situation),
            offloadable_bytes=self._offloadable_bytes(tick.posture),
        )

    def _offloadable_bytes(self, posture: Posture) -> int | None:
        """Return what offload would swap out now; ``None`` where it does so, or is off."""
        offload, seen = self.engine.offload, self.engine.offload_situation
        mode = offload.policy.mode
        known = seen.node.memory_available_bytes is not None
        if mode == "Off" or not known or (mode == "On" and posture.enforcing):
            return None
        return min(offload.missing_bytes(seen), room_bytes(seen))

    def _swap_out(self, needed: Sequence[ReclaimStep]) -> None:
        """Swap out what the decision needs, or else what is wanted ahead of need."""
        engine = self.engine
        ahead = () if needed else engine.offload_steps
        if engine.offload.policy.mode != "On":
            ahead = ()
        done = self._ports.reclaimer.reclaim(needed or ahead, hurry=bool(needed))
        self.metrics.reclaimed_bytes += sum(step.asked_bytes for step in done)
        self.metrics.reclaim_cpu_seconds += sum(step.cpu_seconds for step in done)
        engine.offload.done(done, engine.situation)

    def _reported(self, tick: AgentTick) -> None:
        """Hand the tick to the cluster and to the metrics."""
        self._last_tick = self.metrics.latest = tick
        self.cluster.report(tick)

    def _know_pods(self) -> None:
        """Update what depends on the pods and their facts."""
        self.engine.own_uids = self._own_uids()
        if self._recorder:
            self._recorder.pods(self.known_pods.facts)

    def _look_again(self) -> bool:
        """Refresh what is known of the pods since the last tick; returns whether anything changed."""
        self.known_pods.look()
        changed = self.known_pods.refresh_again()
        if changed:
            self._know_pods()
        return changed

    def _allowed(self, key: ContainerKey) -> int | None:
        """Return the allowance of a container that is about to start; ``None``: its pod is not known."""
        self._look_again()
        decision = self.known_pods.allowances.get(key)
        return None if decision is None else whole_pages(decision.swap_max_bytes, self._page_bytes)

    def _own_uids(self) -> frozenset[str]:
        pods, namespace = self.known_pods.source.pods, self._settings.own_namespace
        own = {uid for uid, pod in pods.items() if is_own(pod, namespace)}
        return frozenset({self._settings.own_pod_uid, *own})

    def _note_decision(self, decision: Decision, posture: Posture) -> None:
        self.metrics.decided(decision)
        self.journal.decided(decision)
        why_not = "" if posture.enforcing else f" ({posture.why})"
        level = logging.WARNING if decision.action == "relieve" else logging.INFO
        log.log(level, "decision %d: %s%s", decision.number, decision.sentence, why_not)
        for candidate in decision.candidates:
            log.debug("candidate %s: %s %s", candidate.label, candidate.sentence, candidate.excluded)
        if self._recorder:
            self._recorder.decision(decision)

    def _note_relieved(self, report: ReliefReport, wall: float) -> None:
        self.metrics.relief[report.outcome] += 1
        self.journal.reports.append(report)
        log.warning("%s", report.sentence)
        if self._recorder:
            self._recorder.relief(report, wall)

    @property
    def relieving(self) -> bool:
        """Whether a relief is under way."""
        return self._ports.relief.state == "active"

    def ready(self) -> str:
        """Return why the agent cannot do its work yet; empty: it can."""
        if self._last_tick is None:
            return "no tick yet"
        if not self.cluster.pods_known:
            return "neither the API server nor the kubelet has listed this node's pods yet"
        return ""

    @property
    def health(self) -> str:
        """The text of ``/healthz`` while the agent is healthy."""
        return "ok" if self.cluster.attended else "ok; the thread for the API is being started again"

    def healthy(self) -> bool:
        """Return whether a tick succeeded lately."""
        last = self._last_good_tick
        return (
            last is not None and self._clock() - last <= HEALTHY_TICKS * self._settings.interval_seconds + 5
        )

    def stop(self) -> None:
        """Leave the node as configured."""
        self.cluster.stop()
        if self._settings.on_exit == "Restore":
            log.info("%d swap limits put back as they were found", self._ports.limits.restore())
            self._ports.reserves.restore()
            self._zswap.restore()
        else:
            log.info("swap limits stay as they are")
        self._ports.throttle.release()
        self.writers.close(restore=self._settings.on_exit == "Restore")
        if self._recorder:
            self._recorder.close()
        self.collector.close()

    def values(self) -> Mapping[str, float]:
        """Return the values that the agent's parts count for the metrics, by name."""
        values: dict[str, float] = {
            "swap_limits_written_total": self._ports.limits.written,
            "swap_limits_corrected_total": self._ports.limits.corrected,
            "qos_memory_max_written_total": self._ports.reserves.written,
            "swap_limits_differing": self._ports.limits.differing,
            "unreadable_files_total": self.collector.unreadable,
            "containers": sum(map(len, self.collector.containers.values())),
            "pods_known": len(self.known_pods.facts),
            "pods_misplaced": len(self._misplaced.found),
            "containers_without_swap_accounting": self.collector.uncounted_swap,
        }
        return values | self.writers.values() | self.cluster.values()
