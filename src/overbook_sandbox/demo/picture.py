"""The picture of the demo as an SVG: the same load on one or two nodes along one time axis."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from overbook_sandbox.demo import picture_parts as parts
from overbook_sandbox.demo.picture_notes import Note, explained, notes_of
from overbook_sandbox.demo.picture_parts import Point, Scale
from overbook_sandbox.demo.picture_rows import MEBIBYTE, Label, PictureRow, rows
from overbook_sandbox.demo.story import WILD_POD, Story
from overbook_sandbox.demo.summary import facts_of, headline

_AXIS: Final = 72.0
_PLOT: Final = 460.0
_LABELS: Final = 92.0
_MARGIN: Final = 20.0
_ROW_GAP: Final = 32.0
_PHASES: Final = {"wild": f"{WILD_POD} runs wild"}
_WILD_BAND: Final = "#fdf0e7"
_BAND: Final = "#f3f5f7"


class Column(NamedTuple):
    """One node's part of the picture."""

    story: Story
    x: Scale
    notes: list[Note]

    @property
    def width(self) -> float:
        """The width of the plot and the labels beside it."""
        return self.x.end - self.x.start + _LABELS


def svg(stories: Sequence[Story]) -> str:
    """The picture of one or two stories, as a self-contained SVG document.

    It is readable on light and dark pages, needs no special font, and has a title.
    """
    columns = _columns(stories)
    width = columns[-1].x.end + _LABELS + 12 if columns else _AXIS + _PLOT + _LABELS
    head, y = _head(stories, width)
    top = max([_heading(head, column, y) for column in columns], default=y) + 12
    strip, lane = top, top + 36
    plots = lane + 14
    body: list[str] = []
    titles: list[str] = []
    bottom = plots
    for row in rows(stories):
        start = bottom + _ROW_GAP
        bottom = start + row.height
        pieces, words = _row(row, start, columns)
        body += pieces
        titles += words
    behind = [piece for column in columns for piece in _bands(column, strip, bottom)]
    front = [piece for column in columns for piece in _silences(column, plots + _ROW_GAP, bottom)]
    front += [piece for column in columns for piece in _markers(column, lane, plots + _ROW_GAP, bottom)]
    front += [piece for column in columns for piece in _time_axis(column, bottom)]
    ends = [bottom + 40]
    for column in columns:
        pieces, end = explained(column.notes, Point(column.x.start, bottom + 52), column.width)
        front += pieces
        ends.append(end)
    return _document(_title(stories), width, max(ends) + 8, [*behind, *body, *front, *titles, *head])


def _columns(stories: Sequence[Story]) -> list[Column]:
    end = max((story.end for story in stories), default=0.0) or 1.0
    starts = [_AXIS + index * (_PLOT + _LABELS + 24) for index in range(len(stories))]
    return [
        Column(story, Scale(0, end, start, start + _PLOT), notes_of(story))
        for story, start in zip(stories, starts, strict=True)
    ]


def _title(stories: Sequence[Story]) -> str:
    if len(stories) == 1:
        return "A node under more load than its RAM holds, " + _name(stories[0])
    return "The same load on two nodes: with Overbook, and with swap alone"


def _name(story: Story) -> str:
    return "with Overbook" if story.overbook else "without Overbook (swap is on, the kernel alone decides)"


def _head(stories: Sequence[Story], width: float) -> tuple[list[str], float]:
    pieces = [parts.text(Point(_MARGIN, 36), _title(stories), size=20 if width > 900 else 15, bold=True)]
    y = 58.0
    for words in parts.wrapped(_subtitle(stories), width - 2 * _MARGIN, size=parts.BODY):
        pieces.append(parts.text(Point(_MARGIN, y), words, size=parts.BODY, colour=parts.FAINT))
        y += 17
    return pieces, y + 14


def _subtitle(stories: Sequence[Story]) -> str:
    known = next((story for story in stories if story.pods), None)
    if known is None:
        return "The nodes' sizes are not known."
    memory, swap = known.node.memory_bytes, known.node.swap_bytes
    size = f"{memory / MEBIBYTE:.0f} MiB of RAM" if memory is not None else "RAM of unknown size"
    size += f", {swap / MEBIBYTE:.0f} MiB of swap" if swap is not None else ""
    kinds: dict[str, list[str]] = {}
    for pod in known.pods:
        kinds.setdefault(pod.qos_class + (" VM" if pod.virtual_machine else ""), []).append(pod.name)
    pods = "; ".join(f"{', '.join(pods)}: {kind}" for kind, pods in kinds.items())
    return f"Emulated Linux nodes: {size}. Pods: {pods}."


