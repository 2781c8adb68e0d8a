"""Everything through which the agent changes its node, exchangeable while it runs.

Enforcing and observing are the same code before different ports. Whoever exchanges them loses nothing: what
was begun is followed to its end, and what was written is remembered.
"""

from typing import Final

from overbook.agent.collector import Collector
from overbook.agent.kubelet_file import KeptFields
from overbook.agent.reclaim import CgroupReclaimer, Reclaimer, ReportingReclaimer
from overbook.agent.relief import Relief, ReliefReport, ReportingRelief
from overbook.agent.reserve_writer import CgroupReserveWriter, ReportingReserveWriter
from overbook.agent.reserves import Reserves
from overbook.agent.settings import Settings
from overbook.agent.swap_limits import CgroupSwapWriter, ReportingSwapWriter, SwapLimits
from overbook.core.decision import Decision
from overbook.core.engine import ReliefState
from overbook.runtime.kubelet import find_kubelet


class Ports:
    """The ports of one agent.

    Args:
        collector: holds the containers.
        relief: how guests are asked to go while the agent enforces.
        settings: everything that can be set; its mode is what is in force at the start.
    """

    def __init__(self, collector: Collector, relief: Relief, settings: Settings) -> None:
        root, percent = settings.fsroot, settings.reserves.qos_reserved_memory_percent
        self._acting: Final = (CgroupSwapWriter(), CgroupReclaimer(collector), CgroupReserveWriter(root))
        self._telling: Final = (ReportingSwapWriter(), ReportingReclaimer(), ReportingReserveWriter())
        self.enforcing = settings.mode == "Enforce"
        writer, self.reclaimer, reserving = self._acting if self.enforcing else self._telling
        self.limits = SwapLimits(collector, writer)
        parse = KeptFields()
        self.reserves = Reserves(collector, root, percent, reserving, lambda: find_kubelet(parse, root))
        self.relief = SwitchedRelief(relief, self)

    reclaimer: Reclaimer

    def enforce(self, enforcing: bool) -> None:
        """Act from now on, or only tell."""
        if enforcing != self.enforcing:
            self.enforcing = enforcing
            ports = self._acting if enforcing else self._telling
            self.limits.writer, self.reclaimer, self.reserves.writer = ports

    @property
    def reclaim_supported(self) -> bool:
        """Whether the kernel reclaims on request, as far as it was tried."""
        return self._acting[1].supported


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
