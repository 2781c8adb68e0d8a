"""``overbook controller``: take requests for relief from all nodes, and move one guest at a time."""

import argparse

EXAMPLES = """examples:
  overbook controller --mode observe -v
      decide and say what would be done, start nothing
  overbook controller --kubeconfig ~/.kube/config --no-leader-elect
      one replica outside the cluster
  overbook controller --check-config
      show the settings that would be used, and stop

Budgets are not set here: they are the cluster's, in the object Overcommit/cluster (spec.relief).
POD_NAMESPACE and POD_NAME are understood; flags win over them.

While it runs: http://127.0.0.1:9714/metrics, /healthz, /readyz, /decisions.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command. Every flag's default is "not given", so that the environment counts."""
    parser = subparsers.add_parser(
        "controller",
        help="relieve nodes that ask for it, one guest at a time",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--check-config", action="store_true", default=False, help="show the resulting settings and stop"
    )
    parser.add_argument(
        "--mode",
        type=str.capitalize,
        choices=["Observe", "Enforce"],
        help="Observe starts nothing (default: Enforce)",
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl, or as a pod")
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig (default: its current one)")
    parser.add_argument(
        "--namespace", metavar="NAME", help="in which Overbook is installed (default: overbook)"
    )
    parser.add_argument("--identity", metavar="NAME", help="among the replicas (default: host and process)")
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        help="work only while holding the lease (default: yes)",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help='"" for none (default: 127.0.0.1:9714)')
    parser.add_argument("-v", "--verbosity", type=int, nargs="?", const=2, metavar="0-2", help="(default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    import os

    import msgspec

    from overbook.controller.settings import load

    ours = {"command", "run", "check_config"}
    settings = load(os.environ, {name: value for name, value in vars(args).items() if name not in ours})
    if args.check_config:
        print(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())
        return 0

    import asyncio
    import logging
    import sys

    from overbook.controller.controller import Controller
    from overbook.kube.api.find_cluster import load_config

    logging.basicConfig(
        stream=sys.stderr,
        level=[logging.WARNING, logging.INFO, logging.DEBUG][max(0, min(2, settings.verbosity))],
        format="%(asctime)s %(levelname)s %(message)s",
    )
    config = load_config(settings.kubeconfig, settings.context)
    asyncio.run(Controller(settings, config).run())
    return 0
