"""``overbook node``: check this node, and set up its swap, OCI hook, tuning and reserves."""

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
"""The modules of the parts, each with `add_parser`; they are imported only for the command `node`."""

EXAMPLES = """examples:
  overbook node doctor                             check this node; each problem with its fix
  overbook node swap plan --percent 150            show what `apply` would do
  overbook node swap apply --percent 150           make a swap file of half the RAM, kept over reboots
  overbook node swap apply --kind device --device PARTLABEL=swap --encrypt
  overbook node swap status
  overbook node swap remove                        turn swap off and remove all its files
  overbook node hook install                       set limits before a container's first instruction (CRI-O)
  overbook node tune apply                         keep the system out of swap, and set the kernel's settings
  overbook node reserve                            propose a system reservation for a node of this size

In a container, --fsroot is the path of the host's file system; programs then run in the host's mount
namespace.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "node",
        help="check this node, and set up its swap and tuning",
        description="Check this node, and set up its swap, OCI hook, tuning and reserves.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(metavar="PART", required=True)
    for part in PARTS:
        import_module(part).add_parser(parts)


def add_fsroot_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--fsroot``, which every part has."""
    parser.add_argument("--fsroot", metavar="DIR", default="/", help="the host's file system (default: /)")
