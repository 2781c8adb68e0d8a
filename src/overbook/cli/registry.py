"""The commands: name, one line, module. Only the chosen one is imported, so a cold start stays short."""

from types import ModuleType
from typing import Final, NamedTuple


class Command(NamedTuple):
    """One command.

    Attributes:
        name: as typed.
        summary: one line for ``overbook --help``.
        module: has ``add_parser(subparsers)``, which sets ``run``, a function of the parsed arguments.
    """

    name: str
    summary: str
    module: str


COMMANDS: Final = (
    Command("explain", "say what pods, VMs and workloads get, and why", "overbook.cli.explain"),
    Command("swap-size", "swap for a percentage, a percentage for swap", "overbook.cli.swap_size"),
    Command("status", "nodes, what is wrong with them, and what mends it", "overbook.cli.status"),
    Command("agent", "watch this node and keep it safe", "overbook.cli.agent"),
    Command("controller", "relieve nodes that ask for it, one guest at a time", "overbook.cli.controller"),
    Command("webhook", "override requests when pods are created", "overbook.cli.webhook"),
    Command("node", "this node's swap and what is wrong on it", "overbook.cli.node"),
    Command("replay", "decide a recording again under another ruleset", "overbook.cli.replay"),
    Command("manifests", "print the objects of an installation", "overbook.cli.manifests"),
    Command("demo", "boot a node, overcommit it, and watch it being saved", "overbook.cli.demo"),
    Command("sandbox", "prepare or use the emulated Linux node", "overbook.cli.sandbox"),
    Command("completion", "print a completion script for bash, zsh or fish", "overbook.cli.completion"),
)


def find(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def load(command: Command) -> ModuleType:
    """Import a command's module."""
    import importlib

    return importlib.import_module(command.module)
