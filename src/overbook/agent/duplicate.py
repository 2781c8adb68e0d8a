"""Two agents on one node by mistake: the one that started first yields, and says so.

Whoever starts takes the node's object over, because what it finds there is most likely what it wrote itself
before it was killed. An agent that is alive notices: what stands there is another's, and changes again. The
earlier one then only observes, until the later one has been silent for a while. Both follow the same order,
so neither takes back what the other took.
"""

import os
from collections.abc import Mapping
from typing import Final

from overbook.core.api.overcommit_node import OvercommitNodeStatus

SILENCE_SECONDS: Final = 70.0
"""More than three heartbeats: an agent that has not written for so long is gone."""
YIELDING_ANNOTATION: Final = "overbook.dev/second-agent"
"""The yielding agent writes its instance here, with the time, so that the other one can tell of it."""


def new_instance(wall_seconds: float) -> str:
    """A name for an agent that starts now. Later ones compare greater."""
    return f"{int(wall_seconds * 1000):012x}-{os.urandom(3).hex()}"


class DuplicateAgent:
    """Watches for another agent of the same node.

    Args:
        instance: ours.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._written = _Heartbeat()
        self._said = _Heartbeat()
        self._later = self._yielded = ""
        self._later_at = self._yielded_at = 0.0

    def seen(
        self, own: OvercommitNodeStatus | None, annotations: Mapping[str, str], now: float
    ) -> tuple[str, str]:
        """Who else writes for this node.

        Args:
            own: the status that stands in the node's object.
            annotations: of that object.
            now: seconds, monotonic.

        Returns:
            The instance that we yield to, and the one that yields to us; empty where there is none.
        """
        writer = own.agent_instance if own is not None else ""
        stamp = (own.observed_at or "") if own is not None else ""
        if self._written.changed(f"{writer} {stamp}") and writer > self._instance:
            # What we had sent before we knew may still arrive after it: that changes nothing.
            self._later, self._later_at = writer, now
        said = annotations.get(YIELDING_ANNOTATION, "")
        if self._said.changed(said) and said.partition(" ")[0] != self._instance:
            self._yielded, self._yielded_at = said.partition(" ")[0], now
        return (
            self._later if now - self._later_at <= SILENCE_SECONDS else "",
            self._yielded if now - self._yielded_at <= SILENCE_SECONDS else "",
        )


class _Heartbeat:
    """A text that somebody alive changes. What stood there first is no sign of life."""

    def __init__(self) -> None:
        self._text: str | None = None

    def changed(self, text: str) -> bool:
        before, self._text = self._text, text
        return before is not None and text != before
