"""Which agents have stopped reporting: by our own clock, and only while we could have heard them."""

from collections.abc import Callable
from typing import Final

DEAF_SECONDS: Final = 8.0
"""Without any answer from the API server for longer than this, silence says nothing about agents."""


class Reports:
    """When each agent was last seen to say something new.

    Neither an agent's clock nor the API server's counts. A new leader begins anew, so right after a change
    of leaders nobody is silent.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, tuple[str | None, float]] = {}
        self._hearing_since = clock()
        self._heard_at = clock()

    def said(self, node: str, observed_at: str | None) -> None:
        """What an agent's report is dated."""
        known = self._said.get(node)
        if known is None or known[0] != observed_at:
            self._said[node] = (observed_at, self._clock())

    def forget(self, node: str) -> None:
        """The node is no more."""
        self._said.pop(node, None)

    def contact(self, last_contact: float | None) -> None:
        """When anything was heard from the API server last; to be told every few seconds."""
        now = self._clock()
        if last_contact is not None and now - last_contact < DEAF_SECONDS:
            if now - self._heard_at >= DEAF_SECONDS:
                self._hearing_since = now
            self._heard_at = now

    def is_stale(self, node: str, stale_seconds: float) -> bool:
        """Whether a node's agent has been silent for so long. One that never spoke is silent, too."""
        now = self._clock()
        if now - self._heard_at >= DEAF_SECONDS:
            return False
        since = self._said.setdefault(node, (None, now))[1]
        return now - max(since, self._hearing_since) >= stale_seconds
