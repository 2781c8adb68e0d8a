"""`overbook demo`: run the same load on two emulated nodes, with and without Overbook, side by side."""

import argparse
import os
import queue
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, TextIO

from overbook_sandbox.commands.interrupts import interruptible

if TYPE_CHECKING:
    from overbook_sandbox.demo.live_view import View
    from overbook_sandbox.demo.story import AnyEvent, Story
    from overbook_sandbox.machine.image import Image
    from overbook_sandbox.machine.node import Machine, NodeResult
    from overbook_sandbox.machine.spec import MachineSpec

    ViewOf = Callable[[Sequence[Story]], View]

Side = Literal["with", "without"]

_SIDES: tuple[Side, ...] = ("with", "without")
_NODE_SECONDS = 420.0
"""The time limit of a node, far longer than the story, because a thrashing node is slow."""
_TICK_SECONDS = 0.25
# As a cloud's general-purpose disk. Without a limit, swapping to the host's page cache would be too fast.
_SWAP_OPERATIONS_PER_SECOND = 3_000
_SWAP_BYTES_PER_SECOND = 125_000_000
_REPLAY_SPEED = 10.0

_EXAMPLES = """\
examples:
  overbook demo --install-packages
  overbook demo --cluster
  overbook demo --only with --verbose
  overbook demo --output json > summary.json
  overbook demo --replay-events demo-out --output-dir /tmp/again

It writes demo.svg, summary.json and the events of each node (with.jsonl, without.jsonl).

With --cluster there is one node, on a real control plane: the VM that runs wild is live-migrated to a
second one, and `overbook status` is shown before, during and afterwards. The first time, Kubernetes is
built from its Go modules, which takes about ten minutes. The files are called cluster.svg, cluster.jsonl,
cluster-summary.json, cluster-status-MOMENT.txt and .json, with the programs' logs.

Exit status: 0: the node with Overbook did what is promised; 1: it did not, with the reason; 2: the demo
could not run; 130: after Ctrl-C.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="overcommit an emulated node, and protect it when a pod runs wild",
        description="Boot two small Linux nodes under emulation, give both the same load of more memory "
        "than they have, let one pod run wild, and show what happens with and without Overbook. This "
        "needs neither root nor KVM.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--install-packages",
        action="store_true",
        help="let apt-get install QEMU and busybox if they are missing",
    )
    parser.add_argument(
        "--output-dir", default="demo-out", metavar="DIR", help="folder for the files (default: demo-out)"
    )
    parser.add_argument(
        "--output", choices=["text", "json"], default="text", help="format of the summary (default: text)"
    )
    parser.add_argument("--verbose", action="store_true", help="show the agent's log too")
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="run the demo on a real cluster: scheduler, taint, live migration, recovery",
    )
    parser.add_argument("--only", choices=_SIDES, help="run one of the two nodes")
    parser.add_argument("--memory", default="1Gi", metavar="SIZE", help="RAM of a node (default: 1Gi)")
    parser.add_argument(
        "--overcommit",
        type=int,
        default=150,
        metavar="PERCENT",
        help="overcommit percentage, from which the node's swap is computed (default: 150)",
    )
    parser.add_argument(
        "--replay-events", metavar="DIR", help="do not boot: show the recorded events of this folder again"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run or replay the demo, write its files, and print the summary.

    Returns:
        The exit status, as in the command's help.
    """
    from overbook.core.errors import InvalidInput
    from overbook_sandbox.machine.errors import SandboxError

    sides: tuple[Side, ...] = (args.only,) if args.only else _SIDES
    try:
        with interruptible():
            os.makedirs(args.output_dir, exist_ok=True)
            if args.cluster:
                from overbook_sandbox.commands.demo_cluster import run_on_cluster

                return run_on_cluster(args, _view_of(args), _say)
            stories = _replay(args, sides) if args.replay_events else _boot(args, sides)
            return _finish(args, stories)
    except (SandboxError, InvalidInput, OSError) as error:
        _say(f"the demo failed: {error}")
        return 2
    except KeyboardInterrupt:
        _say("stopped; no node is left running")
        return 130


