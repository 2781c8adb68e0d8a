"""``overbook completion``: scripts for bash, zsh and fish, generated from the commands' parsers."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from overbook.cli.parser import Parser

EXAMPLES = """examples:
  source <(overbook completion bash)
  overbook completion zsh > "${fpath[1]}/_overbook"
  overbook completion fish > ~/.config/fish/completions/overbook.fish
"""


class Option(NamedTuple):
    """One option of a command.

    Attributes:
        flags: ``-o``, ``--output``.
        help: the option's help text.
        choices: the allowed values; empty: any.
        takes_value: whether the option has a value.
    """

    flags: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    takes_value: bool


class Described(NamedTuple):
    """One command.

    Attributes:
        name: as typed.
        summary: one line.
        words: the words that are not options: verbs, shells.
        options: its options.
    """

    name: str
    summary: str
    words: tuple[str, ...]
    options: tuple[Option, ...]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description="Print a script that completes commands, options and their values.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    for line in _SCRIPTS[arguments.shell](described()):
        print(line)
    return 0


def described() -> list[Described]:
    """Every command, read from its parser; a command that is not installed has only its name."""
    from overbook.cli.parser import parser_of
    from overbook.cli.registry import COMMANDS

    commands = []
    for command in COMMANDS:
        options: tuple[Option, ...] = ()
        words: tuple[str, ...] = ()
        with contextlib.suppress(ImportError):
            parser = _chosen(parser_of((command,)), command.name)
            actions = parser._actions  # noqa: SLF001 - argparse has no public way to list its options
            options = tuple(_option(action) for action in actions if action.option_strings)
            choices = (action.choices or () for action in actions if not action.option_strings)
            words = (*parser.words, *map(str, chain.from_iterable(choices)))
        commands.append(Described(command.name, command.summary, words, options))
    return commands


def _chosen(parser: "Parser", name: str) -> "Parser":
    """The parser of one command."""
    actions = parser._actions  # noqa: SLF001 - argparse has no public way to list its subparsers
    commands = next(action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - as above
    chosen: Parser = commands.choices[name]
    return chosen


def _option(action: argparse.Action) -> Option:
    choices = tuple(str(choice) for choice in action.choices or ())
    text = action.help if action.help and action.help is not argparse.SUPPRESS else ""
    return Option(tuple(action.option_strings), text, choices, action.nargs != 0)


def _bash(commands: list[Described]) -> Iterator[str]:
    names = " ".join(command.name for command in commands)
    yield "_overbook() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield "    if (( COMP_CWORD == 1 )); then"
    yield f'        COMPREPLY=($(compgen -W "{names} --help --version" -- "$word")); return'
    yield "    fi"
    yield '    case "${COMP_WORDS[1]} $before" in'
    for command in commands:
        for option in command.options:
            if option.choices:
                patterns = "|".join(f"'{command.name} {flag}'" for flag in option.flags)
                values = " ".join(option.choices)
                yield f'        {patterns}) COMPREPLY=($(compgen -W "{values}" -- "$word")); return ;;'
    yield "    esac"
    yield '    case "${COMP_WORDS[1]}" in'
    for command in commands:
        words = " ".join([*command.words, *(flag for option in command.options for flag in option.flags)])
        yield f'        {command.name}) COMPREPLY=($(compgen -W "{words}" -- "$word")) ;;'
    yield "    esac"
    yield "}"
    yield "complete -o default -F _overbook overbook kubectl-overbook"


def _zsh(commands: list[Described]) -> Iterator[str]:
    yield "#compdef overbook kubectl-overbook"
    yield "_overbook() {"
    yield "    local -a commands=("
    for command in commands:
        yield f"        {_quoted(f'{command.name}:{command.summary}')}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then _describe command commands; return; fi"
    yield "    case $words[2] in"
    for command in commands:
        yield f"    {command.name}) _arguments \\"
        for option in command.options:
            for flag in option.flags:
                value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
                text = option.help.replace("[", "(").replace("]", ")").replace(":", " -")
                yield f"        {_quoted(f'{flag}[{text}]' + (value if option.takes_value else ''))} \\"
        words = f"({' '.join(command.words)})" if command.words else "_files"
        yield f"        {_quoted(f'*:argument:{words}')} ;;"
    yield "    esac"
    yield "}"
    yield "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then"
    yield '    _overbook "$@"'
    yield "else"
    yield "    compdef _overbook overbook kubectl-overbook"
    yield "fi"


def _fish(commands: list[Described]) -> Iterator[str]:
    for command in commands:
        yield (
            "complete -c overbook -n __fish_use_subcommand -f "
            f"-a {command.name} -d {_quoted(command.summary)}"
        )
    for command in commands:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            yield f"complete -c overbook {seen} -f -a '{' '.join(command.words)}'"
        for option in command.options:
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
            )
            value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r" * option.takes_value
            yield f"complete -c overbook {seen} {flags}{value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    """The text for a shell, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


_SCRIPTS: dict[str, Callable[[list[Described]], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
