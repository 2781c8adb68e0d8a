"""The report as Markdown, put between two markers of a file, and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.guards import BASELINE, GUARDS
from overbook_sandbox.density.report.most import KINDS, Density, ratios
from overbook_sandbox.density.report.rows import OURS, Row, RunsLeft, Spread

BEGIN: Final = "<!-- density: begin of the generated part -->"
END: Final = "<!-- density: end of the generated part -->"
LOSS: Final = "▼"
"""The mark of a number in which another guard is better than Overbook."""

_NUMBERS: Final = (
    "innocents lost",
    "kernel kills",
    "pace %",
    "longest gap s",
    "decision s",
    "work",
    "given back MiB",
)


class DensityReport(msgspec.Struct, frozen=True):
    """A report.

    Attributes:
        rows: loads under guards.
        densities: the densities.
    """

    rows: tuple[Row, ...]
    densities: tuple[Density, ...]


def as_json(report: DensityReport) -> bytes:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def between_markers(text: str, generated: str, path: str) -> str:
    """A file's text with the generated part replaced.

    Args:
        text: the text; an empty one becomes the markers alone.
        generated: the generated part.
        path: the file's name, for the message.

    Raises:
        InvalidInput: the text lacks the markers.
    """
    whole = f"{BEGIN}\n{generated}\n{END}\n"
    if not text:
        return whole
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise InvalidInput("--report", path, f"a file with the lines {BEGIN} and {END}, or a new one")
    return before + whole.rstrip("\n") + after


def markdown(report: DensityReport, commands: Sequence[str]) -> str:
    """The report as Markdown.

    Args:
        report: the report.
        commands: the command lines that make it again.
    """
    parts = [f"Made by {', '.join(f'`{command}`' for command in commands)}."]
    if report.densities:
        parts += ["### Density", "\n".join(_density_table(report.densities))]
    for cpus in sorted({row.cpus for row in report.rows}):
        parts += _of_node(cpus, [row for row in report.rows if row.cpus == cpus])
    return "\n\n".join(parts)


def _density_table(densities: Sequence[Density]) -> Iterator[str]:
    yield "| | CPUs | guard | overcommit | most pods | of no swap | of the best other guard | boots |"
    yield "|---|---|---|---|---|---|---|---|"
    places = {guard.name: place for place, guard in enumerate(GUARDS)}
    for one in sorted(densities, key=lambda one: (one.kind != "vms", one.cpus, places.get(one.guard, 99))):
        times = ratios(densities, one, OURS)
        best = times.get("best other") if one.guard == OURS else None
        mark = f" {LOSS}" if best is not None and best < 1 else ""
        boots = ", ".join(
            f"{trial.count}: "
            + (f"{trial.lost} lost, " if trial.lost else "")
            + f"{trial.pace_percent:.0f} %"
            for trial in sorted(one.trials, key=lambda trial: trial.count)
        )
        cells = (
            KINDS[one.kind],
            str(one.cpus),
            f"**{one.guard}**" if one.guard == OURS else one.guard,
            f"{one.percent} %",
            f"{one.most}{mark}",
            f"{times['no-swap']:.2f} ×" if "no-swap" in times else "–",
            f"{best:.2f} ×" if best is not None else "–",
            boots,
        )
        yield _line(cells)


def _of_node(cpus: int, rows: Sequence[Row]) -> Iterator[str]:
    runs = sorted({row.runs for row in rows})
    count = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    yield f"### Loads on nodes with {cpus} CPU{'s' if cpus > 1 else ''}"
    yield (
        "Which pods left, and when (seconds after the event; *kernel*: its OOM killer) · pace of the "
        "innocent pods · their longest standstill. Bold: innocent pods were lost. "
        f"Runs of each: {count}; the median counts. "
        f"{LOSS}: another guard is better than Overbook in something, said below."
    )
    guards = [guard.name for guard in GUARDS if any(row.guard == guard.name for row in rows)]
    guards += sorted({row.guard for row in rows} - {*guards, BASELINE.name})
    yield "\n".join(_matrix(rows, guards))
    losses = [f"- *{row.title}*: {'; '.join(row.losses)}" for row in rows if row.losses]
    if losses:
        yield f"Where another guard is better than Overbook ({LOSS}):"
        yield "\n".join(losses)
    yield "<details><summary>All numbers</summary>"
    yield "\n".join(_details(rows))
    yield "</details>"


def _matrix(rows: Sequence[Row], guards: Sequence[str]) -> Iterator[str]:
    yield _line(["load", *guards])
    yield "|---" * (len(guards) + 1) + "|"
    found = {(row.load, row.guard): row for row in rows}
    titles = {row.load: row.title for row in rows}
    for load, title in titles.items():
        cells = [found.get((load, guard)) for guard in guards]
        yield _line([title, *(_short(row) if row else "–" for row in cells)])


def _short(row: Row) -> str:
    pace = f" · {row.pace_percent.median:.0f} %" if row.pace_percent else ""
    lost = f" · **{row.innocents_lost.median:g} lost**" if row.innocents_lost.median else ""
    mark = f" {LOSS}" if row.losses else ""
    return f"{_who(row)}{pace} · {row.longest_gap_seconds.median:.1f} s{lost}{mark}"


def _details(rows: Iterable[Row]) -> Iterator[str]:
    yield _line(["load", "guard", "left", *_NUMBERS])
    yield "|---" * (len(_NUMBERS) + 3) + "|"
    for row in rows:
        numbers = (
            _number(row.innocents_lost, 0),
            _number(row.kernel_kills, 0),
            _number(row.pace_percent, 0),
            _number(row.longest_gap_seconds, 1),
            _number(row.decision_seconds, 1),
            _number(row.work_units, 0),
            _number(row.given_back_mib, 0),
        )
        yield _line([row.title, row.guard, _who(row), *numbers])


def _who(row: Row) -> str:
    return ", ".join(_gone(one, row.runs) for one in row.left) or "none"


def _gone(one: RunsLeft, runs: int) -> str:
    words = f"{one.pod} {one.seconds:.0f} s"
    if one.by_kernel:
        words += " kernel" if one.by_kernel == one.runs else f" kernel {one.by_kernel}×"
    return words if one.runs == runs else f"{words} ({one.runs} of {runs})"


def _number(found: Spread | None, places: int) -> str:
    """A median, with the least and the most where they differ."""
    if found is None:
        return "–"
    shown = [f"{number:.{places}f}" for number in (found.median, found.least, found.most)]
    return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]}–{shown[2]})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
