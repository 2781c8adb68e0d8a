"""The cluster as the tick's thread sees it: what its owner said is obeyed, what was decided is told.

Nothing here waits. What comes from the API lies in the bridge already, and what goes there is left in it.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.agent.bridge import Bridge, Notice, Report
from overbook.agent.collector import Collector
from overbook.agent.doctor import Doctor
from overbook.agent.duplicate import DuplicateAgent, new_instance
from overbook.agent.orders import OBSERVING, Orders, Posture
from overbook.agent.problems import NodeFindings, node_problems
from overbook.agent.relief.local import LocalRelief, ReliefReport
from overbook.agent.relief.requested import AgentSituation, ApiRelief
from overbook.agent.settings import AgentSettings
from overbook.agent.status import Moment, StatusWriter
from overbook.agent.tick import AgentTick
from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.pressure.decision import Decision, FiredRule
from overbook.core.pressure.engine import Engine
from overbook.core.pressure.state import PressureTrend
from overbook.core.text import shortened
from overbook.core.timestamp import to_timestamp

log = logging.getLogger(__name__)

MODE_WAIT_SECONDS: Final = 10.0
"""How long after its start the agent only observes while it does not know whether it is paused."""


class Cluster:
    """One agent's part in its cluster.

    Args:
        settings: everything that can be set.
        bridge: to the API's thread.
        collector: knows which pods are here.
        engine: decides.
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
        self._rival = DuplicateAgent(self.instance)
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
        self.posture = self._posture(clock())

    def fileno(self) -> int:
        """Readable when there is news."""
        return self.bridge.fileno()

    def clear(self) -> None:
        """The news has been seen."""
        self.bridge.clear()

    @property
    def pods_known(self) -> bool:
        """Whether anybody has told this node's pods yet."""
        return self.bridge.news.pods is not None

    @property
    def attended(self) -> bool:
        """Whether the API's thread is at work."""
        return self.bridge.attended

    def orders(self) -> Orders:
        """Take in what the API's thread has heard; what holds from now on."""
        now, news = self._clock(), self.bridge.news
        yielding, self._yielded = self._rival.seen(news.own, news.own_annotations, now)
        if yielding != self._yielding:
            self._yielding = yielding
            self._tell_yielding()
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
        )

    def report(self, tick: AgentTick) -> None:
        """Tell what a tick brought: events, pressure, the status, the newest ranks where a request stands."""
        if tick.relieved is not None:
            self._tell_relieved(tick.relieved)
        if tick.decision is not None:
            self._tell_decision(tick.decision, tick.posture)
        self._findings = tick.findings
        now = self._clock()
        critical = tick.wanting or self.relief.state == "active"
        if self._trend.seen(tick.findings, critical=critical, now=now):
            log.info("memory pressure: %s", self._trend.state)
        self.relief.refresh(lambda: self._rank(tick.facts), now)
        self.publish(tick)

    def _look(self) -> AgentSituation:
        """How things are, for relief, once a tick's cgroups are known."""
        news = self.bridge.news
        return AgentSituation(
            own=news.own,
            own_known=news.own_known,
            present=self._collector.pod_cgroups.keys(),
            calm_seconds=self._trend.calm_seconds(self._clock()),
            critical=bool(self._findings) and self._trend.state == "Critical",
            unreachable_seconds=self.bridge.contact.unreachable_seconds(),
        )

    def _tell_decision(self, decision: Decision, posture: Posture) -> None:
        """Keep a decision for the status and for an event."""
        self._writer.decided(decision)
        message = decision.sentence + (f" ({posture.why})" if posture.why else "")
        if decision.action == "reclaim":
            self._notice("MemoryReclaimed", message, repeats=True)
        elif decision.victim is None:
            self._notice("MemoryPressure", message)
        else:
            reason = "ReliefRequested" if posture.enforcing else "ReliefObserved"
            victim = decision.victim
            self._notice(reason, message, warning=True)
            self._notice(reason, message, warning=True, pod=(victim.uid, victim.label))

    def _tell_relieved(self, report: ReliefReport) -> None:
        """Tell what became of a guest."""
        message = f"{report.label}: {report.outcome} after {report.seconds:.1f} s"
        ended_here = report.outcome in ("ended", "killed", "failed")
        reason = "EndedAsLastResort" if ended_here else "ReliefOver"
        self._notice(reason, message, warning=ended_here)

    def publish(self, tick: AgentTick) -> None:
        """Leave for the API's thread what is to stand there by this tick, or by the last one after news."""
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
            ),
            tick.pods,
        )
        self._last = Report(status=status, tainted=self._tainted, yielding=self._yielding)
        self.bridge.tell(self._last)

    def stop(self) -> None:
        """The last word: nobody is asked to go, and nobody is kept away, by an agent that does not look."""
        self.relief.withdraw("the agent stops")
        if self._last is not None:
            status = msgspec.structs.replace(self._last.status, request=None)
            self.bridge.tell(msgspec.structs.replace(self._last, status=status, tainted=False))

    def values(self) -> dict[str, float]:
        """Single values for the metrics."""
        bridge = self.bridge
        age = bridge.contact.age_seconds()
        return {
            **({} if age is None else {"api_contact_age_seconds": age}),
            "api_unreachable_seconds": bridge.contact.unreachable_seconds(),
            "api_failures_total": bridge.contact.failures,
            "api_publishes_total": bridge.contact.publishes,
            "api_thread_restarts_total": bridge.restarts,
            "events_waiting": bridge.waiting,
            "events_dropped_total": bridge.dropped,
            "enforcing": int(self.posture.enforcing),
            "paused": int(self.posture.paused),
            "tainted": int(self._tainted),
            "yielding": int(bool(self._yielding)),
        }

    def _posture(self, now: float) -> Posture:
        news, settings = self.bridge.news, self._settings
        mode_unknown = not news.overcommit_known and now - self._started_at < MODE_WAIT_SECONDS
        spec = news.overcommit or OvercommitSpec(percentage=settings.swap.percent)
        observing = settings.mode == "Observe" or spec.mode == "Observe"
        if self._yielding:
            why = f"agent {self._yielding} started later and does this node's work: this one only observes"
        elif spec.paused:
            why = "paused by Overcommit cluster"
        elif observing:
            why = OBSERVING
        elif mode_unknown:
            why = "not heard yet whether Overcommit cluster is paused"
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
        """From the request on until relief is over and the node has been calm for a while."""
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
            doctor=self._doctor.findings(
                self._clock(),
                msgspec.structs.replace(self._settings.swap, percent=posture.percent),
                self.bridge.news.kubelet,
            ),
        )

    def _tell_yielding(self) -> None:
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
