"""Relief of a node from one pod: the interface, and the adapter that kills the pod on this machine."""

import logging
import signal
from typing import Final, Protocol

import msgspec

from overbook.agent.collector import Collector
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import ReliefState
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)

KILL_SECONDS: Final = 30.0
"""How long the kernel may need after the kill to free a swapped pod; then the agent stops waiting."""


class ReliefReport(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The result of one relief.

    Attributes:
        label: ``namespace/name``.
        outcome: ``ended`` (SIGTERM was enough), ``killed``, ``gone`` (before anything was done), ``failed``,
            ``observed`` (nothing was done), or what the controller wrote.
        seconds: from the start of the relief to its end.
    """

    label: str
    outcome: str
    seconds: float

    @property
    def sentence(self) -> str:
        """The report for people."""
        if self.outcome == "observed":
            return f"{self.label}: would have been evicted; nothing was done"
        return f"{self.label}: {self.outcome} after {self.seconds:.1f} s"


class Relief(Protocol):
    """Begins one relief at a time, and follows it to its end."""

    @property
    def state(self) -> ReliefState:
        """Whether a relief is under way."""

    def begin(self, decision: Decision, grace_seconds: float, now: float, /) -> None:
        """Begin the relief of the decision's victim."""

    def tick(self, now: float, /) -> ReliefReport | None:
        """Continue the relief; returns a report when it has ended."""


class _Ending(msgspec.Struct):
    label: str
    cgroup: Cgroup
    since: float
    deadline: float
    killed: bool = False


class LocalRelief:
    """Kills a pod here: SIGTERM to all of its processes, a grace period, then ``cgroup.kill``.

    Args:
        collector: holds the pods' cgroups.
        root: the host's file system.
    """

    def __init__(self, collector: Collector, root: str) -> None:
        self._collector = collector
        self._root = root
        self._ending: _Ending | None = None
        self._lost: ReliefReport | None = None

    @property
    def state(self) -> ReliefState:
        """The state: ``active`` from the SIGTERM until the last process is gone."""
        return "active" if self._ending or self._lost else "idle"

    def begin(self, decision: Decision, grace_seconds: float, now: float) -> None:
        """Begin to kill the decision's victim."""
        if decision.victim is not None:
            self.end(decision.victim.uid, decision.victim.label, grace_seconds, now)

    def end(self, uid: str, label: str, grace_seconds: float, now: float) -> None:
        """Send SIGTERM to a pod's processes, unless another pod is being killed."""
        if self.state == "active":
            return
        found = self._collector.pod_cgroups.get(uid)
        try:
            if found is None:
                raise MissingKernelFile(label, "the pod has no cgroup any more")
            cgroup = Cgroup(found.path, self._root)
        except KernelFileError as error:
            log.info("%s is gone already (%s)", label, error)
            self._lost = ReliefReport(label, "gone", 0.0)
            return
        self._ending = _Ending(label, cgroup, now, now + grace_seconds)
        try:
            count = cgroup.signal_all(signal.SIGTERM)
            log.info("%s: SIGTERM to %d processes, %g s of grace", label, count, grace_seconds)
        except KernelFileError as error:
            log.warning("%s: no SIGTERM (%s); killing it", label, error)
            self._ending.deadline = now

    def tick(self, now: float) -> ReliefReport | None:
        """Look whether the pod is gone; kill it when its grace period is over."""
        if self._lost is not None:
            report, self._lost = self._lost, None
            return report
        ending = self._ending
        if ending is None:
            return None
        if not _populated(ending.cgroup):
            return self._over(ending, "killed" if ending.killed else "ended", now)
        if ending.killed and now >= ending.deadline:
            return self._over(ending, "failed", now)
        if not ending.killed and now >= ending.deadline:
            ending.killed = True
            ending.deadline = now + KILL_SECONDS
            try:
                ending.cgroup.kill()
                log.warning("%s did not end within its grace period: killed", ending.label)
            except KernelFileError as error:
                log.error("%s cannot be killed: %s", ending.label, error)  # noqa: TRY400 - the text says it all
        return None

    def _over(self, ending: _Ending, outcome: str, now: float) -> ReliefReport:
        ending.cgroup.close()
        self._ending = None
        return ReliefReport(ending.label, outcome, now - ending.since)


class ReportingRelief:
    """Kills nothing: for ``--mode observe``. The engine then waits as if the pod had left."""

    def __init__(self) -> None:
        self._would: ReliefReport | None = None

    @property
    def state(self) -> ReliefState:
        """The state: ``active`` until the next tick."""
        return "active" if self._would else "idle"

    def begin(self, decision: Decision, _grace_seconds: float, _now: float, /) -> None:
        """Note the pod that would be relieved."""
        if decision.victim is not None:
            self._would = ReliefReport(decision.victim.label, "observed", 0.0)

    def tick(self, _now: float, /) -> ReliefReport | None:
        """Report the noted pod, once."""
        report, self._would = self._would, None
        return report


def _populated(cgroup: Cgroup) -> bool:
    try:
        return cgroup.populated()
    except KernelFileError:
        return False  # the cgroup itself is gone
