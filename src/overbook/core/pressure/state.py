"""What is reported of a node's pressure: up at once, down only when it has stayed down for a while."""

from collections.abc import Sequence
from typing import Final

from overbook.core.api.overcommit_node import PressureState
from overbook.core.pressure.decision import FiredRule

HOLD_SECONDS: Final = 5.0
"""A rule's average dips for a moment in every real stall; what everybody reads is not to flicker with it."""
_ORDER: Final[tuple[PressureState, ...]] = ("None", "Pressure", "Critical")


class PressureTrend:
    """The state now, and since when no rule has held.

    Args:
        now: seconds, monotonic.
    """

    def __init__(self, now: float) -> None:
        self.state: PressureState = "None"
        self.finding: FiredRule | None = None
        """The first rule that held last; ``None`` in state ``None``."""
        self._reached_at = now
        self._held_at: float | None = None
        self._started_at = now

    def seen(self, findings: Sequence[FiredRule], *, critical: bool, now: float) -> bool:
        """Take in what holds now; whether the state changed.

        Args:
            findings: the rules that hold.
            critical: they have held so long that a guest has to go.
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
        """For how long no rule has held; since the start where none has yet."""
        return now - (self._started_at if self._held_at is None else self._held_at)
