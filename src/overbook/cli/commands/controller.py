"""``overbook controller``: answer the nodes' requests for relief: evict or live-migrate one pod at a time."""

import argparse

EXAMPLES = """examples:
  overbook controller --mode observe -v
      decide and report, but start nothing
  overbook controller --kubeconfig ~/.kube/config --no-leader-elect
      one replica outside the cluster
  overbook controller --check-config
      show the settings that would be used, and stop

Budgets are set in the object Overcommit/cluster (spec.relief), not here.
The variables POD_NAMESPACE and POD_NAME are read; flags override them.

While it runs: http://127.0.0.1:9714/metrics, /healthz, /readyz, /decisions.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command. No flag has a default, so that the environment counts."""
    parser = subparsers.add_parser(
        "controller",
        help="evict or live-migrate pods from nodes under pressure",
        description="Answer the nodes' requests for relief: evict or live-migrate one pod at a time.",
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
        help="Observe: only decide and report (default: Enforce)",
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig file (default: as kubectl, or as a pod)"
    )
    parser.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: the current one)"
    )
    parser.add_argument(
        "--namespace", metavar="NAME", help="namespace in which Overbook is installed (default: overbook)"
    )
    parser.add_argument(
        "--identity", metavar="NAME", help="name among the replicas (default: host and process)"
    )
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        help="work only while holding the lease (default: yes)",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help='address of metrics and health, "" for none (default: 127.0.0.1:9714)',
    )
    parser.add_argument(
        "--probe-listen",
        metavar="HOST:PORT",
        help='further address, of health alone (default: "", none)',
    )
    parser.add_argument(
        "-v",
        "--verbosity",
        type=int,
        nargs="?",
        const=2,
        metavar="0-2",
        help="amount of log lines (default: 1)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    import os

    import msgspec

    from overbook.controller.settings import load

    not_settings = {"command", "run", "check_config"}
    settings = load(
        os.environ, {name: value for name, value in vars(args).items() if name not in not_settings}
    )
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
