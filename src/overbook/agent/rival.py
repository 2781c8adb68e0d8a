"""Two agents on one node by mistake: the one that started first yields, and says so.

Whoever starts takes the node's object over, because what it finds there is most likely what it wrote itself
before it was killed. An agent that is alive notices: what stands there is another's, and changes again. The
earlier one then only observes, until the later one has been silent for a while. Both follow the same order,
so neither takes back what the other took.
"""

import os
from collections.abc import Mapping
from typing import Final

from overbook.core.custom_overcommit_node import OvercommitNodeStatus

SILENCE_SECONDS: Final = 70.0
"""More than three heartbeats: an agent that has not written for so long is gone."""
YIELDING_ANNOTATION: Final = "overbook.dev/second-agent"
"""The yielding agent writes its instance here, with the time, so that the other one can tell of it."""


def new_instance(wall_seconds: float) -> str:
    """A name for an agent that starts now. Later ones compare greater."""
    return f"{int(wall_seconds * 1000):012x}-{os.urandom(3).hex()}"


class Rival:
    """Watches for another agent of the same node.

    Args:
        instance: ours.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._status_sign = _Sign()
        self._annotation_sign = _Sign()

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
        other = own.agent_instance if own is not None else ""
        stamp = (own.observed_at or "") if own is not None else ""
        wrote_lately = self._status_sign.changed_lately(f"{other} {stamp}", now)
        said_lately = self._annotation_sign.changed_lately(annotations.get(YIELDING_ANNOTATION, ""), now)
        yielding_to = other if wrote_lately and other > self._instance else ""
        yielded = annotations.get(YIELDING_ANNOTATION, "").partition(" ")[0] if said_lately else ""
        return yielding_to, "" if yielded == self._instance else yielded


class _Sign:
    """A text that somebody alive changes. What stood there first is no sign of life."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._changed_at: float | None = None

    def changed_lately(self, text: str, now: float) -> bool:
        if self._text is not None and text != self._text:
            self._changed_at = now
        self._text = text
        return self._changed_at is not None and now - self._changed_at <= SILENCE_SECONDS
