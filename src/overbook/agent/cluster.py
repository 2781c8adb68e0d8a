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
from overbook.agent.guests import Guests
from overbook.agent.metrics import TickFacts
from overbook.agent.ports import Ports
from overbook.agent.problems import NodeFindings, node_problems
from overbook.agent.relief.local import LocalRelief, ReliefReport
from overbook.agent.relief.requested import AgentSituation, ApiRelief
from overbook.agent.settings import AgentSettings
from overbook.agent.status import Moment, StatusWriter
from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import Engine
from overbook.core.pressure.state import PressureTrend
from overbook.core.text import shortened
from overbook.core.timestamp import to_timestamp

log = logging.getLogger(__name__)

UNHEARD_SECONDS: Final = 10.0
"""So long after its start the agent only observes while it has not heard whether it is paused."""


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent may do now.

    Attributes:
        enforcing: whether it may change anything.
        mode: the mode in force.
        paused: whether a pause is obeyed.
        percent: ``memoryOvercommitPercentage``.
        why: why nothing is changed, for people; empty where it may be.
        unheard: nothing is changed only because it is not known yet whether anything may be. What an agent
            before this one left stays as well, until it is.
        yielding: nothing is changed because another agent does this node's work.
    """

    enforcing: bool
    mode: str
    paused: bool
    percent: int
    why: str = ""
    unheard: bool = False
    yielding: bool = False


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
        self._engine = engine
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
        self._last: Report | None = None
        self.posture = self._posture(clock())

    def listen(self) -> Posture:
        """Take in what the API's thread has heard; what may be done now."""
        now, news = self._clock(), self.bridge.news
        yielding, self._yielded = self._rival.seen(news.own, news.own_annotations, now)
        if yielding != self._yielding:
            self._yielding = yielding
            self._tell_yielding()
        before, self.posture = self.posture, self._posture(now)
        if self.posture.why != before.why:
            log.warning("%s", self.posture.why or f"{self.posture.mode} from now on")
        if not (self.posture.enforcing or self.posture.unheard):
            self.relief.withdraw(self.posture.why)
        if news.own_known and not self._looked_back:
            self._looked_back = True
            self._writer.take_over(news.own)
        return self.posture

    def look(self) -> None:
        """Tell relief how things are, once this tick's cgroups are known."""
        news = self.bridge.news
        self.relief.situation = AgentSituation(
            own=news.own,
            own_known=news.own_known,
            present=self._collector.pod_cgroups.keys(),
            calm_seconds=self._trend.calm_seconds(self._clock()),
            critical=bool(self._engine.findings) and self._trend.state == "Critical",
            unreachable_seconds=self.bridge.contact.unreachable_seconds(),
        )

    def decided(self, decision: Decision) -> None:
        """Keep a decision for the status and for an event."""
        self._writer.decided(decision)
        message = decision.sentence + (f" ({self.posture.why})" if self.posture.why else "")
        if decision.action == "reclaim":
            self._notice("MemoryReclaimed", message, repeats=True)
        elif decision.victim is None:
            self._notice("MemoryPressure", message)
        else:
            reason = "ReliefRequested" if self.posture.enforcing else "ReliefObserved"
            victim = decision.victim
            self._notice(reason, message, warning=True)
            self._notice(reason, message, warning=True, pod=(victim.uid, victim.label))

    def relieved(self, report: ReliefReport) -> None:
        """Tell what became of a guest."""
        message = f"{report.label}: {report.outcome} after {report.seconds:.1f} s"
        ended_here = report.outcome in ("ended", "killed", "failed")
        reason = "EndedAsLastResort" if ended_here else "ReliefOver"
        self._notice(reason, message, warning=ended_here)

    def follow(self, guests: Guests) -> None:
        """After the engine has looked: pressure, and the ranks of a request that stands."""
        now = self._clock()
        critical = self._engine.wanting or self.relief.state == "active"
        if self._trend.seen(self._engine.findings, critical=critical, now=now):
            log.info("memory pressure: %s", self._trend.state)
        self.relief.refresh(lambda: self._engine.rank(guests.facts), now)

    def report(self, tick: TickFacts, guests: Guests, ports: Ports) -> None:
        """Leave for the API's thread what is to stand there."""
        if not self.relief.aware or self.posture.unheard:
            return
        self._tainted = self._wants_taint()
        status = self._writer.status(
            Moment(
                wall_seconds=self._wall_clock(),
                mode=self.posture.mode,
                paused=self.posture.paused,
                node=tick.node,
                swap_allowed_bytes=tick.swap_allowed_bytes,
                percent=self.posture.percent,
                request=self.relief.request,
                problems=node_problems(self._findings(tick, ports)),
                writer=ports.writers.choice,
                differing=ports.limits.differing,
            ),
            guests.source.pods,
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
        unheard = not news.overcommit_known and now - self._started_at < UNHEARD_SECONDS
        spec = news.overcommit or OvercommitSpec(percentage=settings.swap.percent)
        observing = settings.mode == "Observe" or spec.mode == "Observe"
        if self._yielding:
            why = f"agent {self._yielding} started later and does this node's work: this one only observes"
        elif spec.paused:
            why = "paused by Overcommit cluster"
        elif observing:
            why = "observing: nothing is done"
        elif unheard:
            why = "not heard yet whether Overcommit cluster is paused"
        else:
            why = ""
        return Posture(
            unheard=unheard,
            yielding=bool(self._yielding),
            enforcing=not why,
            mode="Observe" if observing or self._yielding else "Enforce",
            paused=spec.paused,
            percent=spec.percentage,
            why=why,
        )

    def _wants_taint(self) -> bool:
        """From the request on until relief is over and the node has been calm for a while."""
        if not self.posture.enforcing:
            return False
        calm = self._trend.calm_seconds(self._clock()) >= self._settings.calm_seconds
        return self.relief.state == "active" or (self._tainted and not calm)

    def _findings(self, tick: TickFacts, ports: Ports) -> NodeFindings:
        node = tick.node
        return NodeFindings(
            node_name=self._settings.node_name,
            percent=self.posture.percent,
            memory_total_bytes=node.memory_total_bytes,
            swap_total_bytes=node.swap_total_bytes,
            swap_allowed_bytes=tick.swap_allowed_bytes,
            pressure_known=tick.sample.node.stall_full_micros is not None,
            reclaim_supported=ports.reclaim_supported,
            contested_limits=ports.limits.contested,
            writer=ports.writers.choice,
            differing_limits=ports.limits.differing,
            reserves_hindrance=ports.reserves.hindrance,
            nobody_may_go=self._engine.wanting and self.relief.state != "active" and self.posture.enforcing,
            other_agent=self._yielded,
            refused=self.bridge.news.refused,
            doctor=self._doctor.findings(
                self._clock(),
                msgspec.structs.replace(self._settings.swap, percent=self.posture.percent),
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
