"""`overbook demo --cluster`: the demo on a real cluster: scheduler, taint, live migration, recovery."""

import argparse
import os
import queue
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overbook_sandbox.demo.cluster_demo import ClusterDemo
    from overbook_sandbox.demo.live_view import View
    from overbook_sandbox.demo.story import Story

    ViewOf = Callable[["list[Story]"], View]

_TICK_SECONDS = 0.25
_MOMENTS = {
    "before": "before the trouble",
    "during": "in the middle of it",
    "after": "afterwards",
}


def run_on_cluster(args: argparse.Namespace, view_of: "ViewOf", say: Callable[[str], None]) -> int:
    """Start a cluster, run the demo on it, stop the cluster, and print the summary.

    Args:
        args: The command's arguments.
        view_of: Makes the view of the story.
        say: Receives a line for each step.

    Returns:
        The exit status, as in the command's help.

    Raises:
        InvalidInput: An option is only for the demo without a cluster.
        SandboxError: A part is not available, did not start, or an expected event did not happen in time.
    """
    from overbook_sandbox.cluster import go_programs
    from overbook_sandbox.demo.cluster_demo import ClusterDemo
    from overbook_sandbox.demo.cluster_stage import stage
    from overbook_sandbox.node import kubernetes_node

    _refuse_others(args)
    go_programs.prepare(say=say)
    parts = kubernetes_node.prepare(install_packages=args.install_packages, say=say)
    with tempfile.TemporaryDirectory(prefix="overbook-demo-") as folder:
        try:
            with stage(folder, parts, say) as running:
                demo = ClusterDemo(running, args.output_dir)
                story = _watch(demo, args.output_dir, view_of)
        finally:
            _keep_logs(folder, args.output_dir)
    return _finish(args, story, demo.statuses, say)


def _finish(
    args: argparse.Namespace, story: "Story", statuses: dict[str, str], say: Callable[[str], None]
) -> int:
    from overbook_sandbox.demo import summary
    from overbook_sandbox.demo.picture import svg

    picture = os.path.join(os.path.abspath(args.output_dir), "cluster.svg")
    document = summary.as_json([story])
    files = {picture: svg([story]).encode(), os.path.join(args.output_dir, "cluster-summary.json"): document}
    for path, content in files.items():
        with open(path, "wb") as file:
            file.write(content)
    facts = summary.facts_of(story)
    if args.output == "json":
        print(document.decode(), end="")
    else:
        for moment, words in _MOMENTS.items():
            print(f"\n`overbook status` {words}:\n\n{statuses[moment].rstrip()}")
        print(f"\n{summary.table([facts])}\n")
        print("\n".join(summary.sentences([facts])))
        print(f"\nthe picture: {picture}")
    promised = (*summary.promises(facts), summary.migrated(facts))
    broken = [promise for promise in promised if not promise.kept]
    for promise in broken:
        say(f"not as promised: {promise.promise}. Seen: {promise.seen}")
    return 1 if broken else 0


def _refuse_others(args: argparse.Namespace) -> None:
    from overbook.core.errors import InvalidInput

    for option in ("only", "replay_events"):
        if (value := getattr(args, option)) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InvalidInput(name, value, "nothing with --cluster: it has one node, and is not replayed")


def _watch(demo: "ClusterDemo", folder: str, view_of: "ViewOf") -> "Story":
    import msgspec

    from overbook_sandbox.cluster.background import Background
    from overbook_sandbox.demo.story import Story

    story = Story(overbook=True)
    with (
        open(os.path.join(folder, "cluster.jsonl"), "wb") as record,
        view_of([story]) as view,
        Background(demo.run, "the story") as telling,
    ):
        while not story.complete:
            view.tick()
            try:
                event = demo.events_queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                telling.require_running()
                continue
            record.write(msgspec.json.encode(event) + b"\n")
            view.show(story, story.add(event))
    return story


def _keep_logs(folder: str, output: str) -> None:
    """Copy the programs' logs to the output folder."""
    for name in ("node/overbook-agent.log", "control-plane/overbook-controller.log", "node/kubelet.log"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            shutil.copyfile(path, os.path.join(output, f"cluster-{os.path.basename(name)}"))
