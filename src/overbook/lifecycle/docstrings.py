"""Docstrings in Google's convention, read for the descriptions that a schema shows to people."""

import inspect
import re
from typing import Final

_SECTION: Final = re.compile(r"^(\w+):$")
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*)$")
_ROLE: Final = re.compile(r":\w+:`([^`]+)`")


def summary(kind: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return _plain(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def attributes(kind: type) -> dict[str, str]:
    """What the section ``Attributes`` says, and that of the classes it builds on, each in one line."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= _own_attributes(base)
    return found


def _own_attributes(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    section = name = ""
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
        elif section != "Attributes":
            continue
        elif attribute := _ATTRIBUTE.match(line):
            name = attribute[1]
            found[name] = attribute[2]
        elif name:
            found[name] += " " + line.strip()
    return {name: _plain(text) for name, text in found.items()}


def _plain(text: str) -> str:
    return " ".join(_ROLE.sub(r"\1", text).replace("``", "`").split())
