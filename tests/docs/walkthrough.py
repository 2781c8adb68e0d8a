"""Sections that lead from nothing to a passing test, read as what they ask for: files, lines and tests."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

_SECTION = re.compile(r"^## (.*)\n((?:^```(?:.*\n)*?```\n|(?!## ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:# |<!-- )([\w./-]+)(?: -->)?\n")
_TESTS = re.compile(r'^\$ make test TEST_ARGS="(.*)"$', re.MULTILINE)
_NEXT = "@@\n"


class Change(NamedTuple):
    """One thing that a section does to a file.

    Attributes:
        path: the file, from the root of the repository.
        old: lines that are there, once; empty: the file is new.
        new: what they become.
    """

    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Do it.

        Raises:
            ValueError: the file is not as the section says.
        """
        path = root / self.path
        if not self.old:
            if path.exists():
                raise ValueError(f"{self.path} is said to be new, and is there")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.new, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        places = [match.start() for match in re.finditer(f"^{re.escape(self.old)}", text, re.MULTILINE)]
        if len(places) != 1:
            raise ValueError(f"{self.path} has {len(places)} times, not once:\n{self.old}")
        path.write_text(text[: places[0]] + self.new + text[places[0] + len(self.old) :], encoding="utf-8")


class Walkthrough(NamedTuple):
    """One section.

    Attributes:
        title: its heading.
        changes: in their order.
        tests: what it has pytest run at last.
    """

    title: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]

    @property
    def modules(self) -> list[str]:
        """The files of Python that it makes or changes."""
        return sorted({change.path for change in self.changes if change.path.endswith(".py")})


def walkthroughs(page: str) -> list[Walkthrough]:
    """The sections of a page that add something."""
    found = _SECTION.findall(page)
    return [_walkthrough(title, text) for title, text in found if title.startswith("Adding ")]


def _walkthrough(title: str, text: str) -> Walkthrough:
    changes: list[Change] = []
    for language, block in _BLOCK.findall(text):
        if language == "console":
            continue
        head = _PATH.match(block)
        if head is None:
            raise ValueError(f"{title}: a block does not begin with the path of its file:\n{block}")
        body = block[head.end() :]
        if language == "diff":
            changes += [_change(head[1], hunk) for hunk in body.split(_NEXT)]
        else:
            changes.append(Change(head[1], "", body))
    tests = [word for line in _TESTS.findall(text) for word in shlex.split(line)]
    return Walkthrough(title, tuple(changes), tuple(tests))


def _change(path: str, hunk: str) -> Change:
    old, new = "", ""
    for line in hunk.splitlines(keepends=True):
        sign, rest = line[0], line[1:] or "\n"
        if sign not in " +-\n":
            raise ValueError(f"{path}: a line of a diff begins with {sign!r}:\n{hunk}")
        old += "" if sign == "+" else rest
        new += "" if sign == "-" else rest
    if not old:
        raise ValueError(f"{path}: nothing says where these lines go:\n{hunk}")
    return Change(path, old, new)
