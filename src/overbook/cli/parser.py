"""The argument parser, with the options of the chosen command only."""

import argparse
import sys
from typing import Any, NoReturn

from overbook.cli.registry import COMMANDS, Command, find, load

EXAMPLES = """examples:
  overbook explain pod.yaml                        a pod's resources on this node, with the reasons
  kubectl get pods -A -o json | overbook explain - --node-memory 64Gi --node-swap 32Gi
  overbook explain --topic swap                    why swap is off by default, and what breaks when it is on
  overbook swap-size --ram 16Gi --overcommit 150   how much swap a node needs
  overbook status                                  a cluster's nodes, and problems with their fixes
  overbook demo                                    see it work on an emulated node

`kubectl overbook …` is the same program. Each command has its own --help.
Exit status: 0; 1: the answer is no; 2: wrong usage or input.
"""


class Parser(argparse.ArgumentParser):
    """A parser that prints errors in one line, without the usage before them.

    Attributes:
        intermixed: whether names may stand before, between and after options.
        words: the words that completion offers for a name; other names are also accepted.
    """

    intermixed = False
    words: tuple[str, ...] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the known arguments."""
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        # For that, argparse parses twice, once without names, and calls this method both times.
        plain = Parser(
            prog=self.prog,
            usage=self.usage,
            description=self.description,
            epilog=self.epilog,
            formatter_class=self.formatter_class,
            parents=[self],
            add_help=False,  # it has its parent's
        )
        return plain.parse_known_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the message and end with status 2."""
        message = message.removeprefix("argument COMMAND: ")
        print(f"overbook: {message} (see `{self.prog} --help`)", file=sys.stderr)
        raise SystemExit(2)


def make_parser(arguments: list[str]) -> Parser:
    """The parser for these arguments: the named command's module is the only one imported."""
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    command = find(chosen) if chosen else None
    return parser_of((command,) if command else ())


def parser_of(commands: tuple[Command, ...]) -> Parser:
    """The parser with the options of some commands."""
    from overbook import __version__

    listing = "\n".join(f"  {command.name:<12} {command.summary}" for command in COMMANDS)
    parser = Parser(
        prog="overbook",
        description=f"Memory and CPU overcommit for Kubernetes nodes.\n\ncommands:\n{listing}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"overbook {__version__}")
    if not commands:
        parser.usage = "overbook [-h] [--version] COMMAND ..."
    subparsers: Any = parser.add_subparsers(prog="overbook", metavar="COMMAND", help=argparse.SUPPRESS)
    for command in commands:
        load(command).add_parser(subparsers)
    if not commands:
        subparsers.type = _unknown
    return parser


def _unknown(name: str) -> NoReturn:
    known = ", ".join(command.name for command in COMMANDS)
    raise argparse.ArgumentTypeError(f"there is no command {name!r}; the commands are {known}")
