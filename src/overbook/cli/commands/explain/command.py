"""``overbook explain``: the resources that pods, VMs and workloads get on a node, with the reasons."""

import argparse
import sys

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
    parser.add_argument(
        "--kubernetes-version",
        metavar="VERSION",
        help="Kubernetes' version, such as 1.37 (default: that of the Nodes in the input, else 1.36)",
    )
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

    from overbook.cli.commands.explain.read import Problems, node_with, take_files
    from overbook.core.errors import InvalidInput
    from overbook.core.kubevirt.memory import LauncherPolicy
    from overbook.explain.build import build_report
    from overbook.explain.inventory import Intake

    # The process makes one pass over immutable data and ends, so garbage collection would only cost time.
    gc.disable()
    problems = Problems()
    intake = Intake(problems.add)
    node = node_with(arguments, intake.objects)  # a wrong option is named before anything is read
    take_files(arguments.files, intake, problems)
    if intake.objects.nodes or intake.objects.overrides or intake.vm_settings is not None:
        node = node_with(arguments, intake.objects, intake.vm_settings)
    inventory = intake.inventory(
        LauncherPolicy(percent=node.policy.percent), node.running, percent_given=arguments.percent is not None
    )
    if arguments.on_node:
        selected = tuple(one for one in inventory.found if one.pod.spec.node_name == arguments.on_node)
        inventory = msgspec.structs.replace(inventory, found=selected)
    if not inventory.found and (arguments.on_node or not inventory.idle):
        if problems.sentences:
            return problems.status()
        seen = ", ".join(f"{count} {kind}" for kind, count in inventory.ignored.items()) or "nothing"
        raise InvalidInput(
            " ".join(arguments.files), seen, "at least one pod, virtual machine or workload to explain"
        )
    report = build_report(inventory, node, problems.add)
    if not report.pods:
        return problems.status()
    if problems.sentences:
        report = msgspec.structs.replace(report, problems=tuple(problems.sentences))
    if arguments.output != "table":
        from overbook.cli.commands.explain.write import write_report

        write_report(report, arguments.output)
        return problems.status()
    from overbook.cli.commands.explain.text import render

    for line in render(report, details=arguments.details):
        print(line)
    sys.stdout.flush()
    return problems.status()
