"""``overbook node doctor``: find problems of this node, worst first, each with its fix."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from overbook.node.doctor.diagnosis import Diagnosis

EXAMPLES: Final = """examples:
  overbook node doctor                             check this node; each problem with its fix
  overbook node doctor --percent 150               check also that its swap is enough for 150 %
  overbook node doctor --swap-writer hook          check also that the OCI hook can write the limits here
  overbook node doctor --output json | jq '.findings[].word'

Exit status: 0; 1: something is broken, so overcommit does not work here.
Run it as root. A check that cannot be made is reported, and never counts as healthy.
"""
_PAINT: Final = {"Broken": "31", "Risky": "33", "Note": ""}


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.node.command import add_fsroot_option
    from overbook.cli.options import add_allowance_option, add_eligibility_option, add_swap_writer_option

    parser = parts.add_parser(
        "doctor",
        help="find problems of this node, each with its fix",
        description="Check the kernel, the kubelet, swap and the writer of swap limits. Nothing is changed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--percent",
        type=int,
        metavar="N",
        help="memoryOvercommitPercentage (default: that of `node swap`, else 100)",
    )
    add_eligibility_option(parser)
    add_allowance_option(parser)
    add_swap_writer_option(parser)
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="format (default: text)"
    )
    add_fsroot_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the node and print the result. Returns 1 if something is broken.

    Raises:
        InvalidInput: the percentage is invalid.
    """
    from overbook.cli.output import write_structured
    from overbook.core.overcommit.allowance import SwapPolicy
    from overbook.node.doctor.diagnosis import diagnose
    from overbook.node.doctor.look import host_facts
    from overbook.node.swap import read_settings

    root = arguments.fsroot
    percent = arguments.percent
    if percent is None:
        settings = read_settings(root)
        percent = settings.percent if settings else 100
    policy = SwapPolicy(eligibility=arguments.eligibility, allowance=arguments.allowance, percent=percent)
    policy.check()
    diagnosis = diagnose(host_facts(root, policy, arguments.swap_writer))
    if arguments.output == "json":
        write_structured(_structured(diagnosis), "json")
    else:
        print("\n".join(render(diagnosis)))
    return 1 if diagnosis.broken else 0


def render(diagnosis: "Diagnosis") -> Iterator[str]:
    """The report as text: the problems, worst first, then the checks without a problem."""
    from overbook.cli.commands.explain.pod_text import wrapped
    from overbook.cli.output import BOLD, painted
    from overbook.node.doctor.facts import shown_subject

    yield painted(_headline(diagnosis), BOLD)
    for finding in diagnosis.findings:
        word, code = finding.severity.lower(), _PAINT[finding.severity]
        first, *rest = wrapped(f"{word:<6}  {finding.sentence}", "  ", " " * 10)
        yield first.replace(word, painted(word, code), 1) if code else first
        yield from rest
        yield f"          $ {finding.fix}" if finding.fix_is_command else f"          {finding.fix}"
    if diagnosis.fine:
        yield ""
        yield painted("what is right", BOLD)
        for fine in diagnosis.fine:
            yield from wrapped(fine.sentence, f"  {shown_subject(fine.subject):<12}  ", " " * 16)


def _headline(diagnosis: "Diagnosis") -> str:
    if not diagnosis.findings:
        return "nothing is wrong"
    if any(finding.severity != "Note" for finding in diagnosis.findings):
        return "what is wrong, worst first"
    if any(finding.word == "NotLooked" for finding in diagnosis.findings):
        return "nothing wrong was found, but not everything could be checked"
    return "nothing is wrong; worth knowing"


def _structured(diagnosis: "Diagnosis") -> dict[str, Any]:
    return {
        "broken": diagnosis.broken,
        "findings": diagnosis.findings,
        "fine": {fine.subject: fine.sentence for fine in diagnosis.fine},
    }