def _heading(head: list[str], column: Column, y: float) -> float:
    head.append(parts.text(Point(column.x.start, y), _capital(_name(column.story)), size=15, bold=True))
    summary_text = headline(facts_of(column.story))
    for words in parts.wrapped(summary_text, column.width, size=parts.BODY, most_lines=3):
        y += 17
        head.append(parts.text(Point(column.x.start, y), words, size=parts.BODY))
    return y


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _bands(column: Column, strip: float, bottom: float) -> Iterator[str]:
    story, x = column.story, column.x
    ends = [*(phase.at for phase in story.phases[1:]), story.end]
    for index, (phase, end) in enumerate(zip(story.phases, ends, strict=False)):
        left, right = x(phase.at), x(end)
        fill = _WILD_BAND if phase.name == "wild" else _BAND if index % 2 else "#fff"
        yield parts.rectangle(Point(left, strip), right - left, bottom - strip, fill)
        yield parts.line(Point(left, strip), Point(left, bottom), "#d5dae0")
        for words in (_PHASES.get(phase.name, phase.name), phase.name):
            if parts.text_width(words) + 4 <= right - left:
                middle = Point((left + right) / 2, strip + 14)
                yield parts.text(middle, words, colour=parts.FAINT, anchor="middle", bold=True)
                break


def _row(row: PictureRow, top: float, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """The pieces of a row of plots, and the texts that are drawn on top."""
    y = row.scale(top)
    pieces: list[str] = []
    words: list[str] = []
    for column in columns:
        x = column.x
        pieces += [parts.line(Point(x.start, y(value)), Point(x.end, y(value))) for value in row.ticks]
        drawing = row.draw(column.story, x, y)
        pieces.append(parts.group(drawing.pieces))
        pieces.append(parts.line(Point(x.start, top), Point(x.start, y.start), parts.FAINT, width=0.8))
        words += [*drawing.words, *_labels(drawing.labels, x.end, top, y.start)]
    if columns:
        left = columns[0].x.start
        words.append(parts.text(Point(left, top - 9), row.title, size=parts.BODY, bold=True, halo=True))
        words += [
            parts.text(Point(left - 6, y(value) + 4), f"{abs(value):,.0f}", colour=parts.FAINT, anchor="end")
            for value in row.ticks
        ]
    return pieces, words


def _labels(labels: Sequence[Label], left: float, top: float, bottom: float) -> Iterator[str]:
    ordered = sorted(labels)
    places = parts.spread([label.y for label in ordered], 13, top + 9, bottom + 3)
    for label, y in zip(ordered, places, strict=True):
        yield parts.line(Point(left + 1, label.y - 4), Point(left + 8, y - 4), label.colour)
        yield parts.rectangle(Point(left + 9, y - 8), 7, 7, label.colour, radius=1.5)
        yield parts.text(Point(left + 19, y), label.words)


def _silences(column: Column, top: float, bottom: float) -> Iterator[str]:
    spans = column.story.silences()
    longest = max(spans, key=lambda span: span.seconds, default=None)
    for span in spans:
        left, right = column.x(span.start), column.x(span.end)
        yield parts.rectangle(Point(left, top), right - left, bottom - top, "url(#silence)")
        if span is not longest or right - left < 15:
            continue
        middle = Point((left + right) / 2 + 4, top + (bottom - top) * 0.3)
        words = parts.text(middle, "no sample: the node did not answer", anchor="middle", halo=True)
        yield f'<g transform="rotate(-90 {middle.x:.1f} {middle.y:.1f})">{words}</g>'


def _markers(column: Column, lane: float, top: float, bottom: float) -> Iterator[str]:
    x = column.x
    places = parts.spread([x(note.at) for note in column.notes], 18, x.start + 8, x.end)
    for number, (note, place) in enumerate(zip(column.notes, places, strict=True), start=1):
        at = x(note.at)
        yield parts.line(Point(place, lane + 8), Point(at, top - 24), note.colour)
        yield parts.line(Point(at, top - 24), Point(at, bottom), note.colour, dash="2 3", opacity=0.8)
        yield parts.numbered_dot(Point(place, lane), number, note.colour)


def _time_axis(column: Column, bottom: float) -> Iterator[str]:
    x = column.x
    yield parts.line(Point(x.start, bottom), Point(x.end, bottom), parts.FAINT)
    for value in parts.ticks(x.high, 6):
        yield parts.line(Point(x(value), bottom), Point(x(value), bottom + 4), parts.FAINT)
        yield parts.text(Point(x(value), bottom + 17), f"{value:g} s", colour=parts.FAINT, anchor="middle")


def _document(title: str, width: float, height: float, pieces: Sequence[str]) -> str:
    hatch = (
        '<defs><pattern id="silence" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="#fff" fill-opacity="0.6"/>'
        '<rect width="1.6" height="7" fill="#9aa4af"/></pattern></defs>'
    )
    return parts.document(title, width, height, pieces, definitions=hatch)
