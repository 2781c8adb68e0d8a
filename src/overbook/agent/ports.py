"""Everything through which the agent changes its node, exchangeable while it runs.

Enforcing and observing are the same code before different ports. Whoever exchanges them loses nothing: what
was begun is followed to its end, and what was written is remembered.
"""

from typing import Final

from overbook.agent.collector import Collector
from overbook.agent.limits.reserves import Reserves
from overbook.agent.limits.swap_limits import SwapLimits
from overbook.agent.limits.swap_writers import SwapWriters
from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.reclaim import CgroupReclaimer, Reclaimer, ReportingReclaimer
from overbook.agent.relief.local import Relief, ReliefReport, ReportingRelief
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import ReliefState


class Ports:
    """The ports of one agent.

    Args:
        collector: holds the containers.
        relief: how guests are asked to go while the agent enforces.
        writers: how limits reach containers while it does.
        reserves: what is kept from lower QoS classes.
        enforcing: whether it does from the start.
    """

    def __init__(
        self,
        collector: Collector,
        relief: Relief,
        writers: SwapWriters,
        reserves: Reserves,
        *,
        enforcing: bool,
    ) -> None:
        self._acting: Final = CgroupReclaimer(collector)
        self._telling: Final = (ReportingSwapWriter(), ReportingReclaimer())
        self.writers = writers
        self.reserves = reserves
        self.limits = SwapLimits(collector, self._telling[0])
        self.relief = SwitchedRelief(relief, self)
        self.enforce(enforcing)

    enforcing: bool
    reclaimer: Reclaimer

    def enforce(self, enforcing: bool, *, hands_off: bool = False) -> None:
        """Act from now on, or only tell.

        Args:
            enforcing: whether anything may be changed.
            hands_off: it may not because another agent does this node's work.
        """
        self.enforcing = enforcing
        self.reclaimer = self._acting if enforcing else self._telling[1]
        self.limits.writer = self.writers.acting if enforcing else self._telling[0]
        self.writers.enforce(enforcing, hands_off=hands_off)
        self.reserves.enforce(enforcing)

    @property
    def reclaim_supported(self) -> bool:
        """Whether the kernel reclaims on request, as far as it was tried."""
        return self._acting.supported


class SwitchedRelief:
    """Begins through the port in force; a relief under way is followed by the port that began it.

    Args:
        acting: while the agent enforces.
        ports: says whether it does.
    """

    def __init__(self, acting: Relief, ports: Ports) -> None:
        self._acting = acting
        self._telling = ReportingRelief()
        self._ports = ports

    @property
    def state(self) -> ReliefState:
        """Of both."""
        return "active" if self._telling.state == "active" else self._acting.state

    def begin(self, decision: Decision, grace_seconds: float, now: float) -> None:
        """Ask the decision's victim to go, or tell that it would be asked."""
        relief: Relief = self._acting if self._ports.enforcing else self._telling
        relief.begin(decision, grace_seconds, now)

    def tick(self, now: float) -> ReliefReport | None:
        """Go on with what was begun."""
        return self._acting.tick(now) or self._telling.tick(now)
