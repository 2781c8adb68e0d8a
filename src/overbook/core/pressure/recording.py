"""What an agent recorded, line by line: the pods, the samples, what was decided and what became of it.

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
    """What became of a guest that was asked to go.

    Attributes:
        label: ``namespace/name``.
        outcome: one word.
        seconds: from the asking to the end.
    """

    label: str
    outcome: str
    seconds: float = 0.0


class RecordingLine(msgspec.Struct, frozen=True, gc=False):
    """One line; only one of its fields is set."""

    pods: tuple[PodFacts, ...] | None = None
    sample: Sample | None = None
    decision: Decision | None = None
    relief: Relieved | None = None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Everything that belongs to one sample.

    Attributes:
        sample: what was read.
        facts: the pods as they were known then, by UID.
        decision: what was decided then.
        relieved: the guest whose relief was seen to be over.
    """

    sample: Sample
    facts: Mapping[str, PodFacts]
    decision: Decision | None = None
    relieved: Relieved | None = None


class Recording:
    """Reads a recording as a stream; nothing of it is kept.

    Args:
        lines: with their line ends; only the last may lack its own. None may be longer than
            :data:`MOST_LINE_BYTES` by more than its end.
        name: for messages.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self._lines = lines
        self._name = name
        self.cut_off_line = 0
        """The last line's number, where it is not whole: the agent was stopped while it wrote."""

    def ticks(self) -> Iterator[Tick]:
        """Sample by sample.

        Raises:
            InvalidInput: a line is no entry of a recording, or there is no sample at all.
        """
        facts: dict[str, PodFacts] = {}
        tick: Tick | None = None
        for entry in self._entries():
            if entry.pods is None and entry.sample is None:
                # What follows a sample belongs to it; before the first one there is nothing to belong to.
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
