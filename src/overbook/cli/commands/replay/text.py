"""Two courses of a recording, as text and as a document."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from overbook.core.pressure.figures import Peak
from overbook.core.pressure.replay import Comparison, ReplayRow, ReplayStep, Side

_TIME: Final = 20
_NARROWEST, _WIDEST, _NOT_A_TERMINAL = 70, 160, 110
_UNITS: Final = {
    "inPagesPerSecond": "pages/s in",
    "outPagesPerSecond": "pages/s out",
    "inBytesPerSecond": "bytes/s in",
    "outBytesPerSecond": "bytes/s out",
    "lowerOfBothPagesPerSecond": "pages/s, the lower of both",
    "thresholdFactor": "of the swap, beyond RAM",
    "fullPercent": "% of the time stalled",
    "availablePercent": "% of RAM available",
    "somePercent": "% of the time stalled, of a covered pod",
    "withinSeconds": "s until memory and swap run out",
}


class Names(NamedTuple):
    """The names of the recording and of both sides."""

    recording: str
    left: str
    right: str


def as_document(found: Comparison, names: Names, cut_off_line: int) -> dict[str, Any]:
    """The document for ``--output json``."""
    document: dict[str, Any] = {**names._asdict(), "cutOffLine": cut_off_line or None}
    values = msgspec.to_builtins(found)
    sides = {"left": names.left, "right": names.right}
    for side, name in sides.items():
        document[side] = {"name": name, **values.pop(side)}
    return {**document, **values}


def render(found: Comparison, names: Names, cut_off_line: int) -> Iterator[str]:
    """The lines of the text."""
    yield f"recording  {names.recording}"
    yield (
        f"           {_count(found.samples, 'sample')} in {found.seconds:.1f} s, up to "
        f"{_count(found.most_pods, 'pod')}; {_mebibytes(found.memory_bytes)} of RAM, "
        f"{_mebibytes(found.swap_bytes)} of swap"
    )
    if cut_off_line:
        yield f"           line {cut_off_line}, the last one, is cut off and left out"
    for side, name in (("left", names.left), ("right", names.right)):
        yield from _wrapped(name, f"{side:<11}", " " * 11)
    yield ""
    yield from _courses(found)
    yield ""
    yield from _summary(found)
    yield ""
    yield "rules of the right side, and how close the recording came to them"
    for rule in found.rules:
        yield from _wrapped(rule.rule, "  ", "    ")
        if rule.samples_held:
            yield (
                f"    held in {_count(rule.samples_held, 'sample')}, "
                f"first at {_at(rule.first_held_seconds or 0.0)}"
            )
        else:
            yield "    never held"
        if not rule.peaks:
            yield "    its numbers were never known"
        for peak in rule.peaks:
            yield from _wrapped(_peak(peak), "    ", "      ")


def _courses(found: Comparison) -> Iterator[str]:
    if not found.rows:
        yield "neither side made a decision"
        return
    width = (_page_width() - _TIME - 3) // 2
    yield f"{'':{_TIME}}{'left':{width}} | right"
    parted = False
    for row in found.rows:
        since = found.differ_from_seconds
        if not parted and since is not None and row.seconds >= since:
            parted = True
            yield f"{' from here the courses differ; the right side is an estimate ':-^{_page_width()}}"
        left, right = _cell(row.left, width), _cell(row.right, width)
        times = _times(row)
        for number in range(max(len(left), len(right), len(times))):
            cells = [_line(part, number) for part in (times, left, right)]
            yield f"{cells[0]:{_TIME}}{cells[1]:{width}} | {cells[2]}".rstrip()
    if found.rows_left_out:
        yield f"… and {found.rows_left_out} more decisions"


def _times(row: ReplayRow) -> list[str]:
    if row.times == 1:
        return [_at(row.seconds)]
    return [_at(row.seconds), f"to {_at(row.until_seconds)}, {row.times}×"]


def _cell(step: ReplayStep | None, width: int) -> list[str]:
    if step is None:
        return []
    head = step.action if step.victim is None else f"{step.action} {step.victim}"
    texts = (head, f"rule: {step.rule}", step.sentence)
    return [line for text in texts for line in textwrap.wrap(text, width, break_on_hyphens=False)]


def _wrapped(text: str, first: str, then: str) -> list[str]:
    return textwrap.wrap(
        text, _page_width(), initial_indent=first, subsequent_indent=then, break_on_hyphens=False
    )


def _line(lines: list[str], number: int) -> str:
    return lines[number] if number < len(lines) else ""


def _summary(found: Comparison) -> Iterator[str]:
    from overbook.cli.output import columns

    left, right = found.left, found.right
    rows = [("", "left", "right")]
    rows.append(("decisions", str(left.decisions), str(right.decisions)))
    rows.append(("memory to swap out", _pushed(left), _pushed(right)))
    rows.append(("reliefs requested", str(len(left.asked)), str(len(right.asked))))
    rows.append(("first decision", _when(left.first_decision_seconds), _when(right.first_decision_seconds)))
    rows.append(("first relief", _when(left.first_asked_seconds), _when(right.first_asked_seconds)))
    yield from columns(rows)
    for side, name in ((left, "left"), (right, "right")):
        if side.asked:
            yield from _wrapped(f"relief on the {name}: {', '.join(side.asked)}", "", "  ")
    yield _difference(found)


def _difference(found: Comparison) -> str:
    since = found.differ_from_seconds
    if since is None:
        return "the courses do not differ"
    text = f"the courses differ from {_at(since)} on"
    first, other = found.left.first_asked_seconds, found.right.first_asked_seconds
    if first is not None and other is not None and first != other:
        word = "earlier" if other < first else "later"
        text += f"; the right requests relief {abs(first - other):.1f} s {word}"
    return text


def _peak(peak: Peak) -> str:
    word = "least" if peak.below else "most"
    text = f"{word} {_number(peak.value)} {_UNITS[peak.name]} at {_at(peak.seconds)}"
    needs = f"the rule needs {'less' if peak.below else 'more'} than {peak.threshold:g}"
    if peak.value_with_rest is None:
        return f"{text}; {needs}; the rest of its group never held"
    if peak.value_with_rest != peak.value:
        return f"{text}, {_number(peak.value_with_rest)} while the rest of its group held; {needs}"
    return f"{text}; {needs}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def _pushed(side: Side) -> str:
    if not side.reclaims:
        return "none"
    return f"{_mebibytes(side.reclaim_wanted_bytes)} wanted in {_count(side.reclaims, 'decision')}"


def _when(seconds: float | None) -> str:
    return "never" if seconds is None else _at(seconds)


def _at(seconds: float) -> str:
    return f"+{seconds:.1f} s"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"


def _page_width() -> int:
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return _NOT_A_TERMINAL
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
