"""The numbered notes of the demo's picture: the most important moments, with their explanations."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

from overbook_sandbox.demo import picture_parts as parts
from overbook_sandbox.demo.picture_parts import Point
from overbook_sandbox.demo.story import DecisionEvent, Gone, Story

MOST_NOTES: Final = 6
_DECIDED: Final = "#005a8f"
_WENT: Final = "#a84300"
_LINE: Final = 16.0
_MOST_LINES: Final = 4


class Note(NamedTuple):
    """A note on a moment; notes with a lower rank are more important."""

    at: float
    sentence: str
    colour: str
    rank: int


def notes_of(story: Story) -> list[Note]:
    """The most important notes by time: first choose pods that left, then reliefs, then other decisions."""
    everything = [*_decisions(story), *(_gone(gone) for gone in story.gone)]
    worth = sorted(everything, key=lambda note: (note.rank, note.at))[:MOST_NOTES]
    return sorted(worth)


def explained(notes: Sequence[Note], corner: Point, width: float) -> tuple[list[str], float]:
    """The notes as wrapped texts below each other.

    Returns:
        The pieces, and the y coordinate of the end.
    """
    pieces: list[str] = []
    y = corner.y
    for number, note in enumerate(notes, start=1):
        sentence = f"{note.at:.1f} s · {note.sentence}"
        lines = parts.wrapped(sentence, width - 26, most_lines=_MOST_LINES)
        pieces.append(parts.numbered_dot(Point(corner.x + 8, y - 4), number, note.colour))
        for words in lines:
            pieces.append(parts.text(Point(corner.x + 24, y), words))
            y += _LINE
        y += 6
    return pieces, y


def _decisions(story: Story) -> list[Note]:
    """The notes on decisions; similar ones in a row share a note, since the agent repeats decisions."""
    phases = [phase.at for phase in story.phases]

    def kind(step: DecisionEvent) -> tuple[int, str, str, str | None]:
        return sum(at <= step.at for at in phases), step.action, step.rule, step.victim

    notes = []
    for _, same in groupby(story.decisions, kind):
        first, *more = same
        again = f" (and {len(more)} more until {more[-1].at:.1f} s)" if more else ""
        rank = {"relieve": 1, "reclaim": 2}.get(first.action, 3)
        notes.append(Note(first.at, (first.sentence or first.action) + again, _DECIDED, rank))
    return notes


def _gone(gone: Gone) -> Note:
    how = (gone.how or "gone").replace("overbook", "Overbook")
    return Note(gone.at, f"{gone.pod}: {how}", _WENT, 0)
