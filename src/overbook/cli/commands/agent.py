"""``overbook agent``: watch this node, set its pods' swap limits, and request relief under pressure."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overbook.agent.agent import Agent
    from overbook.agent.api.thread import ApiThread
    from overbook.agent.settings import AgentSettings

EXAMPLES = """examples:
  overbook agent --kube --node-name worker-1 --mode observe
      pods from the API server; publish the decisions there (in a pod of the cluster --kube is implied)
  overbook agent --manifests /etc/overbook/pods --mode observe
      decide and report, change nothing
  overbook agent --manifests pods/ --percent 150 --allowance whole --record night.jsonl
      set swap limits, act, and record for `overbook replay`
  overbook agent --config agent.yaml --check-config
      show the settings that would be used, and stop

The variables of wasp-agent are also read: MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND,
MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND, SWAP_UTILIZATION_THRESHOLD_FACTOR,
AVERAGE_WINDOW_SIZE_SECONDS, VERBOSITY, FSROOT, NODE_NAME. Flags override them, they override the file.

While it runs: http://127.0.0.1:9713/metrics, /healthz, /readyz, /decisions.
"""


def _mode(text: str) -> str:
    return text.capitalize()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command. No flag has a default, so that the file and the environment count."""
    from overbook.cli.options import (
        add_allowance_option,
        add_eligibility_option,
        add_rule_options,
        add_swap_writer_option,
    )

    parser = subparsers.add_parser(
        "agent",
        help="watch this node and protect it under memory pressure",
        description="Watch this node, set its pods' swap limits, and request relief under pressure.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", metavar="FILE", default=None, help="settings as YAML or JSON")
    parser.add_argument(
        "--check-config", action="store_true", default=False, help="show the resulting settings and stop"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--kube", action="store_true", help="read pods from the API server; report there")
    source.add_argument("--manifests", metavar="DIR", help="read this node's pods from manifests")
    parser.add_argument(
        "--mode",
        type=_mode,
        choices=["Observe", "Enforce"],
        help="Observe: only decide and report (default: Enforce)",
    )
    parser.add_argument(
        "--interval",
        dest="interval_seconds",
        type=float,
        metavar="SECONDS",
        help="time between samples (default: 1)",
    )
    swap = parser.add_argument_group("swap and memory")
    add_eligibility_option(swap, argparse.SUPPRESS)
    add_allowance_option(swap, argparse.SUPPRESS)
    swap.add_argument(
        "--pooled-share",
        type=float,
        metavar="0-1",
        help="largest share of the swap for one container (default: 0.5)",
    )
    swap.add_argument("--percent", type=int, help="memoryOvercommitPercentage of the cluster (default: 100)")
    add_swap_writer_option(swap, argparse.SUPPRESS)
    swap.add_argument(
        "--on-exit",
        type=_mode,
        choices=["Leave", "Restore"],
        help="what happens to written limits when the agent stops (default: Leave)",
    )
    swap.add_argument(
        "--offload",
        type=_mode,
        choices=["Off", "Observe", "On"],
        help="swap out cold memory ahead of need; Observe: only count what would be (default: On)",
    )
    swap.add_argument(
        "--qos-reserved",
        metavar="memory=N%",
        help="reserve N %% of the requests of higher QoS classes, which lower classes cannot use "
        "(default: 0)",
    )
    swap.add_argument(
        "--zswap-max",
        type=int,
        metavar="N",
        help="keep at most N %% of a container's allowance compressed in RAM by zswap (default: 100, "
        "not limited)",
    )
    rules = parser.add_argument_group("rules")
    add_rule_options(rules)
    rules.add_argument(
        "--grace",
        dest="grace_seconds",
        type=float,
        metavar="SECONDS",
        help="the longest time a pod gets to end (default: 10)",
    )
    cluster = parser.add_argument_group("cluster (with --kube)")
    cluster.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig file (default: the pod's service account, or KUBECONFIG)",
    )
    cluster.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: the current one)"
    )
    cluster.add_argument(
        "--kubelet",
        dest="kubelet_server",
        metavar="URL",
        help="the kubelet, to read pods while the API server does not answer, such as "
        "https://192.0.2.7:10250 (default: none)",
    )
    cluster.add_argument(
        "--last-resort",
        type=_mode,
        choices=["None", "Kill"],
        help="Kill: kill a pod here if the API server does not answer (default: None)",
    )
    other = parser.add_argument_group("other")
    other.add_argument("--record", metavar="FILE", help="write samples and decisions, for overbook replay")
    other.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help='address of metrics and health, "" for none (default: 127.0.0.1:9713)',
    )
    other.add_argument(
        "--probe-listen",
        metavar="HOST:PORT",
        help='further address, of health alone (default: "", none)',
    )
    other.add_argument("--fsroot", metavar="DIR", help="the host's file system (default: /)")
    other.add_argument("--node-name", help="this node's name (default: its host name)")
    other.add_argument(
        "--no-lock-memory",
        dest="lock_memory",
        action="store_false",
        help="allow the agent's memory to be swapped",
    )
    other.add_argument("-v", "--verbosity", type=int, metavar="0-2", help="amount of log lines (default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    import logging
    import os
    import sys

    import msgspec

    from overbook.agent.loop import Loop
    from overbook.agent.settings import load, with_setting
    from overbook.core.errors import InvalidInput
    from overbook.kernel.cgroup_version import check_cgroup2
    from overbook.kernel.own_process import lock_memory, lower_oom_score, raise_descriptor_limit

    not_settings = {"command", "run", "config", "check_config"}
    flags = {name: value for name, value in vars(args).items() if name not in not_settings}
    settings = load(args.config, os.environ, flags)
    if not settings.node_name:
        settings = with_setting(settings, "node_name", os.uname().nodename)
    if args.check_config:
        print(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())
        return 0
    if settings.manifests is None and not settings.kube:
        expected = "a directory with this node's pods as manifests (or --kube: pods from the API server)"
        raise InvalidInput("--manifests", None, expected)
    logging.basicConfig(
        stream=sys.stderr,
        level=[logging.WARNING, logging.INFO, logging.DEBUG][max(0, min(2, settings.verbosity))],
        format="%(asctime)s %(levelname)s %(message)s",
    )
    log = logging.getLogger("overbook")
    if settings.verbosity < 2:
        # Each watch logs each attempt. The writer of the status logs once that the API server does not
        # answer.
        logging.getLogger("overbook.kube").setLevel(logging.WARNING)
    check_cgroup2(settings.fsroot)
    agent, thread = _agent(settings)
    loop = Loop(agent, settings)
    raise_descriptor_limit()
    locked = settings.lock_memory and lock_memory()
    if settings.mode == "Enforce":
        lower_oom_score()
    log.info(
        "watching %s: %d pods known, mode %s, %s for %s pods, memory %s",
        settings.node_name,
        len(agent.known_pods.source.pods),
        settings.mode,
        f"{settings.swap.allowance} swap",
        settings.swap.eligibility,
        "locked" if locked else "not locked",
    )
    if thread is not None:
        thread.start()
    try:
        loop.run()
    finally:
        if thread is not None:
            thread.stop()
    return 0


def _agent(settings: "AgentSettings") -> "tuple[Agent, ApiThread | None]":
    """The agent, and the thread for the API server if there is one."""
    from overbook.agent.agent import Agent

    if settings.manifests is not None:
        from overbook.agent.source import ManifestDirectory

        return Agent(settings, ManifestDirectory(settings.manifests)), None
    from overbook.agent.api.thread import ApiThread
    from overbook.agent.api.worker import Worker
    from overbook.agent.bridge import Bridge
    from overbook.agent.source import KubePods

    bridge = Bridge()
    agent = Agent(settings, KubePods(bridge), bridge=bridge)
    return agent, ApiThread(bridge, Worker(settings, bridge, agent.instance).run)
