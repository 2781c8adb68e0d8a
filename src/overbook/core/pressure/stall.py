"""How long work has stalled on memory: what patience is measured by."""

from typing import Final

CALM_SECONDS: Final = 2.0
"""A dip shorter than this does not end a stall: its average of 2 s only passed the threshold for a moment."""


class StallClock:
    """One stall, from the first sample in which the pressure rule held."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last: float | None = None
        self._in_vain_since: float | None = None

    def seen(self, holds: bool, now: float) -> None:
        """Whether the rule holds now; when it has not for a while, the stall is over."""
        if holds:
            self._since = now if self._since is None else self._since
            self._last = now
        elif self._last is not None and now - self._last > CALM_SECONDS:
            self._since = self._last = self._in_vain_since = None

    def seconds(self, now: float) -> float:
        """For how long it has lasted."""
        return 0.0 if self._since is None else now - self._since

    def seconds_in_vain(self, now: float, absorbing: bool) -> float:
        """For how long it has lasted while no memory went out for good."""
        if absorbing:
            self._in_vain_since = None
        elif self._in_vain_since is None:
            self._in_vain_since = now
        return 0.0 if self._in_vain_since is None else now - self._in_vain_since