def _boot(args: argparse.Namespace, sides: Sequence[Side]) -> "list[Story]":
    from overbook.core.errors import InvalidInput
    from overbook.core.kubernetes.quantity import parse
    from overbook.core.overcommit.swap import node_swap_bytes
    from overbook_sandbox.machine.image import prepare
    from overbook_sandbox.machine.spec import MEBIBYTE, MachineSpec

    try:
        memory_bytes = parse(args.memory).value()
    except InvalidInput as error:
        raise error.inside("--memory") from error
    if memory_bytes < 256 * MEBIBYTE:
        raise InvalidInput("--memory", args.memory, "at least 256Mi, or the load does not fit at all")
    spec = MachineSpec(
        memory_bytes=memory_bytes,
        swap_bytes=node_swap_bytes(memory_bytes, args.overcommit),
        swap_operations_per_second=_SWAP_OPERATIONS_PER_SECOND,
        swap_bytes_per_second=_SWAP_BYTES_PER_SECOND,
        timeout_seconds=_NODE_SECONDS,
    )
    image = prepare(install_packages=args.install_packages, say=_say)
    with tempfile.TemporaryDirectory(prefix="overbook-demo-") as shared:
        nodes = {side: _node(side, image, spec, shared, args.overcommit) for side in sides}
        return watch(nodes, args.output_dir, _view_of(args))


def _node(side: Side, image: "Image", spec: "MachineSpec", shared: str, percent: int) -> "Machine":
    from overbook_sandbox.machine.job import Job
    from overbook_sandbox.machine.node import Machine

    share = os.path.join(shared, side)
    os.mkdir(share)
    switch = "--overbook" if side == "with" else "--no-overbook"
    argv = (sys.executable, "-m", "overbook_sandbox.demo.guest", switch, "--percent", str(percent))
    return Machine(image, spec, Job(argv=argv, share=share, environment={}, directory=share))


class Said(NamedTuple):
    """A message from a node's thread: a line, the job's result, or the node's failure."""

    side: Side
    what: "str | NodeResult | Exception"


@contextmanager
def _running(nodes: "Mapping[Side, Machine]") -> "Iterator[queue.SimpleQueue[Said]]":
    """Run each node in its own thread; at the end of the block all have ended."""
    said: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def follow(side: Side, node: "Machine") -> None:
        try:
            said.put(Said(side, node.run(lambda line: said.put(Said(side, line)))))
        except Exception as error:  # noqa: BLE001 - the main thread reports any error
            said.put(Said(side, error))

    threads = [threading.Thread(target=follow, args=item, daemon=True) for item in nodes.items()]
    try:
        for thread in threads:
            thread.start()
        yield said
    finally:
        for node in nodes.values():
            node.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def watch(nodes: "Mapping[Side, Machine]", folder: str, view_of: "ViewOf") -> "list[Story]":
    """Run the nodes at the same time, and record and show their events.

    Args:
        nodes: The nodes, none started yet.
        folder: The folder for `with.jsonl` and `without.jsonl`, which are complete up to the last event.
        view_of: Makes the view of the stories.

    Returns:
        The complete stories.

    Raises:
        SandboxError: A node failed; the other one is then stopped.
    """
    from overbook_sandbox.demo.story import Story, read_event
    from overbook_sandbox.machine.errors import SandboxError

    stories = {side: Story(overbook=side == "with") for side in nodes}
    strange: dict[Side, deque[str]] = {side: deque(maxlen=20) for side in nodes}
    with ExitStack() as stack:
        records: dict[Side, BinaryIO] = {
            side: stack.enter_context(open(_events_path(folder, side), "wb")) for side in nodes
        }
        view = stack.enter_context(view_of(list(stories.values())))
        said = stack.enter_context(_running(nodes))
        unfinished = set(nodes)
        while unfinished:
            view.tick()
            try:
                side, what = said.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(what, Exception):
                raise SandboxError(f"the node {_name(side)} failed: {what}") from what
            if not isinstance(what, str):
                _check_end(side, what, stories[side], strange[side])
                unfinished.discard(side)
            elif (event := read_event(what)) is not None:
                records[side].write(what.encode() + b"\n")
                view.show(stories[side], stories[side].add(event))
            elif not what.startswith(
                "{"
            ):  # such as a traceback; unknown events of a later version are ignored
                strange[side].append(what)
    return list(stories.values())


