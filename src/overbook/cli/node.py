"""``overbook node``: this node's swap, what is wrong on it, and how it is tuned."""

import argparse

EXAMPLES = """examples:
  overbook node doctor                             what is wrong on this node, each with its mend
  overbook node swap plan --percent 150            what would be done
  overbook node swap apply --percent 150           a swap file of half the RAM, on again after every boot
  overbook node swap apply --kind device --device LABEL=swap --encrypt
  overbook node swap status
  overbook node swap remove                        turn it off and leave nothing behind

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
    _add_swap(parts)


def _add_swap(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from overbook.cli.node_swap import COMMANDS, run

    parser = parts.add_parser(
        "swap",
        help="make this node's swap, and keep it",
        description="Swap that is there after every boot, of the size that the percentage demands.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("action", choices=list(COMMANDS), help="what to do")
    parser.add_argument("--kind", choices=["file", "device", "zram"], help="default: file")
    parser.add_argument("--swapfile", metavar="PATH", help="default: /var/lib/overbook/swap/swapfile")
    parser.add_argument("--device", metavar="DEVICE", help="/dev/…, LABEL=… or PARTLABEL=…")
    parser.add_argument("--percent", type=int, metavar="N", help="size by memoryOvercommitPercentage")
    parser.add_argument("--size", metavar="SIZE", help="the size itself, such as 8Gi")
    parser.add_argument("--priority", type=int, metavar="N", help="default: 10")
    parser.add_argument("--discard", choices=["once", "pages", "no"], help="default: once")
    parser.add_argument("--encrypt", action="store_true", help="with a key that nobody keeps")
    parser.add_argument(
        "--no-units", action="store_true", help="do not install units: swap until the next boot"
    )
    parser.add_argument("--dry-run", action="store_true", help="as plan")
    parser.add_argument(
        "--fsroot", metavar="DIR", default="/", help="where the host's file system is (default: /)"
    )
    parser.set_defaults(run=run)
