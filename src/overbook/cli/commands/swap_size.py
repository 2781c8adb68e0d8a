"""``overbook swap-size``: compute swap for a percentage, a percentage for swap, and a VM's share of swap."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

EXAMPLES = """examples:
  overbook swap-size --ram 16Gi --overcommit 150              how much swap
  overbook swap-size --ram 16Gi --swap 8Gi                    which percentage
  overbook swap-size --ram 16Gi --swap 4Gi --overcommit 150   is it enough (exit status 1: no)
  overbook swap-size --ram 16Gi --overcommit 150 --guest 4Gi  does a VM fit that uses all of its memory

Sizes are binary (16Gi) or decimal (16G, 16 GB); the answer has the unit of --ram.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.output import add_output_option

    parser = subparsers.add_parser(
        "swap-size",
        help="compute swap for a percentage, or a percentage for swap",
        description="Compute NODE_SWAP_SPACE = NODE_RAM × (percent / 100 - 1), or its inverse.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ram", metavar="SIZE", required=True, help="the node's RAM, such as 16Gi")
    parser.add_argument(
        "--huge-pages",
        metavar="SIZE",
        help="the part of the RAM that is set aside as huge pages (default: 0)",
    )
    parser.add_argument("--overcommit", metavar="N", help="memoryOvercommitPercentage, such as 150")
    parser.add_argument("--swap", metavar="SIZE", help="the node's swap, such as 8Gi")
    parser.add_argument("--guest", metavar="SIZE", help="memory that a VM's guest sees, such as 4Gi")
    parser.add_argument("--overhead", metavar="SIZE", help="memory that KubeVirt adds (default: computed)")
    parser.add_argument(
        "--vcpus", metavar="N", type=int, default=2, help="vCPUs, for the computed overhead (default: 2)"
    )
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compute the answer. Returns 1 if the swap is too small or the guest does not fit.

    Raises:
        InvalidInput: an option is not valid.
    """
    from overbook.cli.output import write_structured

    if arguments.overcommit is None and arguments.swap is None:
        wanted = "--overcommit (how much swap?) or --swap (which percentage?)"
        print(f"overbook: swap-size needs {wanted}", file=sys.stderr)
        return 2
    answer = _answer(arguments)
    if arguments.output != "table":
        write_structured(answer, arguments.output)
    else:
        for line in _lines(answer, arguments.ram):
            print(line)
    fits = answer.get("guest", {}).get("fits", True)
    return 0 if answer["enough"] and fits else 1


def _answer(arguments: argparse.Namespace) -> dict[str, Any]:
    from overbook.cli.options import percentage
    from overbook.cli.units import size_bytes
    from overbook.core.errors import InvalidInput
    from overbook.core.overcommit.swap import (
        node_swap_bytes,
        ordinary_bytes,
        percent_for_swap,
        swap_suffices,
    )

    whole = size_bytes(arguments.ram, "--ram")
    huge_pages = 0
    if arguments.huge_pages not in (None, "0"):
        huge_pages = size_bytes(arguments.huge_pages, "--huge-pages")
    ram = ordinary_bytes(whole, huge_pages)
    if not ram:
        raise InvalidInput("--huge-pages", arguments.huge_pages, "less than --ram")
    percent = None if arguments.overcommit is None else percentage(arguments.overcommit, "--overcommit")
    swap = None
    if arguments.swap is not None:
        swap = 0 if arguments.swap == "0" else size_bytes(arguments.swap, "--swap", arguments.ram)
    asked = "swap" if swap is None else "percent" if percent is None else "both"
    if percent is None:
        percent = percent_for_swap(ram, swap or 0)
    needed = node_swap_bytes(ram, percent)
    swap = needed if swap is None else swap
    answer: dict[str, Any] = {
        "asked": asked,
        "ramBytes": whole,
        "hugePagesBytes": huge_pages,
        "percent": percent,
        "swapBytes": swap,
        "neededSwapBytes": needed,
        "carriedPercent": percent_for_swap(ram, swap),
        "enough": swap_suffices(ram, swap, percent),
    }
    if arguments.guest is not None:
        answer["guest"] = _guest(arguments, whole, huge_pages, swap, percent)
    return answer


def _guest(
    arguments: argparse.Namespace, ram: int, huge_pages: int, swap: int, percent: int
) -> dict[str, Any]:
    """The VM's request, its swap share, and whether both cover the guest and the overhead."""
    from overbook.cli.units import size_bytes
    from overbook.core.errors import InvalidInput
    from overbook.core.kubevirt.memory import request_bytes
    from overbook.core.kubevirt.overhead import overhead_bytes
    from overbook.core.kubevirt.vm import Cpu, Domain, GuestMemory, InstanceSpec, VirtualMachineInstance
    from overbook.core.overcommit.swap import covered_bytes, proportional_bytes

    guest = size_bytes(arguments.guest, "--guest", arguments.ram)
    if not 1 <= arguments.vcpus <= 1024:
        raise InvalidInput("--vcpus", arguments.vcpus, "a number from 1 to 1024")
    if arguments.overhead is not None:
        overhead = size_bytes(arguments.overhead, "--overhead", arguments.ram)
    else:
        domain = Domain(memory=GuestMemory(guest=guest), cpu=Cpu(cores=arguments.vcpus))
        overhead = overhead_bytes(VirtualMachineInstance(spec=InstanceSpec(domain=domain)))
    request = request_bytes(guest, overhead, percent)
    if request > ram - huge_pages:
        raise InvalidInput("--guest", arguments.guest, "a guest whose request is not more than --ram")
    # The kubelet and Overbook divide swap by requests of the whole RAM.
    covered = covered_bytes(request, ram, swap)
    return {
        "guestBytes": guest,
        "overheadBytes": overhead,
        "requestBytes": request,
        "swapShareBytes": proportional_bytes(request, ram, swap),
        "coveredBytes": covered,
        "neededBytes": guest + overhead,
        "fits": covered >= guest + overhead,
    }


