"""`overbook sandbox density`: play loads on emulated nodes under several guards, and compare what they do."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from overbook_sandbox.commands.interrupts import interruptible

if TYPE_CHECKING:
    from overbook_sandbox.density.guards.guard import Guard
    from overbook_sandbox.density.result import Setup
    from overbook_sandbox.machine.image import Image

_MOST_PERCENT = 400
_COMMANDS = (
    "overbook sandbox density",
    "overbook sandbox density --most vms",
    "overbook sandbox density --most sandboxes",
)
_STOPPED = "stopped; no node is left running. The same command with --continue runs the rest"
_EXAMPLES = """\
examples:
  overbook sandbox density --list
  overbook sandbox density --load wild --load leak --guard limited --guard overbook
  overbook sandbox density --runs 5 --output-dir density-out --continue
  overbook sandbox density --cpus 4 --output json > cells.json
  overbook sandbox density --most vms
  overbook sandbox density --report-only --report density.md --picture density.svg

Each cell is one load under one guard in one boot of an emulated node, about 40 s. First the innocent pods
of each load run alone with much memory: that is a pace of 100 %. Results are appended to DIR/cells.jsonl, the
trace of each cell is in DIR/traces, medians and spread in DIR/report.json.

Exit status: 0: all cells have a result; 1: some failed, with the reason; 2: the benchmark could not run;
130: after Ctrl-C.
"""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the verb `density`."""
    parser = verbs.add_parser(
        "density",
        help="compare guards: who goes and who is harmed when a node is short of memory",
        description="Play loads of more memory than a node has on emulated nodes, each under each guard, and "
        "show who left, when, and what that did to the others.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--load", action="append", metavar="NAME", help="a load; may be repeated (default: all)"
    )
    parser.add_argument(
        "--guard", action="append", metavar="NAME", help="a guard; may be repeated (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="list the loads and guards, and stop")
    parser.add_argument("--dry-run", action="store_true", help="list the cells that would run, and stop")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="CPUs of a node (default: 1)")
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="how often each cell runs (default: 1)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of sizes, order and rhythm (default: 1)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="nodes at a time (default: 2, those with several CPUs 1)"
    )
    parser.add_argument(
        "--output", choices=["table", "json"], default="table", help="format of the result (default: table)"
    )
    parser.add_argument(
        "--output-dir", default="density-out", metavar="DIR", help="folder for results (default: density-out)"
    )
    parser.add_argument(
        "--most",
        choices=["vms", "sandboxes"],
        help="play no loads: search how many cold VMs or idle sandboxes a node holds without harm",
    )
    parser.add_argument(
        "--percent",
        type=int,
        metavar="PERCENT",
        help="with --most: the overcommit percentage under all guards with swap (default: 150, with "
        "Overbook 200)",
    )
    parser.add_argument(
        "--report",
        default="",
        metavar="FILE.md",
        help="write tables of all results in DIR between two markers of this file, or into a new one",
    )
    parser.add_argument(
        "--picture", default="", metavar="FILE.svg", help="draw all results in DIR into this file"
    )
    parser.add_argument(
        "--report-only", action="store_true", help="boot nothing: only write the report and the picture"
    )
    parser.add_argument(
        "--continue",
        dest="go_on",
        action="store_true",
        help="keep the cells and the boots of searches that DIR has, and run the others",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Returns:
        The exit status, as in the command's help.

    Raises:
        InvalidInput: a name or a number is wrong.
        SandboxError: the sandbox cannot be used.
    """
    from overbook.core.errors import InvalidInput
    from overbook_sandbox.density import catalog, guards
    from overbook_sandbox.density.plan import plan
    from overbook_sandbox.density.table import listing

    if args.list:
        print(listing())
        return 0
    if args.report_only:
        _report(args)
        return 0
    for option in ("cpus", "runs", "jobs"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InvalidInput(f"--{option}", value, "a whole number of at least 1")
    if args.most:
        return _search(args)
    loads = [catalog.find(name) for name in args.load] if args.load else catalog.LOADS
    chosen = [guards.find(name) for name in args.guard] if args.guard else guards.GUARDS
    setups = plan(loads, chosen, args.cpus, args.seed, args.runs)
    if args.dry_run:
        for setup in setups:
            print(f"{setup.load} under {setup.guard}, CPUs: {setup.cpus}, run {setup.run + 1}")
        return 0
    return _run(args, setups)


def _run(args: argparse.Namespace, setups: "Sequence[Setup]") -> int:
    from overbook_sandbox.density import guards
    from overbook_sandbox.density.lanes import TRACES, Results, run_all
    from overbook_sandbox.density.result import as_json
    from overbook_sandbox.density.run import Runner
    from overbook_sandbox.density.table import table

    image = _prepare(args, [guards.find(setup.guard) for setup in setups])
    results = Results(args.output_dir, keep=args.go_on)
    try:
        with tempfile.TemporaryDirectory(prefix="overbook-density-") as folder, interruptible():
            runner = Runner(image, folder, os.path.join(args.output_dir, TRACES))
            failed = run_all(setups, runner.run, runner.stop, results, args.jobs)
    except KeyboardInterrupt:
        _say(_STOPPED)
        return 130
    finally:
        results.close()
    cells = list(results.cells.values())
    print(as_json(cells) if args.output == "json" else table(cells))
    _report(args)
    if failed:
        _say(f"{failed} of {len(setups)} cells failed; run the same again with --continue")
    return 1 if failed else 0


def _prepare(args: argparse.Namespace, chosen: "Sequence[type[Guard]]") -> "Image":
    """Fetch what the nodes and the guards need."""
    from overbook_sandbox.machine.cache import cache_folder
    from overbook_sandbox.machine.image import prepare
    from overbook_sandbox.machine.packages import Host
    from overbook_sandbox.node import node_programs

    image = prepare(install_packages=args.install_packages, say=_say)
    packages = sorted({guard.package for guard in chosen} - {""})
    node_programs.prepare(Host(install=args.install_packages, say=_say), cache_folder(os.environ), packages)
    return image


def _search(args: argparse.Namespace) -> int:
    import msgspec

    from overbook.core.errors import InvalidInput
    from overbook_sandbox.density import guards
    from overbook_sandbox.density.boots import KeptBoots
    from overbook_sandbox.density.lanes import TRACES
    from overbook_sandbox.density.report.files import MOST
    from overbook_sandbox.density.report.most import Density
    from overbook_sandbox.density.run import Runner
    from overbook_sandbox.density.search import GUARDS
    from overbook_sandbox.density.search_lanes import Searches

    if args.percent is not None and not 100 < args.percent <= _MOST_PERCENT:
        raise InvalidInput("--percent", args.percent, f"a whole number of 101 to {_MOST_PERCENT}")
    chosen = [guards.find(name) for name in args.guard or GUARDS]
    image = _prepare(args, chosen)
    kept = KeptBoots(args.output_dir, keep=args.go_on)
    lanes = args.jobs or (2 if args.cpus == 1 else 1)

    def found(density: Density) -> None:
        with open(os.path.join(args.output_dir, MOST), "ab") as file:
            file.write(msgspec.json.encode(density) + b"\n")
        print(f"{density.guard}: {density.most} {args.most} at {density.percent} %", flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="overbook-density-") as folder, interruptible():
            runner = Runner(image, folder, os.path.join(args.output_dir, TRACES))
            play, percent = runner.play, args.percent
            searches = Searches(play, args.most, chosen, args.cpus, args.seed, percent, kept, _say)
            failed = searches.run(lanes, runner.stop, found)
    except KeyboardInterrupt:
        _say(_STOPPED)
        return 130
    finally:
        kept.close()
    _report(args)
    return 1 if failed else 0


def _report(args: argparse.Namespace) -> None:
    from overbook_sandbox.density.report.files import write_report

    write_report(args.output_dir, _COMMANDS, args.report, args.picture)


def _say(line: str) -> None:
    print(f"overbook: {line}", file=sys.stderr, flush=True)
