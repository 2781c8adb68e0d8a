"""The cluster as the tick's thread sees it: its orders are followed, and decisions are reported to it.

Nothing here waits: the API's values are already in the bridge, and reports are left in it.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.agent.bridge import Bridge, Notice, Report
from overbook.agent.collector import Collector
from overbook.agent.doctor import Doctor
from overbook.agent.duplicate import DuplicateAgent, new_instance
from overbook.agent.last_overcommit import LastOvercommit
from overbook.agent.orders import OBSERVING, Orders, Posture
from overbook.agent.problems import NodeFindings, node_problems
from overbook.agent.relief.local import LocalRelief, ReliefReport
from overbook.agent.relief.requested import AgentSituation, ApiRelief
from overbook.agent.settings import AgentSettings
from overbook.agent.status import Moment, StatusWriter
from overbook.agent.tick import AgentTick
from overbook.core.api.overcommit import OvercommitInForce, OvercommitSpec, Unusable, in_force
from overbook.core.pressure.decision import Decision, FiredRule
from overbook.core.pressure.engine import Engine
from overbook.core.pressure.state import PressureTrend
from overbook.core.text import shortened
from overbook.core.timestamp import to_timestamp

log = logging.getLogger(__name__)

MODE_WAIT_SECONDS: Final = 10.0
"""How long after its start the agent waits for the ``Overcommit`` before it follows the one last known."""


class Cluster:
    """Follows the cluster's orders and reports to it, for one agent.

    Args:
        settings: the agent's settings.
        bridge: to the API's thread.
        collector: knows which pods are on this node.
        engine: ranks the candidates, and knows the averages.
        clock: seconds, monotonic.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: AgentSettings,
        bridge: Bridge,
        collector: Collector,
        engine: Engine,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self.bridge = bridge
        self._collector = collector
        self._rank = engine.rank
        self._clock = clock
        self._wall_clock = wall_clock
        self.instance = new_instance(wall_clock())
        self._duplicates = DuplicateAgent(self.instance)
        self._doctor = Doctor(settings.fsroot)
        self._trend = PressureTrend(clock())
        self._started_at = clock()
        self.relief = ApiRelief(
            self.instance,
            to_timestamp,
            self._look,
            rank=settings.ruleset.rank,
            calm_seconds=settings.calm_seconds,
            grace_seconds=settings.grace_seconds,
            last_resort=LocalRelief(collector, settings.fsroot) if settings.last_resort == "Kill" else None,
            last_resort_seconds=settings.last_resort_after_seconds,
        )
        self._writer = StatusWriter(
            self.instance, self._trend, engine.history, settings.ruleset.window_seconds, wall_clock()
        )
        self._tainted = False
        self._looked_back = False
        self._yielding = self._yielded = ""
        self._findings: tuple[FiredRule, ...] = ()
        self._last: Report | None = None
        self._last_overcommit = LastOvercommit(settings.fsroot, settings.node_name)
        self._read: OvercommitSpec | Unusable | None = None
        self._in_force = self._remembered()
        self.posture = self._posture(clock())

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is news."""
        return self.bridge.fileno()

    def clear(self) -> None:
        """Note that the news has been read."""
        self.bridge.clear()

    @property
    def pods_known(self) -> bool:
        """Whether this node's pods are known, from the API server or the kubelet."""
        return self.bridge.news.pods is not None

    @property
    def attended(self) -> bool:
        """Whether the API's thread is running."""
        return self.bridge.attended

    def orders(self) -> Orders:
        """Read the API's news; returns the orders that hold from now on."""
        now, news = self._clock(), self.bridge.news
        yielding, self._yielded = self._duplicates.seen(news.own, news.lease, now)
        if yielding != self._yielding:
            self._yielding = yielding
            self._note_yielding()
        self._follow_overcommit()
        before, self.posture = self.posture, self._posture(now)
        if self.posture.why != before.why:
            log.warning("%s", self.posture.why or f"{self.posture.mode} from now on")
        if not (self.posture.enforcing or self.posture.mode_unknown):
            self.relief.withdraw(self.posture.why)
        if news.own_known and not self._looked_back:
            self._looked_back = True
            self._writer.take_over(news.own)
        return Orders(
            posture=self.posture,
            kubelet=news.kubelet,
            kubelet_asked=news.kubelet_asked or not self._settings.kubelet.server,
            kubelet_minor=news.kubelet_minor,
        )

    def report(self, tick: AgentTick) -> None:
        """Report a tick: its events, the pressure, the status, and a standing request's newest candidates."""
        if tick.relieved is not None:
            self._note_relieved(tick.relieved)
        if tick.decision is not None:
            self._note_decision(tick.decision, tick.posture)
        self._findings = tick.findings
        now = self._clock()
        critical = tick.wanting or self.relief.state == "active"
        if self._trend.seen(tick.findings, critical=critical, now=now):
            log.info("memory pressure: %s", self._trend.state)
        self.relief.refresh(lambda: self._rank(tick.facts), now)
        self.publish(tick)

    def _look(self) -> AgentSituation:
        """Return the situation for relief, after the tick's cgroups have been read."""
        news = self.bridge.news
        return AgentSituation(
            own=news.own,
            own_known=news.own_known,
            present=self._collector.pod_cgroups.keys(),
            calm_seconds=self._trend.calm_seconds(self._clock()),
            critical=bool(self._findings) and self._trend.state == "Critical",
            unreachable_seconds=self.bridge.contact.unreachable_seconds(),
        )

    def _note_decision(self, decision: Decision, posture: Posture) -> None:
        """Note a decision for the status, and as an event."""
        self._writer.decided(decision)
        message = decision.sentence + (f" ({posture.why})" if posture.why else "")
        if decision.action == "reclaim":
            self._notice("MemoryReclaimed", message, repeats=True)
        elif decision.throttled is not None:
            pod = (decision.throttled.uid, decision.throttled.label)
            self._notice("VMThrottled", message, warning=True)
            self._notice("VMThrottled", message, warning=True, pod=pod)
        elif decision.victim is None:
            self._notice("MemoryPressure", message)
        else:
            reason = "ReliefRequested" if posture.enforcing else "ReliefObserved"
            victim = decision.victim
            self._notice(reason, message, warning=True)
            self._notice(reason, message, warning=True, pod=(victim.uid, victim.label))

    def _note_relieved(self, report: ReliefReport) -> None:
        """Note the result of a relief, as an event."""
        ended_here = report.outcome in ("ended", "killed", "failed")
        reason = "EndedAsLastResort" if ended_here else "ReliefOver"
        self._notice(reason, report.sentence, warning=ended_here)

    def publish(self, tick: AgentTick) -> None:
        """Leave the status for the API's thread, made from this tick, or from the last one after news."""
        posture = tick.posture
        if not self.relief.aware or posture.mode_unknown:
            return
        self._tainted = self._wants_taint(posture)
        status = self._writer.status(
            Moment(
                wall_seconds=self._wall_clock(),
                mode=posture.mode,
                paused=posture.paused,
                node=tick.node,
                swap_allowed_bytes=tick.swap_allowed_bytes,
                percent=posture.percent,
                request=self.relief.request,
                problems=node_problems(self._node_findings(tick)),
                writer=tick.ports.writer,
                differing=tick.ports.differing_limits,
                offloaded_bytes=tick.offloaded_bytes,
                offloadable_bytes=tick.offloadable_bytes,
            ),
            tick.pods,
        )
        self._last = Report(status=status, tainted=self._tainted, yielding=self._yielding)
        self.bridge.leave(self._last)

    def stop(self) -> None:
        """Withdraw the request and the taint, because a stopped agent cannot see when they are over."""
        self.relief.withdraw("the agent stops")
        if self._last is not None:
            status = msgspec.structs.replace(self._last.status, request=None)
            self.bridge.leave(msgspec.structs.replace(self._last, status=status, tainted=False))

    def values(self) -> dict[str, float]:
        """Return the values for the metrics, by name."""
        bridge = self.bridge
        age = bridge.contact.age_seconds()
        return {
            **({} if age is None else {"api_contact_age_seconds": age}),
            "api_unreachable_seconds": bridge.contact.unreachable_seconds(),
            "api_failures_total": bridge.contact.failures,
            "api_publishes_total": bridge.contact.publishes,
            "api_heartbeats_total": bridge.contact.heartbeats,
            "api_thread_restarts_total": bridge.restarts,
            "events_waiting": bridge.waiting,
            "events_dropped_total": bridge.dropped,
            "enforcing": int(self.posture.enforcing),
            "paused": int(self.posture.paused),
            "overcommit_usable": int(self._in_force.problem is None),
            "tainted": int(self._tainted),
            "yielding": int(bool(self._yielding)),
        }

    def _remembered(self) -> OvercommitInForce:
        """Return the settings that the previous agent followed; without them nothing is changed."""
        spec = self._last_overcommit.read()
        if spec is None:
            before = OvercommitSpec(percentage=self._settings.swap.percent)
            return in_force(Unusable("OvercommitUnknown"), before)
        holds = f"mode {spec.mode}, {'paused, ' if spec.paused else ''}{spec.percentage} %"
        return OvercommitInForce(spec, Unusable("OvercommitUnknown", holds))

    def _follow_overcommit(self) -> None:
        """Take over what the API's thread read of the ``Overcommit``, and keep it for the next start."""
        read = self.bridge.news.overcommit
        if read is None or read is self._read:
            return
        self._read = read
        self._in_force = in_force(read, self._in_force.spec)
        self._last_overcommit.keep(self._in_force.spec)

    def _posture(self, now: float) -> Posture:
        mode_unknown = self._read is None and now - self._started_at < MODE_WAIT_SECONDS
        spec, problem = self._in_force.spec, self._in_force.problem
        observing = "Observe" in (self._settings.mode, spec.mode)
        if self._yielding:
            why = f"agent {self._yielding} started later and does this node's work: this one only observes"
        elif spec.paused:
            why = "paused by Overcommit cluster"
        elif self._settings.mode == "Observe":
            why = OBSERVING
        elif mode_unknown:
            why = "not known yet whether Overcommit cluster is paused"
        elif observing:
            why = OBSERVING if problem is None else problem.sentence
        else:
            why = ""
        return Posture(
            mode_unknown=mode_unknown,
            yielding=bool(self._yielding),
            enforcing=not why,
            mode="Observe" if observing or self._yielding else "Enforce",
            paused=spec.paused,
            percent=spec.percentage,
            why=why,
        )

    def _wants_taint(self, posture: Posture) -> bool:
        """Whether the node is to be tainted: from the request until relief is over and the node is calm."""
        if not posture.enforcing:
            return False
        calm = self._trend.calm_seconds(self._clock()) >= self._settings.calm_seconds
        return self.relief.state == "active" or (self._tainted and not calm)

    def _node_findings(self, tick: AgentTick) -> NodeFindings:
        node, posture, ports = tick.node, tick.posture, tick.ports
        return NodeFindings(
            node_name=self._settings.node_name,
            percent=posture.percent,
            memory_total_bytes=node.memory_total_bytes,
            uncounted_swap=ports.uncounted_swap,
            uncounted_memory=ports.uncounted_memory,
            misplaced=tuple(map(str, tick.misplaced)),
            swap_total_bytes=node.swap_total_bytes,
            swap_allowed_bytes=tick.swap_allowed_bytes,
            pressure_known=tick.sample.node.stall_full_micros is not None,
            reclaim_supported=ports.reclaim_supported,
            contested_limits=ports.contested_limits,
            writer=ports.writer,
            differing_limits=ports.differing_limits,
            reserves_hindrance=ports.reserves_hindrance,
            nobody_may_go=tick.wanting and self.relief.state != "active" and posture.enforcing,
            other_agent=self._yielded,
            refused=self.bridge.news.refused,
            overcommit=self._in_force.problem,
            doctor=self._doctor.findings(
                self._clock(),
                msgspec.structs.replace(self._settings.swap, percent=posture.percent),
                self.bridge.news.kubelet,
                self.bridge.news.kubelet_minor,
            ),
        )

    def _note_yielding(self) -> None:
        if self._yielding:
            message = f"two agents run on this node; {self.instance} yields to {self._yielding}"
            log.error("%s", message)
            self._notice("TwoAgents", message, warning=True)
        else:
            log.warning("the other agent is silent; this one does the node's work again")

    def _notice(
        self,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        repeats: bool = False,
        pod: tuple[str, str] | None = None,
    ) -> None:
        about = None
        if pod is not None:
            namespace, _, name = pod[1].partition("/")
            about = (pod[0], namespace, name)
        self.bridge.note(
            Notice(reason=reason, message=shortened(message), warning=warning, pod=about, repeats=repeats)
        )
