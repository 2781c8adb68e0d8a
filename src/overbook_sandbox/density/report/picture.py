"""The picture of a benchmark as an SVG: density, innocent pods lost, and a map of loads and guards."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from overbook_sandbox.demo import picture_parts as parts
from overbook_sandbox.demo.picture_parts import Point, Scale
from overbook_sandbox.density.guards import GUARDS
from overbook_sandbox.density.report.markdown import DensityReport
from overbook_sandbox.density.report.most import KINDS, Density
from overbook_sandbox.density.report.rows import GOOD_PACE, OURS, Outcome, Row

_WIDTH: Final = 960.0
_MARGIN: Final = 24.0
_GAP: Final = 36.0
_BAR: Final = 15.0
_BAR_STEP: Final = 21.0
_NAMES: Final = 98.0
_NUMBERS: Final = 52.0
_LOADS: Final = 250.0
_CELL: Final = 23.0
_OTHER: Final = "#9aa4af"
_COLOURS: Final[dict[Outcome, str]] = {"good": "#cfe8f6", "slow": "#f6d58a", "lost": parts.VERMILLION}
_WORDS: Final[dict[Outcome, str]] = {
    "good": f"no innocent pod lost, pace of at least {GOOD_PACE:.0f} %",
    "slow": "no innocent pod lost, but slower",
    "lost": "innocent pods lost",
}


class _Bar(NamedTuple):
    """A bar: the guard, the number, and what is written at its end."""

    guard: str
    value: float
    words: str


def svg(report: DensityReport) -> str:
    """The picture, as a self-contained SVG document that is readable on light and dark pages."""
    pieces = []
    y = 40.0
    for words in parts.wrapped(headline(report), _WIDTH - 2 * _MARGIN, size=19):
        pieces.append(parts.text(Point(_MARGIN, y), words, size=19, bold=True))
        y += 25
    charts = list(_charts(report))
    width = (_WIDTH - 2 * _MARGIN - _GAP * (len(charts) - 1)) / max(1, len(charts))
    bottom = y
    for number, (title, bars) in enumerate(charts):
        drawn, end = _bars(title, bars, Point(_MARGIN + number * (width + _GAP), y), width)
        pieces += drawn
        bottom = max(bottom, end)
    for cpus in sorted({row.cpus for row in report.rows}):
        drawn, bottom = _heat_map([row for row in report.rows if row.cpus == cpus], cpus, bottom + 34)
        pieces += drawn
    if report.rows:
        bottom += 26
        pieces += _legend(bottom)
    return parts.document(headline(report), _WIDTH, bottom + 18, pieces)


def headline(report: DensityReport) -> str:
    """The benefit in a sentence, from the numbers."""
    found = [words for kind in KINDS if (words := _benefit(report.densities, kind))]
    sentence = f"One node holds {' and '.join(found)} of a node without swap" if found else ""
    lost = _lost(report.rows)
    if OURS in lost and len(lost) > 1:
        others = [number for guard, number in lost.items() if guard != OURS]
        loads = len({row.load for row in report.rows})
        pods = "pod" if lost[OURS] == 1 else "pods"
        said = f"{lost[OURS]:g} innocent {pods} lost on {loads} load{'s' if loads > 1 else ''}"
        said += (
            f", {min(others):g}" if min(others) == max(others) else f", {min(others):g} to {max(others):g}"
        )
        said += " under other guards"
        sentence = f"{sentence}; {said}" if sentence else said
    return sentence or "Pods on a node that is short of memory"


def _benefit(densities: Sequence[Density], kind: str) -> str:
    most = {one.guard: one.most for one in densities if one.kind == kind}
    if OURS not in most or not most.get("no-swap"):
        return ""
    times = most[OURS] / most["no-swap"]
    words = next(words for name, words in KINDS.items() if name == kind)
    others = [count for guard, count in most.items() if guard not in {OURS, "no-swap"}]
    best = f" (other guards: at most {max(others) / most['no-swap']:.1f} ×)" if others else ""
    return f"{times:.1f} × the {words}{best}"


def _lost(rows: Sequence[Row]) -> dict[str, float]:
    """The innocent pods lost over all loads, by guard, of guards that were tried on all loads."""
    places = {(row.load, row.cpus) for row in rows}
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.guard, []).append(row.innocents_lost.median)
    return {guard: sum(lost) for guard, lost in found.items() if len(lost) == len(places)}


def _charts(report: DensityReport) -> Iterator[tuple[str, list[_Bar]]]:
    for kind, words in KINDS.items():
        most = {one.guard: one.most for one in report.densities if one.kind == kind}
        if most:
            bars = [_Bar(guard, most[guard], f"{most[guard]}") for guard in _ordered(most)]
            yield f"{words[0].upper()}{words[1:]} on one node", bars
    lost = _lost(report.rows)
    if lost:
        bars = [_Bar(guard, lost[guard], f"{lost[guard]:g}") for guard in _ordered(lost)]
        yield "Innocent pods lost on all loads", bars


def _ordered(names: dict[str, float] | dict[str, int]) -> list[str]:
    known = [guard.name for guard in GUARDS if guard.name in names]
    return [*known, *sorted(set(names) - set(known))]


def _bars(title: str, bars: Sequence[_Bar], corner: Point, width: float) -> tuple[list[str], float]:
    pieces = [parts.text(Point(corner.x, corner.y + 12), title, size=parts.BODY, bold=True)]
    left = corner.x + _NAMES
    high = max((bar.value for bar in bars), default=0) or 1
    x = Scale(0, high, left, corner.x + width - _NUMBERS)
    y = corner.y + 24
    for bar in bars:
        ours = bar.guard == OURS
        middle = y + _BAR - 3.5
        pieces.append(parts.text(Point(left - 6, middle), bar.guard, anchor="end", bold=ours))
        pieces.append(
            parts.rectangle(
                Point(left, y), max(1.5, x(bar.value) - left), _BAR, parts.BLUE if ours else _OTHER, radius=2
            )
        )
        pieces.append(parts.text(Point(x(bar.value) + 6, middle), bar.words, bold=ours))
        y += _BAR_STEP
    return pieces, y


def _heat_map(rows: Sequence[Row], cpus: int, top: float) -> tuple[list[str], float]:
    """A map of a node's loads and guards; a cell has the pace, or the number of pods lost."""
    guards = _ordered({row.guard: 0 for row in rows})
    width = (_WIDTH - 2 * _MARGIN - _LOADS) / max(1, len(guards))
    title = f"Pace of the innocent pods, {cpus} CPU{'s' if cpus > 1 else ''}"
    pieces = [parts.text(Point(_MARGIN, top), title, size=parts.BODY, bold=True)]
    for number, guard in enumerate(guards):
        middle = Point(_MARGIN + _LOADS + (number + 0.5) * width, top)
        pieces.append(parts.text(middle, guard, anchor="middle", bold=guard == OURS))
    y = top + 8
    found = {(row.load, row.guard): row for row in rows}
    for load, load_title in {row.load: row.title for row in rows}.items():
        pieces.append(parts.text(Point(_MARGIN, y + 15.5), load_title))
        for number, guard in enumerate(guards):
            if row := found.get((load, guard)):
                pieces += _cell(row, Point(_MARGIN + _LOADS + number * width, y), width)
        y += _CELL
    return pieces, y


def _cell(row: Row, corner: Point, width: float) -> Iterator[str]:
    outcome = row.outcome
    yield parts.rectangle(
        Point(corner.x + 1, corner.y + 1), width - 2, _CELL - 2, _COLOURS[outcome], radius=2
    )
    words = f"{row.pace_percent.median:.0f} %" if row.pace_percent else "–"
    if outcome == "lost":
        words += f" · {row.innocents_lost.median:g} lost"
    colour = "#fff" if outcome == "lost" else parts.INK
    middle = Point(corner.x + width / 2, corner.y + 15.5)
    yield parts.text(middle, words, anchor="middle", colour=colour, bold=row.guard == OURS)


def _legend(y: float) -> Iterator[str]:
    x = _MARGIN
    for outcome, colour in _COLOURS.items():
        yield parts.rectangle(Point(x, y - 10), 12, 12, colour, radius=2)
        yield parts.text(Point(x + 18, y), _WORDS[outcome], colour=parts.FAINT)
        x += 18 + parts.text_width(_WORDS[outcome]) + 18
