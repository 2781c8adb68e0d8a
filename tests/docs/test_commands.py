import re

import pytest

from overbook.cli.parser import parser_of
from overbook.cli.registry import COMMANDS, find
from tests.docs.reading import PAGES, ROOT, Command, commands, consoles

SHOWN = sorted({command for page in PAGES for command in commands(page)})
PLACEHOLDER = re.compile(r"…|^[A-Z][A-Z0-9-]*…?$")


def shown(command: Command) -> str:
    return f"{command.page}: {' '.join(command.words)}"


@pytest.mark.parametrize("command", SHOWN, ids=shown)
def test_a_command_shown_parses(command: Command) -> None:
    entry = find(command.words[0])
    if entry is None:
        pytest.fail(f"{command.page} shows `overbook {command.words[0]}`, which is no command")
    if len(command.words) == 1:
        return  # the command's name in a sentence
    # An upper-case word stands for a value of the reader's.
    words = ["3" if PLACEHOLDER.search(word) and not word.startswith("-") else word for word in command.words]
    if "--topic" in words and words[words.index("--topic") + 1] == "3":
        return
    parser_of((entry,)).parse_args(words)


def test_commands_were_found() -> None:
    assert {"explain", "swap-size", "agent"} <= {command.words[0] for command in SHOWN}


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {
        line.split()[1]
        for page in PAGES
        for line in consoles(page.read_text("utf-8"))
        if line.startswith("make ")
    }
    assert asked
    assert asked <= targets


def test_every_command_is_shown_on_a_page() -> None:
    assert {command.name for command in COMMANDS} - {command.words[0] for command in SHOWN} == set()
