"""Recordings: what an agent read and decided, line by line.

A recording is JSON lines, each an object with one of the keys ``pods``, ``sample``, ``decision`` and
``relief``. One tick of the agent writes, in this order, the pods where they changed, the sample, the end of
a relief, and the decision.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.sample import Sample

MOST_LINE_BYTES: Final = 32 * 2**20
"""A sample of ten thousand containers has one megabyte."""


class Relieved(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The end of a relief.

    Attributes:
        label: ``namespace/name``.
        outcome: how it ended, in one word.
        seconds: the time from the decision to the end.
    """

    label: str
    outcome: str
    seconds: float = 0.0


class RecordingLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording; only one of its fields is set."""

    pods: tuple[PodFacts, ...] | None = None
    sample: Sample | None = None
    decision: Decision | None = None
    relief: Relieved | None = None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One tick of the recorded agent: a sample and what belongs to it.

    Attributes:
        sample: what was read.
        facts: the pods as the agent knew them then, by UID.
        decision: the decision that the agent made then.
        relieved: the relief whose end the agent noticed then.
    """

    sample: Sample
    facts: Mapping[str, PodFacts]
    decision: Decision | None = None
    relieved: Relieved | None = None


class Recording:
    """Reads a recording as a stream, without keeping it in memory.

    Args:
        lines: its lines with their line ends; only the last may lack its own. None may be longer than
            :data:`MOST_LINE_BYTES` by more than its end.
        name: the recording's name in messages.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self._lines = lines
        self._name = name
        self.cut_off_line = 0
        """The last line's number if the agent was stopped while it wrote that line; else 0."""

    def ticks(self) -> Iterator[Tick]:
        """Yield the recording's ticks in order.

        Raises:
            InvalidInput: a line is not an entry of a recording, or there is no sample.
        """
        facts: dict[str, PodFacts] = {}
        tick: Tick | None = None
        for entry in self._entries():
            if entry.pods is None and entry.sample is None:
                # What follows a sample belongs to it; an entry before the first sample is ignored.
                if tick is not None:
                    tick = Tick(
                        tick.sample,
                        tick.facts,
                        entry.decision or tick.decision,
                        entry.relief or tick.relieved,
                    )
                continue
            if tick is not None:
                yield tick
                tick = None
            if entry.pods is not None:
                facts = {pod.uid: pod for pod in entry.pods}
            elif entry.sample is not None:
                tick = Tick(entry.sample, facts)
        if tick is None:
            raise InvalidInput(self._name, "no sample", "a recording written by `overbook agent --record`")
        yield tick

    def _entries(self) -> Iterator[RecordingLine]:
        for number, line in enumerate(self._lines, 1):
            if len(line) > MOST_LINE_BYTES:
                raise InvalidInput(
                    f"{self._name}, line {number}",
                    line[:60].decode("utf-8", "replace"),
                    f"at most {MOST_LINE_BYTES // 2**20} MiB a line",
                )
            if line.isspace():
                continue
            try:
                entry = _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if number > 1 and not line.endswith(b"\n") and not isinstance(error, msgspec.ValidationError):
                    self.cut_off_line = number
                    return
                raise self._refusal(number, line, error) from error
            if entry == _NOTHING:
                raise self._refusal(number, line, None)
            yield entry

    def _refusal(self, number: int, line: bytes, error: Exception | None) -> InvalidInput:
        problem = f" ({error})" if error else ""
        return InvalidInput(
            f"{self._name}, line {number}",
            line.strip()[:200].decode("utf-8", "replace"),
            f"an object with pods, sample, decision or relief, as `overbook agent --record` writes{problem}",
        )


_DECODER: Final = msgspec.json.Decoder(RecordingLine)
_NOTHING: Final = RecordingLine()
