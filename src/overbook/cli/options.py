"""Options that several commands share, and the node that they describe."""

import argparse
import os
import sys
from typing import Any, Final, cast, get_args

from overbook.cli.units import size_bytes
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubevirt.overhead import release
from overbook.core.overcommit.allowance import Allowance, Eligibility, SwapPolicy
from overbook.core.overcommit.swap import node_swap_bytes, ordinary_bytes, percent_for_swap
from overbook.core.overcommit.writer import AskedWriter
from overbook.core.percentage import LEAST_PERCENT, MOST_PERCENT, is_percent
from overbook.explain.node import ExplainedNode
from overbook.kernel.files import KernelFileError


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe the node and the cluster."""
    node = parser.add_argument_group("the node", "default: this machine")
    node.add_argument("--node-memory", metavar="SIZE", help="RAM, such as 16Gi")
    node.add_argument("--node-swap", metavar="SIZE", help="swap, such as 8Gi (default: from --percent)")
    node.add_argument("--node-cpu", metavar="CPUS", help="CPUs, such as 8")
    node.add_argument(
        "--cpu-quota",
        action=argparse.BooleanOptionalAction,
        help="whether CPU limits are enforced (default: cpuCFSQuota of this machine's kubelet)",
    )
    cluster = parser.add_argument_group("the cluster")
    cluster.add_argument(
        "--percent",
        metavar="N",
        help="memoryOvercommitPercentage, such as 150 (default: the one that the node's swap is enough for)",
    )
    add_allowance_option(cluster)
    cluster.add_argument(
        "--pooled-share",
        metavar="0-1",
        type=float,
        default=0.5,
        help="largest share of the swap for one container",
    )
    add_eligibility_option(cluster)
    cluster.add_argument(
        "--kubevirt-version",
        metavar="VERSION",
        default="main",
        help="KubeVirt's version, for a VM's overhead, such as v1.9 (default: main)",
    )


def cpu_milli(text: str, option: str) -> int:
    """The number of CPUs that a user gave, in milli-CPU.

    Raises:
        InvalidInput: the text is no number, or not more than 0.
    """
    try:
        milli = parse(text).milli()
    except InvalidInput as error:
        raise InvalidInput(option, text, "a number of CPUs, such as 8") from error
    if milli <= 0:
        raise InvalidInput(option, text, "more than 0 CPUs")
    return milli


def percentage(text: str, option: str) -> int:
    """The percentage that a user gave.

    Raises:
        InvalidInput: the text is no whole number from 10 to 10000; for a ratio the message has a hint.
    """
    short = text.strip().removesuffix("%").strip()
    if short.isascii() and short.isdigit() and is_percent(int(short[:6])):
        return int(short)
    hint = ""
    try:
        ratio = float(short)
    except ValueError:
        ratio = 0.0
    if 0.1 <= ratio < 10:
        hint = f" (did you mean {round(ratio * 100)}?)"
    raise InvalidInput(
        option, text, f"a whole number from {LEAST_PERCENT} to {MOST_PERCENT}, such as 150{hint}"
    )


def node_of(arguments: argparse.Namespace) -> ExplainedNode:
    """The node that the options describe.

    Raises:
        InvalidInput: an option is out of range, or this machine's memory is not readable.
    """
    percent = None if arguments.percent is None else percentage(arguments.percent, "--percent")
    memory, huge_pages, swap, swap_from = _memory(arguments)
    ordinary = ordinary_bytes(memory, huge_pages)
    memory_from = "--node-memory" if arguments.node_memory else "this machine"
    if arguments.node_swap is not None:
        swap = (
            0
            if arguments.node_swap == "0"
            else size_bytes(arguments.node_swap, "--node-swap", arguments.node_memory)
        )
        swap_from = "--node-swap"
    if swap is None:
        swap = node_swap_bytes(ordinary, 100 if percent is None else percent)
        swap_from = "by the formula for --percent" if percent is not None else "no --node-swap, no --percent"
    percent_from = "--percent"
    if percent is None:
        percent, percent_from = min(MOST_PERCENT, percent_for_swap(ordinary, swap)), "what the swap carries"
    policy = SwapPolicy(
        eligibility=cast("Any", arguments.eligibility),
        allowance=cast("Any", arguments.allowance),
        pooled_share=arguments.pooled_share,
        percent=percent,
    )
    policy.check()
    quota, quota_from = _cpu_quota(arguments)
    return ExplainedNode(
        memory_bytes=memory,
        swap_bytes=swap,
        cpu_milli=_cpu(arguments),
        policy=policy,
        running=release(arguments.kubevirt_version),
        cpu_quota=quota,
        cpu_quota_from=quota_from,
        memory_from=memory_from,
        swap_from=swap_from,
        percent_from=percent_from,
        huge_pages_bytes=huge_pages,
    )


def _memory(arguments: argparse.Namespace) -> tuple[int, int, int | None, str]:
    """RAM, the huge pages in it, this machine's swap if it counts, and the origin of the swap."""
    if arguments.node_memory is not None:
        return size_bytes(arguments.node_memory, "--node-memory"), 0, None, ""
    from overbook.kernel.meminfo import read_meminfo

    try:
        meminfo = read_meminfo()
    except KernelFileError as error:
        found = f"no readable /proc/meminfo on {sys.platform}"
        raise InvalidInput("this machine", found, "the option --node-memory, such as 16Gi") from error
    if arguments.percent is not None and not meminfo.swap_total_bytes:
        return meminfo.mem_total_bytes, meminfo.hugetlb_bytes or 0, None, ""
    huge_pages = meminfo.hugetlb_bytes or 0
    return meminfo.mem_total_bytes, huge_pages, meminfo.swap_total_bytes or 0, "this machine"


