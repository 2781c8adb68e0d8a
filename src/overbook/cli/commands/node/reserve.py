"""``overbook node reserve``: propose a system reservation for a node of this size."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from overbook.cli.commands.node.reserve_report import Asked, ReserveReport
    from overbook.core.kubernetes.kubelet import KubeletConfiguration

EXAMPLES: Final = """examples:
  overbook node reserve                            for this node, compared with its kubelet's present one
  overbook node reserve --memory 64Gi --cpu 16     for a node of that size
  overbook node reserve --openshift                the KubeletConfig of a pool instead of the kubelet's own
  kubectl get pods -A --field-selector spec.nodeName=worker-1 -o json | overbook node reserve -
      also show what qos-reserved would leave to the lower QoS classes with these pods

Nothing is changed.
"""


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.node.command import add_fsroot_option
    from overbook.cli.output import add_output_option

    parser = parts.add_parser(
        "reserve",
        help="propose a system reservation for a node of this size",
        description="Propose a reservation for the node's size, and show the rest for pods.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="the node's pods as manifests, directories of them, or - (default: an example)",
    )
    parser.add_argument("--memory", metavar="SIZE", help="RAM of another node, such as 64Gi")
    parser.add_argument("--cpu", metavar="CPUS", help="CPUs of another node, such as 16")
    parser.add_argument("--openshift", action="store_true", help="print a KubeletConfig for a pool of nodes")
    parser.add_argument(
        "--pool", metavar="NAME", default="worker", help="the pool for --openshift (default: worker)"
    )
    add_fsroot_option(parser)
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Propose a reservation.

    Raises:
        InvalidInput: a size, a manifest or the kubelet's configuration is not valid.
        OSError: a file cannot be read.
    """
    from overbook.cli.commands.node.reserve_report import reserve_report
    from overbook.cli.output import write_structured
    from overbook.core.kubernetes.resources import Amounts

    other = arguments.memory is not None or arguments.cpu is not None
    memory, huge_pages, cpu = _size(arguments)
    configuration = None if other else _configured(arguments.fsroot)
    report = reserve_report(
        Amounts.of(cpu, memory),
        "another node" if other else "this node",
        configuration,
        _requests(arguments.files, memory - huge_pages),
        arguments.pool if arguments.openshift else "",
        huge_pages,
    )
    if arguments.output != "table":
        write_structured(report, arguments.output)
        return 0
    for line in _lines(report):
        print(line)
    return 0


def _size(arguments: argparse.Namespace) -> tuple[int, int, int]:
    """The node's memory, its part that is set aside as huge pages, in bytes, and its CPUs in milli-CPU."""
    import os

    from overbook.cli.options import cpu_milli
    from overbook.cli.units import size_bytes
    from overbook.core.errors import InvalidInput
    from overbook.kernel.meminfo import read_meminfo

    if (arguments.memory is None) != (arguments.cpu is None):
        given, missing = ("--cpu", "--memory") if arguments.memory is None else ("--memory", "--cpu")
        raise InvalidInput(missing, None, f"the other half of the node's size, because {given} is given")
    if arguments.memory is not None:
        return size_bytes(arguments.memory, "--memory"), 0, cpu_milli(arguments.cpu, "--cpu")
    memory = read_meminfo(arguments.fsroot)
    return memory.mem_total_bytes, memory.hugetlb_bytes or 0, (os.cpu_count() or 1) * 1000


def _configured(root: str) -> "KubeletConfiguration | None":
    """The configuration of this node's kubelet; ``None`` if there is none, or it is not readable."""
    from overbook.node.kubelet import running_kubelet

    try:
        kubelet = running_kubelet(root)
    except OSError as error:
        print(f"overbook: the kubelet's configuration is not readable: {error}", file=sys.stderr)
        return None
    return kubelet.configuration if kubelet is not None else None


def _requests(files: list[str], memory_bytes: int) -> "Asked":
    """The pods' requests by class; without pods an example: a quarter of the memory for each class."""
    from overbook.cli.commands.node.reserve_report import Asked
    from overbook.core.kubernetes.reserve import class_requests
    from overbook.core.kubernetes.resolved import resolvable
    from overbook.explain.admission import ApiServer
    from overbook.explain.inventory import take_inventory
    from overbook.kube.files.manifests import read_documents_of
    from overbook.kube.files.sources import read_sources

    if not files:
        return Asked(memory_bytes // 4, memory_bytes // 4, "an example: a quarter of the memory each")
    documents = (document for source in read_sources(files) for document in read_documents_of(source))
    inventory = take_inventory(documents)
    server = ApiServer(inventory.objects)
    pods = [server.admitted(one.pod).pod for one in inventory.found]
    asked = class_requests(resolvable(pods))
    return Asked(asked.guaranteed_bytes, asked.burstable_bytes, f"{len(pods)} pods")


def _lines(report: "ReserveReport") -> Iterator[str]:
    from overbook.cli.output import columns
    from overbook.core.text import cores, shown, shown_or

    yield f"{report.name}: {shown(report.memory_bytes)} of RAM, {cores(report.cpu_milli)} CPUs"
    if report.huge_pages_bytes:
        others = shown(report.memory_bytes - report.huge_pages_bytes)
        yield f"  {shown(report.huge_pages_bytes)} are huge pages: the proposal is for the other {others};"
        yield "  the kubelet's limit on all pods counts huge pages, so it does not bind here"
    yield ""
    rows: list[tuple[str, ...]] = [("", "cpu", "memory", "allocatable", "all pods")]
    for label, state in (("reserved now", report.now), ("proposed", report.proposed)):
        if state is not None:
            kept = cores(state.reserved_cpu_milli), shown_or(state.reserved_memory_bytes)
            rows.append((label, *kept, shown(state.reported_bytes), shown(state.enforced_bytes)))
    yield from columns(rows, frozenset(range(1, 5)), "  ")
    yield f"  {report.verdict}"
    yield ""
    asked = report.asked
    yield f"qos-reserved would then leave to the lower classes ({asked.source}:"
    requested = shown(asked.guaranteed_bytes), shown(asked.burstable_bytes)
    yield "{} requested by Guaranteed and {} by Burstable pods)".format(*requested)
    rows = [("", "Burstable", "BestEffort")]
    for each in report.qos_reserved:
        burstable, best_effort = shown(each.burstable_max_bytes), shown(each.best_effort_max_bytes)
        rows.append((f"{each.percent} %", burstable, best_effort))
    yield from columns(rows, frozenset(range(3)), "  ")
    yield ""
    yield from _fragment(report.fragment)


def _fragment(fragment: dict[str, Any]) -> list[str]:
    from overbook.deploy.yaml_text import yaml_text

    return yaml_text([fragment]).splitlines()
