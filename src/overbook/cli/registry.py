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
    Command(
        "explain", "say what pods, VMs and workloads get, and why", "overbook.cli.commands.explain.command"
    ),
    Command("swap-size", "swap for a percentage, a percentage for swap", "overbook.cli.commands.swap_size"),
    Command(
        "status", "nodes, what is wrong with them, and what mends it", "overbook.cli.commands.status.command"
    ),
    Command("agent", "watch this node and keep it safe", "overbook.cli.commands.agent"),
    Command(
        "controller", "relieve nodes that ask for it, one guest at a time", "overbook.cli.commands.controller"
    ),
    Command("webhook", "override requests when pods are created", "overbook.cli.commands.webhook"),
    Command("node", "this node's swap and what is wrong on it", "overbook.cli.commands.node.command"),
    Command(
        "replay", "decide a recording again under another ruleset", "overbook.cli.commands.replay.command"
    ),
    Command("manifests", "print the objects of an installation", "overbook.cli.commands.manifests"),
    Command("demo", "boot a node, overcommit it, and watch it being saved", "overbook_sandbox.commands.demo"),
    Command("sandbox", "prepare or use the emulated Linux node", "overbook_sandbox.commands.sandbox"),
    Command(
        "completion", "print a completion script for bash, zsh or fish", "overbook.cli.commands.completion"
    ),
)


def find(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def load(command: Command) -> ModuleType:
    """Import a command's module."""
    import importlib

    return importlib.import_module(command.module)
