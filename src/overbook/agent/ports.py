"""The agent's side effects behind one interface, switched between enforcing and observing at run time.

They are swap limits, reclaim, relief and reserves. Enforcing and observing use the same code with different
ports. A switch loses nothing: a relief under way is followed to its end, and written limits are remembered.
"""

from typing import Final

from overbook.agent.collector import Collector
from overbook.agent.limits.reserves import Reserves
from overbook.agent.limits.swap_limits import SwapLimits
from overbook.agent.limits.swap_writers import SwapWriters
from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.reclaim import CgroupReclaimer, Reclaimer, ReportingReclaimer
from overbook.agent.relief.local import Relief, ReliefReport, ReportingRelief
from overbook.agent.throttle import PodThrottle
from overbook.agent.tick import PortState
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import ReliefState


class Ports:
    """The ports of one agent.

    Args:
        collector: holds the containers.
        relief: how pods are relieved while the agent enforces.
        writers: how limits reach containers while the agent enforces.
        reserves: the memory that is kept from lower QoS classes.
        root: the host's file system.
        enforcing: whether the agent enforces from the start.
    """

    def __init__(
        self,
        collector: Collector,
        relief: Relief,
        writers: SwapWriters,
        reserves: Reserves,
        root: str,
        *,
        enforcing: bool,
    ) -> None:
        self._collector = collector
        self._acting_reclaimer: Final = CgroupReclaimer(collector)
        self._reporting_reclaimer: Final = ReportingReclaimer()
        self._reporting_writer: Final = ReportingSwapWriter()
        self.writers = writers
        self.reserves = reserves
        self.relief = SwitchedRelief(relief)
        self.limits = SwapLimits(collector, self._reporting_writer)
        self.reclaimer: Reclaimer = self._reporting_reclaimer
        self.throttle = PodThrottle(collector, root)
        self.enforce(enforcing)

    def enforce(self, enforcing: bool, *, hands_off: bool = False) -> None:
        """Act from now on, or only report.

        Args:
            enforcing: whether anything may be changed.
            hands_off: whether nothing may be changed because another agent does this node's work.
        """
        self.enforcing = enforcing
        self.relief.enforce(enforcing)
        self.reclaimer = self._acting_reclaimer if enforcing else self._reporting_reclaimer
        self.limits.writer = self.writers.acting if enforcing else self._reporting_writer
        self.writers.enforce(enforcing, hands_off=hands_off)
        self.reserves.enforce(enforcing)

    def state(self) -> PortState:
        """Return the ports' state now."""
        return PortState(
            writer=self.writers.choice,
            differing_limits=self.limits.differing,
            contested_limits=self.limits.contested,
            reserves_hindrance=self.reserves.hindrance,
            reclaim_supported=self._acting_reclaimer.supported,
            uncounted_swap=self._collector.uncounted_swap,
            uncounted_memory=self._collector.uncounted_memory,
        )


class SwitchedRelief:
    """Begins a relief through the port in force; the port that began a relief follows it to its end.

    Args:
        acting: the port that is used while the agent enforces.
    """

    def __init__(self, acting: Relief) -> None:
        self._acting = acting
        self._reporting = ReportingRelief()
        self._in_force: Relief = self._reporting

    def enforce(self, enforcing: bool) -> None:
        """Act from now on, or only report."""
        self._in_force = self._acting if enforcing else self._reporting

    @property
    def state(self) -> ReliefState:
        """The state of both ports."""
        return "active" if self._reporting.state == "active" else self._acting.state

    def begin(self, decision: Decision, grace_seconds: float, now: float) -> None:
        """Begin the relief of the decision's victim, or report that it would begin."""
        self._in_force.begin(decision, grace_seconds, now)

    def tick(self, now: float) -> ReliefReport | None:
        """Continue the relief under way."""
        return self._acting.tick(now) or self._reporting.tick(now)
