"""Agents that no longer report: no sign of life came while the watch of their heartbeats was heard."""

from collections.abc import Callable
from typing import Literal

Sign = Literal["Lease", "Report"]


class Reports:
    """The time of each agent's last sign of life: a renewal of its Lease, or a new report.

    An agent of an earlier version has no Lease and reports more often, so both count.

    Neither an agent's clock nor the API server's clock is used, nor the time that passes here: an agent is
    silent if the watch of the heartbeats was heard for so long without a sign from it. A watch that is dead
    or cut off proves nothing, so no agent becomes silent in an outage or right after it. A new leader starts
    from the beginning.

    Args:
        heard_seconds: how long the watch of the heartbeats was heard in all.
        now_seconds: how long that is if it is heard now; a report comes by another watch than the heartbeats.
    """

    def __init__(
        self, heard_seconds: Callable[[], float], now_seconds: Callable[[], float] | None = None
    ) -> None:
        self._heard_seconds = heard_seconds
        self._now_seconds = now_seconds or heard_seconds
        self._dates: dict[str, dict[Sign, str | None]] = {}
        self._signs: dict[str, float] = {}

    def seen(self, node: str, sign: Sign, date: str | None) -> None:
        """Note the date of an agent's sign of life, as it wrote it."""
        dates = self._dates.setdefault(node, {})
        if sign not in dates or dates[sign] != date:
            dates[sign] = date
            self._signs[node] = self._now_seconds()

    def forget(self, node: str) -> None:
        """Forget a deleted node."""
        self._dates.pop(node, None)
        self._signs.pop(node, None)

    def is_stale(self, node: str, stale_seconds: float) -> bool:
        """Whether a node's agent has not reported for at least ``stale_seconds``, or never."""
        now = self._heard_seconds()
        return now - self._signs.setdefault(node, now) >= stale_seconds
