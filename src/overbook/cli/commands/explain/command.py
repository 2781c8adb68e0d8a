"""``overbook explain``: the resources that pods, VMs and workloads get on a node, with the reasons."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overbook.core.kubevirt.settings import VmSettings
    from overbook.explain.node import ExplainedNode

EXAMPLES = """examples:
  overbook explain pod.yaml
      on this machine, as if it were the node
  overbook explain vm.yaml --node-memory 16Gi --percent 150
      on a node with 16Gi and the swap that 150 % needs
  kubectl get pods -A -o json | overbook explain - --on-node worker-1 --node-memory 64Gi --node-swap 32Gi
  overbook explain manifests/ --allowance whole --output json
  overbook explain --override examples/override/cluster.yaml deployment.yaml
      how the webhook would change the pod
  overbook explain --topic list
      the pages that explain the rules
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.explain.topics import NAMES
    from overbook.cli.options import add_node_options
    from overbook.cli.output import add_output_option

    parser = subparsers.add_parser(
        "explain",
        help="show what pods, VMs and workloads get, and why",
        description="QoS class, cgroup values, kill order, swap and overcommit level, from manifests.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="manifests as YAML or JSON, directories of them, or - for standard input",
    )
    parser.add_argument(
        "--topic",
        choices=["list", *NAMES],
        metavar="TOPIC",
        help=f"a page on a rule: list, {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--override",
        metavar="OVERRIDE",
        help="show how the overrides in this file would change the pods at admission",
    )
    parser.add_argument(
        "--details", action="store_true", help="show every pod in full, also if there are many"
    )
    parser.add_argument("--on-node", metavar="NAME", help="only the pods with this spec.nodeName")
    add_output_option(parser)
    add_node_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain the pods of the files.

    Raises:
        InvalidInput: a manifest or an option is not valid.
        OSError: a file cannot be read.
    """
    if arguments.topic:
        from overbook.cli.commands.explain.topics import run_topic

        return run_topic(arguments)
    if not arguments.files:
        print(
            "overbook: explain needs a FILE, a directory, - for standard input, or --topic", file=sys.stderr
        )
        return 2
    if arguments.override:
        from overbook.cli.commands.explain.override import explain_override

        return explain_override(arguments)
    return _explain_files(arguments)


def _explain_files(arguments: argparse.Namespace) -> int:
    import gc

    import msgspec

    from overbook.cli.options import node_of
    from overbook.cli.output import write_structured
    from overbook.core.errors import InvalidInput
    from overbook.core.kubevirt.memory import LauncherPolicy
    from overbook.explain.build import build_report
    from overbook.explain.inventory import take_inventory
    from overbook.kube.files.manifests import read_documents_of
    from overbook.kube.files.sources import read_sources

    # The process makes one pass over immutable data and ends, so garbage collection would only cost time.
    gc.disable()
    node = node_of(arguments)
    documents = (
        document for source in read_sources(arguments.files) for document in read_documents_of(source)
    )
    policy = LauncherPolicy(percent=node.policy.percent)
    inventory = take_inventory(documents, policy, node.running, percent_given=arguments.percent is not None)
    if inventory.vm_settings is not None and arguments.percent is None:
        node = _with_percent(arguments, inventory.vm_settings)
    if arguments.on_node:
        selected = tuple(one for one in inventory.found if one.pod.spec.node_name == arguments.on_node)
        inventory = msgspec.structs.replace(inventory, found=selected)
    if not inventory.found:
        seen = ", ".join(f"{count} {kind}" for kind, count in inventory.ignored.items()) or "nothing"
        raise InvalidInput(
            " ".join(arguments.files), seen, "at least one pod, virtual machine or workload to explain"
        )
    report = build_report(inventory, node)
    if arguments.output != "table":
        write_structured(report, arguments.output)
        return 0
    from overbook.cli.commands.explain.text import render

    for line in render(report, details=arguments.details):
        print(line)
    return 0


def _with_percent(arguments: argparse.Namespace, settings: "VmSettings") -> "ExplainedNode":
    """The node with the percentage of the input's KubeVirt or HyperConverged object."""
    import msgspec

    from overbook.cli.options import node_of

    node = node_of(argparse.Namespace(**{**vars(arguments), "percent": str(settings.policy.percent)}))
    swap_from = node.swap_from.replace("--percent", settings.source)
    return msgspec.structs.replace(node, percent_from=settings.source, swap_from=swap_from)
