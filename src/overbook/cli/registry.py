"""The list of commands. Only the chosen one's module is imported, so that the start stays fast."""

from types import ModuleType
from typing import Final, NamedTuple


class Command(NamedTuple):
    """One command.

    Attributes:
        name: as typed.
        summary: the line in ``overbook --help``.
        module: the module with ``add_parser(subparsers)``, which sets ``run``, a function of the parsed
            arguments.
    """

    name: str
    summary: str
    module: str


COMMANDS: Final = (
    Command(
        "explain", "show what pods, VMs and workloads get, and why", "overbook.cli.commands.explain.command"
    ),
    Command(
        "swap-size",
        "compute swap for a percentage, or a percentage for swap",
        "overbook.cli.commands.swap_size",
    ),
    Command(
        "status",
        "show the cluster's nodes, and problems with their fixes",
        "overbook.cli.commands.status.command",
    ),
    Command("agent", "watch this node and protect it under memory pressure", "overbook.cli.commands.agent"),
    Command(
        "controller",
        "evict or live-migrate pods from nodes under pressure",
        "overbook.cli.commands.controller",
    ),
    Command("webhook", "override requests when pods are created", "overbook.cli.commands.webhook"),
    Command("certificates", "make and renew the webhook's certificate", "overbook.cli.commands.certificates"),
    Command("node", "check this node, and set up its swap and tuning", "overbook.cli.commands.node.command"),
    Command(
        "replay", "decide a recording again under another ruleset", "overbook.cli.commands.replay.command"
    ),
    Command("manifests", "print the objects of an installation", "overbook.cli.commands.manifests"),
    Command(
        "demo", "boot a node, overcommit it, and watch Overbook protect it", "overbook_sandbox.commands.demo"
    ),
    Command("sandbox", "prepare or use the emulated Linux node", "overbook_sandbox.commands.sandbox"),
    Command(
        "completion", "print a completion script for bash, zsh or fish", "overbook.cli.commands.completion"
    ),
)


def find(name: str) -> Command | None:
    """The command with this name."""
    return next((command for command in COMMANDS if command.name == name), None)


def load(command: Command) -> ModuleType:
    """Import a command's module."""
    import importlib

    return importlib.import_module(command.module)