def _lines(answer: dict[str, Any], unit: str) -> Iterator[str]:
    from overbook.cli.units import shown_like

    def size(name: str) -> str:
        return shown_like(answer[name], unit)

    ram, swap, percent = size("ramBytes"), size("swapBytes"), answer["percent"]
    if answer["hugePagesBytes"]:
        ram = shown_like(answer["ramBytes"] - answer["hugePagesBytes"], unit)
        yield f"RAM = {size('ramBytes')} - {size('hugePagesBytes')} of huge pages = {ram}"
    if answer["asked"] == "percent":
        yield "percent = 100 + 100 × swap / RAM"
        yield f"        = 100 + 100 × {swap} / {ram}"
        yield f"        = {percent} %" + (
            "" if answer["swapBytes"] == answer["neededSwapBytes"] else ", rounded down"
        )
    else:
        yield "swap = RAM × (percent / 100 - 1)"
        yield f"     = {ram} × ({percent} / 100 - 1)"
        yield f"     = {ram} × {(percent - 100) / 100:g}"
        yield f"     = {size('neededSwapBytes')}" + (
            ", as less than 100 % needs no swap" if percent < 100 else ""
        )
    if answer["asked"] == "both":
        missing = answer["neededSwapBytes"] - answer["swapBytes"]
        verdict = "enough" if answer["enough"] else "too small"
        if answer["enough"] and missing > 0:
            verdict = "enough, as no more is missing than a swap area's header takes"
        yield ""
        yield f"the node has {swap}, which is enough for {answer['carriedPercent']} %: {verdict}"
    if "guest" in answer:
        yield ""
        yield from _guest_lines(answer["guest"], percent)


def _guest_lines(guest: dict[str, Any], percent: int) -> Iterator[str]:
    from overbook.cli.output import columns
    from overbook.core.text import shown

    seen, overhead = shown(guest["guestBytes"]), shown(guest["overheadBytes"])
    yield f"a VM whose guest sees {seen}, with {overhead} overhead, at {percent} %"
    rows = [
        ("request", "guest × 100 / percent + overhead", shown(guest["requestBytes"])),
        ("swap share", "request / RAM × swap", shown(guest["swapShareBytes"])),
        ("covered", "request + swap share", shown(guest["coveredBytes"])),
        ("needed", "guest + overhead", shown(guest["neededBytes"])),
    ]
    yield from columns(rows, frozenset((2,)), "  ")
    spare = guest["coveredBytes"] - guest["neededBytes"]
    if spare >= 0:
        yield f"it fits even when it has touched all of its memory, with {shown(spare)} to spare"
    else:
        yield f"it does not fit once it has touched all of its memory: {shown(-spare)} are missing"
