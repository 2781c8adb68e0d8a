"""The clock of a stall: for how long rules have fired, to compare with the patience."""

from typing import Final

CALM_SECONDS: Final = 5.0
"""A pause up to this long does not end a stall: while a node thrashes, its average over 2 s dips."""


class StallClock:
    """Times one stall, from the first sample in which a rule fired. Pauses in it do not count."""

    def __init__(self) -> None:
        self._before = 0.0
        self._begun: float | None = None
        self._last = 0.0
        self._seconds = 0.0
        self._absorbed_at = 0.0

    def seen(self, holds: bool, now: float) -> None:
        """Note whether a rule fires now; if none has for a while, the stall is over."""
        if holds:
            if self._begun is None:
                self._begun = now
            else:
                self._seconds += now - self._before
            self._last = now
        elif self._begun is not None and now - self._last > CALM_SECONDS:
            self._begun = None
            self._seconds = self._absorbed_at = 0.0
        self._before = now

    @property
    def running(self) -> bool:
        """Whether a rule fires, or did a moment ago."""
        return self._begun is not None

    def age_seconds(self, now: float) -> float:
        """Seconds since the stall began, pauses included."""
        return 0.0 if self._begun is None else now - self._begun

    @property
    def seconds(self) -> float:
        """Seconds in which a rule fired, since the stall began."""
        return self._seconds

    def seconds_in_vain(self, *, absorbing: bool) -> float:
        """Seconds of the stall since the node last absorbed (swapped out pages that stay out)."""
        if absorbing:
            self._absorbed_at = self._seconds
        return self._seconds - self._absorbed_at
