"""The pressure state that is reported of a node: it rises at once, and falls only after a while."""

from collections.abc import Sequence
from typing import Final

from overbook.core.api.overcommit_node import PressureState
from overbook.core.pressure.decision import FiredRule

HOLD_SECONDS: Final = 5.0
"""How long a state lasts at least: a rule's average dips for moments in every stall."""
_ORDER: Final[tuple[PressureState, ...]] = ("None", "Pressure", "Critical")


class PressureTrend:
    """The reported state of a node's pressure, and the time since a rule last fired.

    Args:
        now: seconds, monotonic.
    """

    def __init__(self, now: float) -> None:
        self.state: PressureState = "None"
        self.finding: FiredRule | None = None
        """The first of the rules that fired last; ``None`` in state ``None``."""
        self._reached_at = now
        self._held_at: float | None = None
        self._started_at = now

    def seen(self, findings: Sequence[FiredRule], *, critical: bool, now: float) -> bool:
        """Note which rules fire now, and return whether the state changed.

        Args:
            findings: the rules that fire.
            critical: whether they have fired for so long that a pod has to leave.
            now: seconds, monotonic.
        """
        state: PressureState = ("Critical" if critical else "Pressure") if findings else "None"
        if findings:
            self._held_at = now
            self.finding = findings[0]
        before = self.state
        if _ORDER.index(state) >= _ORDER.index(self.state):
            self.state, self._reached_at = state, now
        elif now - self._reached_at >= HOLD_SECONDS:
            self.state, self._reached_at = state, now
            if not findings:
                self.finding = None
        return self.state != before

    def calm_seconds(self, now: float) -> float:
        """Seconds for which no rule has fired; since the start if none has yet."""
        return now - (self._started_at if self._held_at is None else self._held_at)