def _check_end(side: Side, result: "NodeResult", story: "Story", strange: Sequence[str]) -> None:
    from overbook_sandbox.machine.errors import SandboxError

    if result.exit_status == 0 and story.complete:
        return
    shown = "".join(f"\n  {line}" for line in strange or result.console_tail[-20:])
    raise SandboxError(
        f"the program in the node {_name(side)} ended after {story.end:.1f} s with exit status "
        f"{result.exit_status} before the end of its story{'; its last lines:' if shown else ''}{shown}"
    )


def _replay(args: argparse.Namespace, sides: Sequence[Side]) -> "list[Story]":
    """Show recorded events again; on a terminal at ten times the speed."""
    import time

    from overbook.core.errors import InvalidInput
    from overbook_sandbox.demo.story import Story

    folder = args.replay_events
    found = [side for side in sides if os.path.exists(_events_path(folder, side))]
    if not found:
        names = " or ".join(f"{side}.jsonl" for side in sides)
        raise InvalidInput("--replay-events", folder, f"a folder with {names} in it")
    stories = {side: Story(overbook=side == "with") for side in found}
    events = sorted(
        ((side, event) for side in found for event in _recorded(_events_path(folder, side))),
        key=lambda item: item[1].at,
    )
    if not events:
        raise InvalidInput("--replay-events", folder, "recordings with at least one event")
    pause = 1 / _REPLAY_SPEED if _stream(args).isatty() else 0.0
    now = 0.0
    with _view_of(args)(list(stories.values())) as view:
        for side, event in events:
            if pause and event.at > now:
                time.sleep(min(1.0, (event.at - now) * pause))
            now = max(now, event.at)
            view.show(stories[side], stories[side].add(event))
    return list(stories.values())


def _recorded(path: str) -> "Iterator[AnyEvent]":
    from overbook_sandbox.demo.story import read_event

    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if (event := read_event(line)) is not None:
                yield event


def _finish(args: argparse.Namespace, stories: "Sequence[Story]") -> int:
    """Write the picture and the summary, print the summary, and check the promises."""
    from overbook_sandbox.demo import summary
    from overbook_sandbox.demo.picture import svg

    picture = os.path.join(os.path.abspath(args.output_dir), "demo.svg")
    document = summary.as_json(stories)
    files = {picture: svg(stories).encode(), os.path.join(args.output_dir, "summary.json"): document}
    for path, content in files.items():
        with open(path, "wb") as file:
            file.write(content)
    facts = [summary.facts_of(story) for story in stories]
    if args.output == "json":
        print(document.decode(), end="")
    else:
        print(f"\n{summary.table(facts)}\n")
        print("\n".join(summary.sentences(facts)))
        print(f"\nthe picture: {picture}")
    broken = [
        promise for one in facts if one.overbook for promise in summary.promises(one) if not promise.kept
    ]
    for promise in broken:
        _say(f"not as promised: {promise.promise}. Seen: {promise.seen}")
    return 1 if broken else 0


def _view_of(args: argparse.Namespace) -> "ViewOf":
    from overbook_sandbox.demo.live_view import view_for

    return lambda stories: view_for(stories, _stream(args), verbose=args.verbose)


def _stream(args: argparse.Namespace) -> TextIO:
    """The stream for the view: standard error if standard output is for a JSON summary."""
    return sys.stderr if args.output == "json" else sys.stdout


def _events_path(folder: str, side: Side) -> str:
    return os.path.join(folder, f"{side}.jsonl")


def _name(side: Side) -> str:
    return f"{side} Overbook"


def _say(line: str) -> None:
    print(f"overbook: {line}", file=sys.stderr, flush=True)
