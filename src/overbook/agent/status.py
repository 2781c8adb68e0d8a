"""The status of the node's OvercommitNode, as the agent writes it."""

from collections import deque
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook import __version__
from overbook.core.api.overcommit_node import (
    MOST_DECISIONS,
    PRESSURE_CONDITION,
    Condition,
    DecisionRecord,
    MemoryStatus,
    OvercommitNodeStatus,
    PressureStatus,
    Problem,
    ReliefRequest,
    SwapStatus,
)
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.overcommit.promise import promise_bytes
from overbook.core.overcommit.swap import node_swap_bytes
from overbook.core.overcommit.writer import Choice
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.history import Counter, History
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.state import PressureTrend
from overbook.core.text import shortened
from overbook.core.timestamp import to_timestamp

STALL_SECONDS: Final = 10.0
"""The time over which the stall in the status is averaged."""
_REASONS: Final = {"None": "NoPressure", "Pressure": "MemoryPressure", "Critical": "GuestHasToGo"}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one tick that go into the status.

    Attributes:
        wall_seconds: time of the tick, seconds since the epoch.
        mode: the mode in force.
        paused: whether the agent is paused.
        node: the node's RAM and swap.
        swap_allowed_bytes: the sum of all allowances.
        percent: ``memoryOvercommitPercentage``.
        request: the relief request that stands.
        problems: the node's problems.
        writer: the writer of swap limits; ``None``: not known yet.
        differing: number of containers whose limit differs and is not the agent's to write.
        offloaded_bytes: the RAM that offload has bought.
        offloadable_bytes: the memory that offload would swap out now; ``None``: it does so, or is off.
    """

    wall_seconds: float
    mode: str
    paused: bool
    node: NodeModel
    swap_allowed_bytes: int
    percent: int
    request: ReliefRequest | None
    problems: tuple[Problem, ...]
    writer: Choice | None = None
    differing: int = 0
    offloaded_bytes: int = 0
    offloadable_bytes: int | None = None


class StatusWriter:
    """Composes the status.

    Args:
        instance: this agent's instance.
        trend: the node's pressure.
        history: the samples from which averages are computed.
        window_seconds: time over which swap traffic is averaged.
        now: seconds since the epoch.
    """

    def __init__(
        self, instance: str, trend: PressureTrend, history: History, window_seconds: float, now: float
    ) -> None:
        self._instance = instance
        self._trend = trend
        self._history = history
        self._window_seconds = max(1.0, window_seconds)
        self._since = self._condition_since = to_timestamp(now)
        self._reported = trend.state
        self._decisions: deque[DecisionRecord] = deque(maxlen=MOST_DECISIONS)
        self._promised: tuple[Mapping[str, ResolvedPod], int, int] | None = None

    def take_over(self, left: OvercommitNodeStatus | None) -> None:
        """Continue from the previous agent's status: an unchanged pressure state keeps its `since`."""
        if left is None:
            return
        if left.pressure.state == self._trend.state and left.pressure.since:
            self._since = left.pressure.since
        for condition in left.conditions:
            if condition.type == PRESSURE_CONDITION and condition.status == self._condition_status:
                self._condition_since = condition.last_transition_time
        self._decisions.extend(left.decisions[: MOST_DECISIONS - len(self._decisions)])

    def decided(self, decision: Decision) -> None:
        """Add a decision to the record; of several reclaims in a row only the last one is kept."""
        record = DecisionRecord(
            id=f"{self._instance}-{decision.number}",
            at=to_timestamp(decision.wall_seconds),
            action=decision.action,
            sentence=shortened(decision.sentence),
            victim=decision.victim.label if decision.victim is not None else "",
        )
        if decision.action == "reclaim" and self._decisions and self._decisions[0].action == "reclaim":
            self._decisions.popleft()
        elif len(self._decisions) == MOST_DECISIONS:
            self._decisions.pop()
        self._decisions.appendleft(record)

    def status(self, moment: Moment, pods: Mapping[str, ResolvedPod]) -> OvercommitNodeStatus:
        """Return the whole status, without the controller's part."""
        node, state = moment.node, self._trend.state
        at = to_timestamp(moment.wall_seconds)
        if state != self._reported:
            if (state == "None") != (self._reported == "None"):
                self._condition_since = at
            self._reported, self._since = state, at
        finding = self._trend.finding
        return OvercommitNodeStatus(
            observed_at=at,
            agent_version=__version__,
            agent_instance=self._instance,
            mode=moment.mode,
            paused=moment.paused,
            memory=MemoryStatus(
                total_bytes=node.installed_bytes,
                available_bytes=node.memory_available_bytes,
                promised_bytes=self._promised_bytes(pods, moment.percent),
                offloaded_bytes=moment.offloaded_bytes,
                offloadable_bytes=moment.offloadable_bytes,
                hugetlb_bytes=node.hugetlb_bytes,
            ),
            swap=SwapStatus(
                total_bytes=node.swap_total_bytes,
                used_bytes=node.swap_used_bytes,
                allowed_bytes=moment.swap_allowed_bytes,
                demanded_bytes=node_swap_bytes(node.memory_total_bytes, moment.percent),
                in_pages_per_second=self._average("swap_in_pages"),
                out_pages_per_second=self._average("swap_out_pages"),
                writer=moment.writer.writer if moment.writer else "",
                writer_sentence=moment.writer.sentence if moment.writer else "",
                differing=moment.differing,
                page_bytes=node.page_bytes,
            ),
            pressure=PressureStatus(
                state=state,
                since=self._since,
                rule=finding.rule if finding else "",
                sentence=shortened(finding.sentence) if finding else "",
                domain=(finding.domain or "") if finding else "",
                stall_full_percent=self.stall_full_percent,
            ),
            request=moment.request,
            decisions=tuple(self._decisions),
            problems=moment.problems,
            conditions=(
                Condition(
                    type=PRESSURE_CONDITION,
                    status=self._condition_status,
                    last_transition_time=self._condition_since,
                    reason=_REASONS[state],
                    message=shortened(finding.sentence) if finding else "no rule fires",
                ),
            ),
        )

    @property
    def stall_full_percent(self) -> float | None:
        """PSI ``full`` of the last :data:`STALL_SECONDS`, in percent; ``None``: not known."""
        rate = self._history.per_second("stall_full_micros", STALL_SECONDS, 1.0)
        return None if rate is None else round(rate / 10_000, 1)

    @property
    def _condition_status(self) -> Literal["True", "False"]:
        return "False" if self._trend.state == "None" else "True"

    def _average(self, counter: Counter) -> float | None:
        rate = self._history.per_second_of_window(counter, self._window_seconds)
        return None if rate is None else round(rate, 1)

    def _promised_bytes(self, pods: Mapping[str, ResolvedPod], percent: int) -> int:
        """Return the promised memory of all pods, computed again only when pods or percentage changed."""
        last = self._promised
        if last is None or last[0] is not pods or last[1] != percent:
            promised = sum(promise_bytes(pod, percent) for pod in pods.values())
            self._promised = last = (pods, percent, promised)
        return last[2]
