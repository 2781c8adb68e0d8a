"""``overbook node``: this node's swap, what is wrong on it, and how it is tuned."""

import argparse
from importlib import import_module
from typing import Final

PARTS: Final = (
    "overbook.cli.commands.node.doctor",
    "overbook.cli.commands.node.swap",
    "overbook.cli.commands.node.hook",
    "overbook.cli.commands.node.tune",
    "overbook.cli.commands.node.reserve",
)
"""A module each, with `add_parser`; they are imported only where `node` is asked for."""

EXAMPLES = """examples:
  overbook node doctor                             what is wrong on this node, each with its mend
  overbook node swap plan --percent 150            what would be done
  overbook node swap apply --percent 150           a swap file of half the RAM, on again after every boot
  overbook node swap apply --kind device --device PARTLABEL=swap --encrypt
  overbook node swap status
  overbook node swap remove                        turn it off and leave nothing behind
  overbook node hook install                       limits before a container's first instruction (CRI-O)
  overbook node tune apply                         keep the system out of swap, and set the kernel's settings
  overbook node reserve                            what to reserve for the system on a node of this size

In a container, --fsroot names the host's file system; programs then run in the host's mount namespace.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "node",
        help="this node's swap and what is wrong on it",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(metavar="PART", required=True)
    for part in PARTS:
        import_module(part).add_parser(parts)


def add_fsroot_option(parser: argparse.ArgumentParser) -> None:
    """``--fsroot``, which every part has."""
    parser.add_argument(
        "--fsroot", metavar="DIR", default="/", help="where the host's file system is (default: /)"
    )
