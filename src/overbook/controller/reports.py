"""Agents that no longer report: measured by this process's clock, while the API server answers."""

from collections.abc import Callable
from typing import Final

UNREACHABLE_SECONDS: Final = 8.0
"""After this time without an answer from the API server, missing reports say nothing about agents."""


class Reports:
    """The time of each agent's last new report.

    Neither an agent's clock nor the API server's clock is used. A new leader starts from the beginning, so
    right after a change of leaders no agent counts as silent.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[str | None, float]] = {}
        self._reachable_since = clock()
        self._answered_at = clock()

    def reported(self, node: str, observed_at: str | None) -> None:
        """Note the date of an agent's report."""
        known = self._reports.get(node)
        if known is None or known[0] != observed_at:
            self._reports[node] = (observed_at, self._clock())

    def forget(self, node: str) -> None:
        """Forget a deleted node."""
        self._reports.pop(node, None)

    def contact(self, last_contact: float | None) -> None:
        """Note the API server's last answer; must be called every few seconds."""
        now = self._clock()
        if last_contact is not None and now - last_contact < UNREACHABLE_SECONDS:
            if now - self._answered_at >= UNREACHABLE_SECONDS:
                self._reachable_since = now
            self._answered_at = now

    def is_stale(self, node: str, stale_seconds: float) -> bool:
        """Whether a node's agent has not reported for at least ``stale_seconds``, or never."""
        now = self._clock()
        if now - self._answered_at >= UNREACHABLE_SECONDS:
            return False
        since = self._reports.setdefault(node, (None, now))[1]
        return now - max(since, self._reachable_since) >= stale_seconds
