"""Pieces of an SVG: escaped text, scales, areas, lines. Sizes are in pixels of the view box."""

import html
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK: Final = "#1f2328"
FAINT: Final = "#59636e"
GRID: Final = "#e4e7eb"
SMALL: Final = 12.0
BODY: Final = 13.0

# Okabe and Ito's palette, for any colour vision, without yellow, which is unreadable on white.
BLUE: Final = "#0072b2"
SKY: Final = "#56b4e9"
GREEN: Final = "#009e73"
ORANGE: Final = "#e69f00"
VERMILLION: Final = "#d55e00"
PURPLE: Final = "#cc79a7"
GREY: Final = "#c3c9d0"

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER_AND_UNIT: Final = re.compile(r"(\d) (s|%|MiB|pages/s)\b")
_LETTER_WIDTH: Final = 0.58
"""The mean width of a letter relative to the font size, estimated high for common sans-serif fonts."""


class Point(NamedTuple):
    """A point in the picture."""

    x: float
    y: float


class Scale(NamedTuple):
    """A scale that maps values from `low` to `high` to pixels from `start` to `end`, and clips others."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def escaped(text: str) -> str:
    """Text escaped for XML; characters that XML does not allow become U+FFFD."""
    return html.escape(_NOT_XML.sub("�", text))


def text(
    at: Point,
    words: str,
    *,
    size: float = SMALL,
    colour: str = INK,
    anchor: str = "start",
    bold: bool = False,
    halo: bool = False,
) -> str:
    """A line of text on its base line; `halo` keeps it readable on top of colours."""
    weight = ' font-weight="600"' if bold else ""
    behind = ' stroke="#fff" stroke-width="3" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{at.x:.1f}" y="{at.y:.1f}" font-size="{size:g}" fill="{colour}" '
        f'text-anchor="{anchor}"{weight}{behind}>{escaped(words)}</text>'
    )


def text_width(words: str, size: float = SMALL) -> float:
    """The estimated width of a line of text, rather too wide than too narrow."""
    return len(words) * size * _LETTER_WIDTH


def wrapped(words: str, width: float, *, size: float = SMALL, most_lines: int = 9) -> list[str]:
    """Text wrapped to a width; a number stays with its unit, and a too long text ends with `…`."""
    whole = _NUMBER_AND_UNIT.sub("\\1\u00a0\\2", words)
    return textwrap.wrap(
        whole, max(10, int(width / (size * _LETTER_WIDTH))), max_lines=most_lines, placeholder=" …"
    )


def line(
    start: Point, end: Point, colour: str = GRID, *, width: float = 1.0, dash: str = "", opacity: float = 1.0
) -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    faded = f' stroke-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<path d="M{_at(start)}L{_at(end)}" stroke="{colour}" stroke-width="{width:g}" '
        f'fill="none"{dashed}{faded}/>'
    )


def curve(points: Sequence[Point], colour: str, *, width: float = 1.6) -> str:
    """A line through points."""
    if not points:
        return ""
    return (
        f'<path d="{_path(points)}" stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round" '
        f'stroke-linecap="round" fill="none"/>'
    )


def area(top: Sequence[Point], bottom: Sequence[Point], colour: str, *, opacity: float = 1.0) -> str:
    """A filled area between two lines; a thin white edge separates stacked areas."""
    if not top:
        return ""
    return (
        f'<path d="{_path([*top, *reversed(bottom)])}Z" fill="{colour}" fill-opacity="{opacity:g}" '
        f'stroke="#fff" stroke-width="0.6" stroke-opacity="0.8"/>'
    )


def rectangle(
    corner: Point, width: float, height: float, fill: str, *, opacity: float = 1.0, radius: float = 0.0
) -> str:
    """A filled rectangle."""
    return (
        f'<rect x="{corner.x:.1f}" y="{corner.y:.1f}" width="{max(width, 0):.1f}" '
        f'height="{max(height, 0):.1f}" fill="{fill}" fill-opacity="{opacity:g}" rx="{radius:g}"/>'
    )


def numbered_dot(at: Point, number: int, colour: str) -> str:
    """A number in a disc."""
    label = text(Point(at.x, at.y + 4), str(number), colour="#fff", anchor="middle", bold=True)
    return f'<circle cx="{at.x:.1f}" cy="{at.y:.1f}" r="8" fill="{colour}"/>{label}'


def ticks(high: float, wanted: int) -> list[float]:
    """Round values from 0 to `high`, about as many as wanted; only 0 if `high` is out of range."""
    if not 1e-6 < high < 1e15:
        return [0.0]
    rough = high / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    return [index * step for index in range(math.floor(high / step * 1.0001) + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones (ascending) with a gap between them, within `low` to `high` if possible."""
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, placed[-1] + gap if placed else low))
    for index in range(len(placed) - 1, -1, -1):
        limit = high if index == len(placed) - 1 else placed[index + 1] - gap
        placed[index] = min(placed[index], limit)
    return placed


def group(pieces: Iterable[str], attributes: str = "") -> str:
    """Pieces that share attributes."""
    return f"<g{' ' + attributes if attributes else ''}>\n" + "\n".join(filter(None, pieces)) + "\n</g>"


def document(title: str, width: float, height: float, pieces: Iterable[str], *, definitions: str = "") -> str:
    """A self-contained SVG on white paper, so that it is readable on light and dark pages."""
    paper = (
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="10" fill="#fff" '
        'stroke="#d5dae0"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{FONT}" role="img">\n<title>{escaped(title)}</title>\n'
        + "\n".join([*filter(None, [definitions]), paper, *pieces])
        + "\n</svg>\n"
    )


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(map(_at, points))


def _at(point: Point) -> str:
    return f"{point.x:.1f} {point.y:.1f}"
