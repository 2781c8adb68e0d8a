"""The last events of relief, as ``/decisions`` shows them."""

from collections import deque
from typing import Final

import msgspec

from overbook.core.timestamp import to_timestamp

KEPT: Final = 256


class JournalEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of relief.

    Attributes:
        at: the time, RFC 3339.
        node: the node.
        reason: the reason of the Kubernetes event, or ``Waiting``.
        message: the text for people.
    """

    at: str
    node: str
    reason: str
    message: str


class ReliefJournal:
    """The last entries, oldest first, at most :data:`KEPT`."""

    def __init__(self) -> None:
        self.entries: deque[JournalEntry] = deque(maxlen=KEPT)

    def add(self, node: str, reason: str, message: str, wall_seconds: float) -> None:
        """Add an entry."""
        self.entries.append(JournalEntry(to_timestamp(wall_seconds), node, reason, message))

    def as_json(self) -> bytes:
        """All entries as JSON."""
        return msgspec.json.encode({"decisions": list(self.entries)})
