"""The clock of a stall: for how long rules have fired, to compare with the patience."""

from typing import Final

CALM_SECONDS: Final = 5.0
"""A pause up to this long does not end a stall: while a node thrashes, its average over 2 s dips."""


class StallClock:
    """Times one stall, from the first sample in which a rule fired."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last: float | None = None
        self._in_vain_since: float | None = None

    def seen(self, holds: bool, now: float) -> None:
        """Note whether a rule fires now; if none has for a while, the stall is over."""
        if holds:
            self._since = now if self._since is None else self._since
            self._last = now
        elif self._last is not None and now - self._last > CALM_SECONDS:
            self._since = self._last = self._in_vain_since = None

    @property
    def running(self) -> bool:
        """Whether a rule fires, or did a moment ago."""
        return self._since is not None

    def seconds(self, now: float) -> float:
        """Seconds for which the stall has lasted."""
        return 0.0 if self._since is None else now - self._since

    def seconds_in_vain(self, now: float, absorbing: bool) -> float:
        """Seconds of the stall without the node absorbing (swapping out pages that stay out)."""
        if absorbing:
            self._in_vain_since = None
        elif self._in_vain_since is None:
            self._in_vain_since = now
        return 0.0 if self._in_vain_since is None else now - self._in_vain_since
