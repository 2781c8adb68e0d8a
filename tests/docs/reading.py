"""Tests read the documents: links, headings, and the commands shown in consoles."""

import argparse
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from overbook.cli.parser import parser_of
from overbook.cli.registry import find

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) +(.*)$", re.MULTILINE)
_SEPARATORS = {"|", "||", "&&", ";"}


class Command(NamedTuple):
    """An `overbook` command as a page shows it.

    Attributes:
        page: the page, from the root of the repository.
        words: the command's arguments, without ``overbook``.
    """

    page: str
    words: tuple[str, ...]


def flags_of(command_name: str) -> set[str]:
    """Return a command's long flags, but for ``--help``."""
    command = find(command_name)
    assert command is not None
    parser = next(
        action.choices[command_name]
        for action in parser_of((command,))._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    return flags - {"--help"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """Return a page without its code, in which brackets are no links."""
    return _CODE.sub("", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def headings(text: str) -> list[tuple[int, str]]:
    """Return level and text of each heading."""
    return [(len(marks), title.strip()) for marks, title in _HEADING.findall(_FENCE.sub("", text))]


def anchors(text: str) -> set[str]:
    """Return what a link may name after ``#``, as GitHub makes it of a heading."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in headings(text)}


def consoles(text: str) -> list[str]:
    """Return the lines after a prompt, in order."""
    lines = [line for _, block in _FENCE.findall(text) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def commands(page: Path) -> list[Command]:
    """Return the `overbook` commands in a page: after a prompt, and in code within the text."""
    text = page.read_text(encoding="utf-8")
    inline = [
        code.strip("`") for code in _CODE.findall(_FENCE.sub("", text)) if re.match(r"`overbook [a-z]", code)
    ]
    parts = [part for line in [*consoles(text), *inline] for part in _parts(line)]
    ours = {"overbook", ".venv/bin/overbook"}
    return [Command(name(page), tuple(part[1:])) for part in parts if part[0] in ours and len(part) > 1]


def _parts(line: str) -> list[list[str]]:
    """Split a shell line at pipes and the like; redirections are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in _SEPARATORS or word in {"(", ")", "<("}:
            parts.append([])
        elif word in {">", "<", ">>"}:
            next(words, None)
        else:
            parts[-1].append(word)
    return [part for part in parts if part]
