"""The journal of the last decisions, and the recording of samples and decisions for replay.

A recording is JSON lines, each an object with one key: ``pods`` (facts, when they change), ``sample``,
``decision`` or ``relief``.
"""

import logging
import os
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.agent.relief.local import ReliefReport
from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.sample import Sample

log = logging.getLogger(__name__)

KEPT_DECISIONS: Final = 256
KEPT_WHOLE: Final = 8
"""Only the last 8 keep their whole list of candidates (80 KiB each on a full node)."""
KEPT_PODS: Final = 8


class DecisionJournal:
    """Holds the last decisions, oldest first. All but the latest keep only their first candidates."""

    def __init__(self) -> None:
        self.decisions: deque[Decision] = deque(maxlen=KEPT_DECISIONS)
        self.reports: deque[ReliefReport] = deque(maxlen=KEPT_DECISIONS)

    def decided(self, decision: Decision) -> None:
        """Add a decision."""
        self.decisions.append(decision)
        if len(self.decisions) > KEPT_WHOLE:
            older = self.decisions[-1 - KEPT_WHOLE]
            self.decisions[-1 - KEPT_WHOLE] = msgspec.structs.replace(
                older, candidates=older.candidates[:KEPT_PODS], reclaim=older.reclaim[:KEPT_PODS]
            )

    def as_json(self) -> bytes:
        """Return decisions and reports as JSON, for ``/decisions``."""
        return msgspec.json.encode({"decisions": list(self.decisions), "relief": list(self.reports)})


class Recorder:
    """Appends to a recording, up to a limit.

    Args:
        path: the file; it is created with mode 600 and appended to.
        limit_bytes: the file's largest size.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(self, path: str, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size_bytes = os.fstat(self._fd).st_size
        self._encoder = msgspec.json.Encoder()
        self._full = False

    def pods(self, facts: Mapping[str, PodFacts]) -> None:
        """Write the pods as the rules see them from now on."""
        self._write({"pods": list(facts.values())})

    def sample(self, sample: Sample) -> None:
        """Write a sample."""
        self._write({"sample": sample})

    def decision(self, decision: Decision) -> None:
        """Write a decision."""
        self._write({"decision": decision})

    def relief(self, report: ReliefReport, wall_seconds: float) -> None:
        """Write the report of a relief."""
        self._write({"relief": report, "wallSeconds": wall_seconds})

    def close(self) -> None:
        """End the recording."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, entry: dict[str, object]) -> None:
        if self._full or self._fd < 0:
            return
        line = self._encoder.encode(entry) + b"\n"
        if self._size_bytes + len(line) > self._limit_bytes:
            self._full = True
            log.warning("%s has reached %d MiB; recording stops", self._path, self._limit_bytes // 2**20)
            return
        try:
            self._size_bytes += os.write(self._fd, line)
        except OSError as error:
            self._full = True
            log.warning("%s cannot be written (%s); recording stops", self._path, error.strerror)
