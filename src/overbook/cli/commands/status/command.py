"""``overbook status``: show the cluster's nodes, and its problems with their fixes."""

import argparse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from overbook.status.findings import Gathered

EXAMPLES = """examples:
  overbook status                              every node, and all problems, worst first
  overbook status worker-1 worker-2 -o wide    two nodes, with CPU, agents and stalls
  overbook status -l pool=virtual --watch      a live view of the nodes with a label; q ends it
  overbook status pod shop/virt-launcher-db-x7kqp
      a pod's resources, its place in the order of relief, and its events
  overbook status namespace shop -o json       sums, annotations in force, pods worst first

Sizes are in GiB. The ClusterRole overbook-status has every right that this needs; without some of them the
rest is shown. Exit status: 0; 1: there is a critical problem; 2: wrong usage, or no API server.
"""

VERBS: Final = ("node", "pod", "namespace")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.output import add_output_option

    parser = subparsers.add_parser(
        "status",
        help="show the cluster's nodes, and problems with their fixes",
        description="Show the cluster's nodes: memory and swap, requested, promised and used; pressure and "
        "relief. Then the problems, worst first, each with the command that fixes it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME",
        help="nodes (default: all); or pod NAMESPACE/NAME, namespace NAME, node NAME",
    )
    parser.add_argument("-n", "--namespace", metavar="NAME", help="the pod's namespace")
    parser.add_argument("-l", "--selector", metavar="LABELS", default="", help="only nodes with these labels")
    parser.add_argument("-w", "--watch", action="store_true", help="a live view; q or Ctrl-C ends it")
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="SECONDS", help="time between two updates (default: 2)"
    )
    parser.add_argument(
        "--details", action="store_true", help="show every node or pod, also if there are many"
    )
    add_output_option(parser, "wide")
    access = parser.add_argument_group("the cluster")
    access.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig file (default: KUBECONFIG, the pod's, ~/.kube/config)",
    )
    access.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: the current one)"
    )
    parser.set_defaults(run=run)
    # `parser` is a `cli.parser.Parser`.
    parser.intermixed = True  # type: ignore[attr-defined] # `status pod -n shop cart`
    parser.words = VERBS  # type: ignore[attr-defined]


def run(arguments: argparse.Namespace) -> int:
    """Show the status. Returns 1 if there is a critical problem.

    Raises:
        InvalidInput: an option or the kubeconfig is not valid, or there is no such node, pod or namespace.
        KubeError: the API server did not answer, or nothing may be read.
        OSError: the kubeconfig cannot be read.
    """
    import asyncio

    verb, names = _asked(arguments)
    if arguments.watch:
        from overbook.cli.commands.status.watch import watch

        return watch(arguments, names)
    shown = {"node": _nodes, "pod": _pod, "namespace": _namespace}[verb]
    return asyncio.run(shown(arguments, names))


def _asked(arguments: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    """The kind of object to show, and the names.

    Raises:
        InvalidInput: words and options do not match.
    """
    from overbook.core.errors import InvalidInput

    words = tuple(arguments.words)
    verb = words[0] if words and words[0] in VERBS else "node"
    names = words[1:] if words and words[0] in VERBS else words
    if verb != "node":
        expected = f"one name, as in `overbook status {verb} {'shop/cart' if verb == 'pod' else 'shop'}`"
        if len(names) != 1:
            raise InvalidInput(f"status {verb}", " ".join(names), expected)
        if arguments.selector or arguments.watch:
            option = "--selector" if arguments.selector else "--watch"
            raise InvalidInput(option, verb, "nodes: it is for them only")
    if verb != "pod" and arguments.namespace:
        raise InvalidInput("--namespace", arguments.namespace, "status pod NAME: it is for pods only")
    if names and arguments.selector:
        raise InvalidInput("--selector", arguments.selector, "names of nodes or a selector, not both")
    if not 0.1 <= arguments.interval <= 3600:
        raise InvalidInput("--interval", arguments.interval, "0.1 to 3600 seconds")
    return verb, names


async def _nodes(arguments: argparse.Namespace, names: tuple[str, ...]) -> int:
    import gc
    import time

    from overbook.cli.commands.status.table import render
    from overbook.status.build import build_cluster
    from overbook.status.read import ClusterReader, connect

    # The process makes one pass over immutable data and ends, so garbage collection would only cost time.
    gc.disable()
    async with connect(arguments.kubeconfig, arguments.context) as client:
        cluster, nodes = await ClusterReader(client).cluster(names, arguments.selector, time.time())
    report = build_cluster(cluster, nodes)
    wide = arguments.output == "wide"
    _show(report, arguments.output, render(report, wide=wide, details=arguments.details))
    return _verdict(report.findings)


async def _pod(arguments: argparse.Namespace, names: tuple[str, ...]) -> int:
    import time

    from overbook.cli.commands.status.pod import render_pod_status
    from overbook.status.pod import pod_status
    from overbook.status.read import ClusterReader, connect

    async with connect(arguments.kubeconfig, arguments.context) as client:
        report = await pod_status(ClusterReader(client), names[0], arguments.namespace, time.time())
    _show(report, arguments.output, render_pod_status(report, wide=arguments.output == "wide"))
    return _verdict(report.findings)


async def _namespace(arguments: argparse.Namespace, names: tuple[str, ...]) -> int:
    from overbook.cli.commands.status.namespace import render_namespace_status
    from overbook.status.namespace import namespace_status
    from overbook.status.read import ClusterReader, connect

    async with connect(arguments.kubeconfig, arguments.context) as client:
        report = await namespace_status(ClusterReader(client), names[0])
    _show(report, arguments.output, render_namespace_status(report, details=arguments.details))
    return 0


def _show(report: object, form: str, lines: "Iterator[str]") -> None:
    from overbook.cli.output import harmless, write_structured

    if form in ("json", "yaml"):
        write_structured(report, form)
        return
    for line in lines:
        print(harmless(line))


def _verdict(findings: "tuple[Gathered, ...]") -> int:
    return int(any(finding.severity == "Critical" for finding in findings))
