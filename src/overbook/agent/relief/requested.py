"""Relief through the cluster: a request in this node's object, which the controller answers.

One phase of pressure has one request, also across restarts of the agent: a request of the previous agent is
taken over with its id. While a relief is under way, for whichever request, no other one is begun.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import msgspec

from overbook.agent.relief.local import LocalRelief, ReliefReport
from overbook.core.api.overcommit_node import OvercommitNodeStatus, ReliefRecord, ReliefRequest
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.engine import ReliefState
from overbook.core.relief.record import in_flight, outcome_of
from overbook.core.relief.request import relief_candidates, relief_request
from overbook.core.say_once import SayOnce

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 5.0
"""The shortest time between two updates of the candidates in a standing request."""


class AgentSituation(msgspec.Struct, frozen=True, kw_only=True):
    """The facts from the rest of the agent on which relief depends.

    Attributes:
        own: the status in this node's object; ``None``: none, or not known.
        own_known: whether this object has ever been read.
        present: UIDs of the pods that have cgroups here.
        calm_seconds: for how long no rule has fired.
        critical: whether a rule fires now and a pod has to leave for it.
        unreachable_seconds: for how long the API server has not answered.
    """

    own: OvercommitNodeStatus | None = None
    own_known: bool = False
    present: Collection[str] = ()
    calm_seconds: float = 0.0
    critical: bool = False
    unreachable_seconds: float = 0.0


class ApiRelief:
    """Requests relief through the API, and follows each request to its end.

    Args:
        instance: this agent's instance; the ids of its requests begin with it.
        timestamp: formats a decision's time as RFC 3339.
        look: gives the current situation; called once in each tick.
        rank: the name of the rank that orders the candidates.
        calm_seconds: time without a rule that fires, after which a request is withdrawn, unless its relief is
            under way.
        grace_seconds: grace period for the last resort, where the pod's own is not known.
        last_resort: kills a pod here while the API server does not answer; ``None``: the request only stands.
        last_resort_seconds: for how long the API server has not answered before that.
    """

    def __init__(
        self,
        instance: str,
        timestamp: Callable[[float], str],
        look: Callable[[], AgentSituation],
        *,
        rank: str,
        calm_seconds: float,
        grace_seconds: float,
        last_resort: LocalRelief | None = None,
        last_resort_seconds: float = 10.0,
    ) -> None:
        self._instance = instance
        self._timestamp = timestamp
        self._look = look
        self._rank = rank
        self._calm_seconds = calm_seconds
        self._local = last_resort
        self._local_seconds = last_resort_seconds
        self._grace_seconds = grace_seconds
        self._since = 0.0
        self._refreshed_at = 0.0
        self._victim_uid = ""
        self._looked_back = False
        self._withdrawn = self._withdrawing = False
        self._say = SayOnce(partial(log.warning, "%s"))
        self.situation = AgentSituation()
        """The situation in this tick."""
        self.request: ReliefRequest | None = None
        """The request that is to stand in the node's object; ``None``: none."""

    @property
    def state(self) -> ReliefState:
        """The state: ``active`` while a request stands or a relief is under way, for whichever request."""
        if self.request is not None or self._ending or self._under_way:
            return "active"
        return "withdrawn" if self._withdrawn else "idle"

    def begin(self, decision: Decision, grace_seconds: float, now: float) -> None:
        """Request relief: the decision's victim is the first candidate, the others follow."""
        if decision.victim is None or self.state == "active":
            return
        request_id = f"{self._instance}-{decision.number}"
        decided_at = self._timestamp(decision.wall_seconds)
        self._stand(relief_request(request_id, decided_at, decision, self._rank), now)
        self._grace_seconds = grace_seconds

    def refresh(self, rank: Callable[[], Sequence[Candidate]], now: float) -> None:
        """Update the candidates of a standing request, every :data:`REFRESH_SECONDS`."""
        if self.request is not None and now - self._refreshed_at >= REFRESH_SECONDS:
            self._refreshed_at = now
            candidates = relief_candidates(rank())
            if any(not candidate.excluded for candidate in candidates):
                self.request = msgspec.structs.replace(self.request, candidates=candidates)

    def withdraw(self, why: str) -> None:
        """Withdraw the request. A relief that is already under way continues."""
        if self.request is not None:
            log.info("request %s is withdrawn: %s", self.request.id, why)
            self.request = None
            self._withdrawing = True

    def tick(self, now: float) -> ReliefReport | None:
        """Look what became of the request."""
        self.situation = self._look()
        self._withdrawn, self._withdrawing = self._withdrawing, False
        self._take_over(now)
        if self._local is not None and self._ending:
            report = self._local.tick(now)
            if report is not None:
                self.request = None
            return report
        report = self._over(now)
        if report is None and self.state == "active":
            self._last_resort(now)
        return report

    def _over(self, now: float) -> ReliefReport | None:
        """The report of a request that was answered or is not needed any more; ``None``: it stands."""
        request, situation = self.request, self.situation
        if request is None:
            return None
        outcome = outcome_of(self._record, request.id)
        if outcome is not None:
            return self._end(outcome.victim, outcome.outcome.lower(), now)
        if self._victim and self._victim not in situation.present:
            return self._end(self._label(self._victim), "gone", now)
        if situation.calm_seconds >= self._calm_seconds and not self._under_way:
            self._withdrawn = True
            return self._end(self._label(self._victim), "withdrawn", now)
        return None

    def _end(self, label: str, outcome: str, now: float) -> ReliefReport:
        self.request = None
        return ReliefReport(label, outcome, now - self._since)

    def _take_over(self, now: float) -> None:
        """Take over a request that the previous agent left, most likely because it was killed."""
        if self._looked_back or not self.situation.own_known:
            return
        self._looked_back = True
        own = self.situation.own
        left = own.request if own is not None and own.agent_instance != self._instance else None
        if left is None or outcome_of(self._record, left.id) is not None:
            return
        log.warning("request %s of the previous agent is continued", left.id)
        if self.request is None:
            self._stand(left, now)
        else:
            self.request = msgspec.structs.replace(self.request, id=left.id, decided_at=left.decided_at)

    def _stand(self, request: ReliefRequest, now: float) -> None:
        self.request = request
        self._since = self._refreshed_at = now
        self._say.over()  # each request is complained of once
        self._victim_uid = next((c.uid for c in request.candidates if not c.excluded), "")

    def _last_resort(self, now: float) -> None:
        """Kill a pod here, if that is allowed and the API server does not answer."""
        situation = self.situation
        out_of_reach = situation.unreachable_seconds >= self._local_seconds
        if not situation.critical or not out_of_reach or not self._victim:
            return
        if self._local is None:
            self._say("the API server does not answer; the request stands until it does")
            return
        label = self._label(self._victim)
        self._say(f"the API server does not answer; {label} is killed here as the last resort")
        self._local.end(self._victim, label, self._grace_seconds, now)

    @property
    def aware(self) -> bool:
        """Whether the previous agent's request has been read. Nothing is published until then."""
        return self._looked_back

    @property
    def _record(self) -> ReliefRecord | None:
        return None if self.situation.own is None else self.situation.own.relief

    @property
    def _ending(self) -> bool:
        return self._local is not None and self._local.state == "active"

    @property
    def _under_way(self) -> bool:
        """Whether the controller's record says that a relief is under way and its pod is still here."""
        record = self._record
        if record is None or not in_flight(record):
            return False
        return not record.victim_uid or record.victim_uid in self.situation.present

    @property
    def _victim(self) -> str:
        """UID of the pod whose relief is under way, or of the first candidate."""
        record = self._record
        if record is not None and in_flight(record) and record.victim_uid:
            return record.victim_uid
        return self._victim_uid

    def _label(self, uid: str) -> str:
        candidates = self.request.candidates if self.request is not None else ()
        named = next((candidate.label for candidate in candidates if candidate.uid == uid), "")
        return named or (self._record.victim if self._record is not None else "") or uid
