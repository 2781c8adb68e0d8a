"""The text of ``overbook status pod``: a pod's resources, its place in the relief order, and its events."""

from collections.abc import Iterator, Sequence

from overbook.cli.commands.explain.pod_text import pod_lines, wrapped
from overbook.cli.commands.status.table import finding_lines, node_lines
from overbook.cli.output import BOLD, columns, painted
from overbook.status.history import Happening, Place
from overbook.status.report import PodStatusReport


def render_pod_status(report: PodStatusReport, *, wide: bool = False) -> Iterator[str]:
    """The lines of the report."""
    if report.pod is None:
        yield f"{painted(f'Pod {report.name}', BOLD)} no longer exists; what is known of it:"
    else:
        yield from pod_lines(report.pod, several=False)
    if report.ended:
        yield f"  ended       {report.ended}: it holds neither memory nor swap any more"
    elif report.place is not None:
        yield from wrapped(_place_words(report.place), "  relief      ", " " * 14)
    if report.history:
        yield ""
        yield painted("reports of nodes, newest first", BOLD)
        yield from _happening_lines(report.history)
    if report.events:
        yield ""
        yield painted("events, newest first", BOLD)
        yield from _happening_lines(report.events)
    if report.node is not None:
        yield ""
        yield from node_lines([report.node], wide=wide)
        yield ""
        yield from finding_lines(report.findings)


def _place_words(place: Place) -> str:
    if place.excluded:
        return f"never: {place.excluded}"
    if place.place is None:
        return place.sentence
    return f"number {place.place} of {place.candidates} candidates: {place.sentence}"


def _happening_lines(happenings: Sequence[Happening]) -> list[str]:
    rows = [
        ((one.at or "-").partition(".")[0].removesuffix("Z"), one.where, one.what, one.sentence)
        for one in happenings
    ]
    return columns(rows, indent="  ")
