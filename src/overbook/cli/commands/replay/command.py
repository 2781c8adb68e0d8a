"""``overbook replay``: decide a recording again under another ruleset, and show both results."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from overbook.core.pressure.replay import Course

EXAMPLES = """examples:
  overbook agent --manifests pods/ --mode observe --record night.jsonl
      record first; an agent that only observes can record, too
  overbook replay night.jsonl --ruleset ruleset.yaml
      left the recorded decisions, right those of this ruleset
  overbook replay night.jsonl --max-average-swap-in-pages-per-second 200 \\
                              --max-average-swap-out-pages-per-second 200
      the shipped ruleset with two thresholds changed
  overbook replay night.jsonl --baseline default --ruleset ruleset.yaml --exit-code
      decide both sides again; exit status 1 if they differ

A recording cannot show what would have happened after another decision: from the first difference on,
the right side is an estimate, and the output marks that place.
"""

_PROGRESS_SECONDS = 0.25


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.options import add_rule_options

    parser = subparsers.add_parser(
        "replay",
        help="decide a recording again under another ruleset",
        description="Decide a recording of `overbook agent --record` again, and show both courses side by "
        "side: left the recorded decisions, right those of another ruleset.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the recording, or - for standard input")
    parser.add_argument(
        "--ruleset",
        metavar="FILE",
        help="a Ruleset or an AgentConfiguration as YAML or JSON; `documented`: the two documented rules in "
        "wasp-agent's order (default: the shipped ruleset)",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="also decide the left side again, under this ruleset; `default`: the shipped one; `documented`",
    )
    rules = parser.add_argument_group("single thresholds, over --ruleset")
    add_rule_options(rules)
    rules.add_argument("--no-reclaim", action="store_true", help="swap no memory out before a pod is chosen")
    parser.add_argument(
        "--relief",
        type=float,
        metavar="SECONDS",
        help="time until a chosen pod has left, if the recording does not show it (default: 10)",
    )
    parser.add_argument("--exit-code", action="store_true", help="exit status 1 if the courses differ")
    parser.add_argument(
        "-o", "--output", choices=["text", "json", "yaml"], default="text", help="format (default: text)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay a recording.

    Returns:
        0; 1 if the courses differ and ``--exit-code`` was given.

    Raises:
        InvalidInput: the recording, the ruleset or an option is not valid.
        OSError: a file cannot be read.
    """
    from overbook.cli.commands.replay.text import Names, as_document, render
    from overbook.cli.options import given
    from overbook.cli.output import write_structured
    from overbook.core.pressure.recording import Recording
    from overbook.core.pressure.replay import compare

    flags = given(arguments)
    changed = {**flags, "enabled": False} if arguments.no_reclaim else flags
    right = _course(arguments.ruleset, changed, arguments.relief)
    left = _course(arguments.baseline, {}, arguments.relief) if arguments.baseline else None
    names = Names(
        recording="standard input" if arguments.file == "-" else arguments.file,
        left=f"decided again: {arguments.baseline}" if left else "as recorded",
        right=_right_name(arguments, flags),
    )
    with _opened(arguments.file) as file:
        recording = Recording(_lines(file), names.recording)
        found = compare(recording.ticks(), right, left)
    if arguments.output == "text":
        for line in render(found, names, recording.cut_off_line):
            print(line)
    else:
        write_structured(as_document(found, names, recording.cut_off_line), arguments.output)
    return 1 if arguments.exit_code and found.differ_from_seconds is not None else 0


def _course(path: str | None, flags: dict[str, object], relief_seconds: float | None) -> "Course":
    from overbook.agent.settings import load_ruleset
    from overbook.core.errors import InvalidInput
    from overbook.core.pressure.replay import RELIEF_SECONDS, Course

    relief = RELIEF_SECONDS if relief_seconds is None else relief_seconds
    if not 0 <= relief <= 3600:
        raise InvalidInput("--relief", relief, "0 to 3600 seconds")
    ruleset, reclaim = load_ruleset(path, flags)
    return Course(ruleset, reclaim, relief)


def _right_name(arguments: argparse.Namespace, flags: dict[str, object]) -> str:
    base = "the shipped ruleset" if arguments.ruleset in {None, "default"} else arguments.ruleset
    changed = [f"--{name.replace('_', '-')} {_shown(value)}" for name, value in flags.items()]
    if arguments.no_reclaim:
        changed.append("--no-reclaim")
    return " ".join([base, *changed])


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _opened(path: str) -> BinaryIO:
    return open(sys.stdin.fileno(), "rb", closefd=False) if path == "-" else open(path, "rb")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines, cut at the longest that is parsed; shows the progress on a terminal."""
    from overbook.core.pressure.recording import MOST_LINE_BYTES

    size = os.fstat(file.fileno()).st_size
    shown = sys.stderr.isatty() and size > 0
    read, shown_at = 0, time.monotonic()
    try:
        while line := file.readline(MOST_LINE_BYTES + 1):
            yield line
            read += len(line)
            if shown and time.monotonic() - shown_at >= _PROGRESS_SECONDS:
                shown_at = time.monotonic()
                print(f"\rreplaying: {100 * read // size} %", end="", file=sys.stderr, flush=True)
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
