"""Two agents on one node by mistake: the one that started first yields and reports it.

A starting agent takes the node's object and its Lease over, because the previous agent most likely wrote them
and was killed. If the previous agent still runs, it sees that another instance renews the Lease. It then only
observes, until the later agent has been silent for a while. Both agents use the same order, so neither takes
the Lease back.
"""

import os
from typing import Final

from overbook.agent.bridge import SeenLease
from overbook.core.api.overcommit_node import OvercommitNodeStatus

SILENCE_SECONDS: Final = 70.0
"""More than three heartbeats: an agent that has not written for so long is gone."""
YIELDING_ANNOTATION: Final = "overbook.dev/second-agent"
"""The annotation of the Lease with the yielding agent's instance and the time; the other agent reports it."""


def new_instance(wall_seconds: float) -> str:
    """Return a name for an agent that starts now. The names of later agents compare greater."""
    return f"{int(wall_seconds * 1000):012x}-{os.urandom(3).hex()}"


class DuplicateAgent:
    """Watches for another agent of the same node.

    Args:
        instance: this agent's instance.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._written = _ChangingText()
        self._renewed = _ChangingText()
        self._annotation = _ChangingText()
        self._later = self._yielded = ""
        self._later_at = self._yielded_at = 0.0

    def seen(self, own: OvercommitNodeStatus | None, lease: SeenLease, now: float) -> tuple[str, str]:
        """Find the other agents of this node.

        Args:
            own: the status in the node's object.
            lease: the marks of other agents in the node's Lease.
            now: seconds, monotonic.

        Returns:
            The instance to which this agent yields, and the one that yields to this agent; empty: none.
        """
        writer = own.agent_instance if own is not None else ""
        stamp = (own.observed_at or "") if own is not None else ""
        if self._written.changed(f"{writer} {stamp}") and writer > self._instance:
            # An earlier write of this agent may still arrive after this one; that changes nothing.
            self._later, self._later_at = writer, now
        if self._renewed.changed(f"{lease.holder} {lease.renewed}") and lease.holder > self._instance:
            self._later, self._later_at = lease.holder, now
        if self._annotation.changed(lease.second) and lease.second.partition(" ")[0] != self._instance:
            self._yielded, self._yielded_at = lease.second.partition(" ")[0], now
        return (
            self._later if now - self._later_at <= SILENCE_SECONDS else "",
            self._yielded if now - self._yielded_at <= SILENCE_SECONDS else "",
        )


class _ChangingText:
    """A text that a running agent keeps changing. The first text seen does not count as a change."""

    def __init__(self) -> None:
        self._text: str | None = None

    def changed(self, text: str) -> bool:
        before, self._text = self._text, text
        return before is not None and text != before
