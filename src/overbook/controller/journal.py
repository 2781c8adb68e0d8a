"""The last things that relief did, for whoever asks on ``/decisions``."""

from collections import deque
from typing import Final

import msgspec

from overbook.core.timestamp import to_timestamp

KEPT: Final = 256


class JournalEntry(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened.

    Attributes:
        at: when, RFC 3339.
        node: for which node.
        reason: that of its event, or ``Waiting``.
        message: for people.
    """

    at: str
    node: str
    reason: str
    message: str


class ReliefJournal:
    """Oldest first, at most :data:`KEPT`."""

    def __init__(self) -> None:
        self.entries: deque[JournalEntry] = deque(maxlen=KEPT)

    def add(self, node: str, reason: str, message: str, wall_seconds: float) -> None:
        """Something happened."""
        self.entries.append(JournalEntry(to_timestamp(wall_seconds), node, reason, message))

    def as_json(self) -> bytes:
        """All of it."""
        return msgspec.json.encode({"decisions": list(self.entries)})
