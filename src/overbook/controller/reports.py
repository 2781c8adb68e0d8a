"""Agents that no longer report: their reports did not come while the watch of the reports was heard."""

from collections.abc import Callable


class Reports:
    """The time of each agent's last new report.

    Neither an agent's clock nor the API server's clock is used, nor the time that passes here: an agent is
    silent if the watch of the reports was heard for so long without a report from it. A watch that is dead
    or cut off proves nothing, so no agent becomes silent in an outage or right after it. A new leader starts
    from the beginning.

    Args:
        heard_seconds: how long the watch of the reports was heard in all.
    """

    def __init__(self, heard_seconds: Callable[[], float]) -> None:
        self._heard_seconds = heard_seconds
        self._reports: dict[str, tuple[str | None, float]] = {}

    def reported(self, node: str, observed_at: str | None) -> None:
        """Note the date of an agent's report."""
        known = self._reports.get(node)
        if known is None or known[0] != observed_at:
            self._reports[node] = (observed_at, self._heard_seconds())

    def forget(self, node: str) -> None:
        """Forget a deleted node."""
        self._reports.pop(node, None)

    def is_stale(self, node: str, stale_seconds: float) -> bool:
        """Whether a node's agent has not reported for at least ``stale_seconds``, or never."""
        now = self._heard_seconds()
        return now - self._reports.setdefault(node, (None, now))[1] >= stale_seconds