def _cpu_quota(arguments: argparse.Namespace) -> tuple[bool, str]:
    """Whether CPU limits are enforced, and the origin of that setting."""
    if arguments.cpu_quota is not None:
        return arguments.cpu_quota, "--cpu-quota" if arguments.cpu_quota else "--no-cpu-quota"
    if arguments.node_memory is None:
        from overbook.node.kubelet import running_kubelet

        try:
            kubelet = running_kubelet("/")
        except (InvalidInput, OSError):
            kubelet = None  # this user may not read the kubelet's files
        if kubelet is not None:
            return kubelet.configuration.cpu_cfs_quota, "cpuCFSQuota of this machine's kubelet"
    return True, "the kubelet's default"


def _cpu(arguments: argparse.Namespace) -> int | None:
    if arguments.node_cpu is None:
        return None if arguments.node_memory is not None else (os.cpu_count() or 1) * 1000
    return cpu_milli(arguments.node_cpu, "--node-cpu")


USUAL: Final = SwapPolicy()

# argparse's own type for both is private.
Options = argparse.ArgumentParser | argparse._ArgumentGroup  # noqa: SLF001


def add_eligibility_option(options: Options, default: str | None = USUAL.eligibility) -> None:
    """Add ``--eligibility``. Pass another `default` if a configuration file may set it, too."""
    options.add_argument(
        "--eligibility",
        choices=get_args(Eligibility),
        default=default,
        help=f"pods that may swap (default: {USUAL.eligibility})",
    )


def add_allowance_option(options: Options, default: str | None = USUAL.allowance) -> None:
    """Add ``--allowance``."""
    options.add_argument(
        "--allowance",
        choices=get_args(Allowance),
        default=default,
        help="swap of each pod: in proportion to its request (as the kubelet), all that the guest can need, "
        f"or that from a common pool (default: {USUAL.allowance})",
    )


def add_swap_writer_option(options: Options, default: str | None = "auto") -> None:
    """Add ``--swap-writer``."""
    options.add_argument(
        "--swap-writer",
        choices=get_args(AskedWriter),
        default=default,
        help="what writes the swap limits (default: auto, the best that the node has)",
    )


def add_rule_options(group: Any) -> None:
    """Add the options of rules. An option that is not given is not in the parsed arguments."""
    from overbook.core.pressure.detectors import OPTIONS

    not_given = argparse.SUPPRESS
    for kind, option in OPTIONS:
        group.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=float,
            metavar=option.metavar,
            help=f"default: {getattr(kind(), option.field):g}",
            default=not_given,
        )
    group.add_argument(
        "--rank",
        choices=["culprit", "original"],
        help="order of eviction: culprit, or as wasp-agent (original) (default: culprit)",
        default=not_given,
    )


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of rules that were given, by field name."""
    from overbook.core.pressure.detectors import OPTIONS

    values = vars(arguments)
    names = (*(option.name for _, option in OPTIONS), "rank")
    return {name: values[name] for name in names if name in values}
