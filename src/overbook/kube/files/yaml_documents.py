"""Plain values from YAML streams, without recursion and with limits.

The reader uses libyaml's events, not PyYAML's constructors. Those recurse in C (a line of brackets would end
the process), accept duplicate keys, and read times where the API reads text. Events also have the line of
every key. PyYAML is imported only when a YAML file is read.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from overbook.core.errors import InvalidInput
from overbook.kube.files.yaml_scalars import key_text, plain_value

MAX_DEPTH: Final = 200
MAX_DOCUMENTS: Final = 20_000
MAX_ALIASED_NODES: Final = 100_000
"""The most nodes that aliases may add to a document; a few malicious lines could add billions."""
_TAGS: Final[dict[str, Callable[[str], Any]]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:null": plain_value,
    "tag:yaml.org,2002:bool": plain_value,
    "tag:yaml.org,2002:int": plain_value,
    "tag:yaml.org,2002:float": plain_value,
    "!": str,
}
_SEPARATOR: Final = re.compile(r"^---(?=[ \t\r]|$)", re.MULTILINE)
_COLLECTIONS: Final = frozenset((None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"))


class _Open:
    """A sequence or mapping that is being read."""

    __slots__ = ("anchor", "content", "key", "key_line", "lines", "merged", "size", "wants_key")

    def __init__(self, content: Any, anchor: str | None) -> None:
        self.content = content
        self.anchor = anchor
        self.wants_key = isinstance(content, dict)
        self.key = ""
        self.key_line = 0
        self.lines: dict[str, int] = {}
        self.merged: list[dict[str, Any]] = []
        self.size = 1


class _Builder:
    """The builder of one document's values. ``where`` is the file and the document, for messages."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.value: Any = None
        self.aliased = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def scalar(self, event: Any) -> None:
        tag = event.tag
        if tag is None:
            value = plain_value(event.value) if event.implicit[0] else event.value
        elif tag in _TAGS:
            value = _TAGS[tag](event.value)
        else:
            raise self.refusal(event, tag, "no tag, or one of !!str, !!int, !!float, !!bool and !!null")
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1, event)

    def open(self, event: Any, content: Any) -> None:
        if event.tag not in _COLLECTIONS:
            raise self.refusal(event, event.tag, "a mapping or a sequence without a tag")
        if self._stack and self._stack[-1].wants_key:
            raise self.refusal(event, "a mapping or sequence as a key", "text as a key")
        if len(self._stack) >= MAX_DEPTH:
            raise self.refusal(event, f"more than {MAX_DEPTH} levels", "less nesting")
        self._stack.append(_Open(content, event.anchor))

    def close(self, event: Any) -> None:
        done = self._stack.pop()
        for mapping in done.merged:
            for key, value in mapping.items():
                done.content.setdefault(key, value)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.content, done.size)
        self._add(done.content, done.size, event)

    def alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self.refusal(event, f"*{event.anchor}", "an alias of an anchor that was closed before it")
        value, size = self._anchors[event.anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED_NODES:
            raise self.refusal(
                event,
                f"*{event.anchor}",
                f"aliases that repeat at most {MAX_ALIASED_NODES} nodes; these would fill the memory",
            )
        self._add(value, size, event)

    def _add(self, value: Any, size: int, event: Any) -> None:
        if not self._stack:
            self.value = value
            return
        top = self._stack[-1]
        top.size += size
        content = top.content
        if type(content) is list:
            content.append(value)
        elif top.wants_key:
            self._key(top, value, event)
        else:
            top.wants_key = True
            if top.key == "<<" and top.key not in top.lines:
                self._merge(top, value, event)
            else:
                content[top.key] = value

    def _key(self, top: _Open, value: Any, event: Any) -> None:
        key = key_text(value)
        if key is None:
            raise self.refusal(event, value, "text as a key")
        line = event.start_mark.line
        if key != "<<" or not getattr(event, "implicit", (False,))[0]:
            if key in top.lines:
                raise self.refusal(
                    event, key, f"each key once; this one is also in line {top.lines[key] + 1}"
                )
            top.lines[key] = line
        top.key, top.wants_key = key, False

    def _merge(self, top: _Open, value: Any, event: Any) -> None:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise self.refusal(event, "<<", "a mapping, or a list of mappings, to merge")
        top.merged += mappings

    def refusal(self, event: Any, value: object, expected: str) -> InvalidInput:
        return InvalidInput(f"{self.where}, line {event.start_mark.line + 1}", value, expected)


_NODES: Final[dict[str, Callable[[_Builder, Any], None]]] = {
    "ScalarEvent": _Builder.scalar,
    "MappingStartEvent": lambda builder, event: builder.open(event, {}),
    "SequenceStartEvent": lambda builder, event: builder.open(event, []),
    "MappingEndEvent": _Builder.close,
    "SequenceEndEvent": _Builder.close,
    "AliasEvent": _Builder.alias,
}
"""The handlers by the event's class name: comparing classes would import PyYAML."""


def yaml_documents(
    text: str,
    name: str,
    refuse: Callable[[InvalidInput], None] | None = None,
    lines_before: int = 0,
) -> Iterator[tuple[int, int, Any]]:
    """The documents of a YAML stream: position (from 1), line (from 1) and value. Empty ones are left out.

    Args:
        text: the stream.
        name: the file, for messages.
        refuse: gets the error of a malformed document; reading goes on after the next ``---``.
        lines_before: the number of lines of the file before the text.

    Raises:
        InvalidInput: malformed, or beyond a bound, and there is no ``refuse``.
    """
    before, position = lines_before, 0
    while True:
        # Lines are counted by the parser, so those before the text are given to it.
        stream = _Stream("\n" * before + text, name, position)
        try:
            yield from stream.documents()
        except InvalidInput as error:
            if refuse is None or stream.too_many:
                raise
            refuse(error)
        else:
            return
        match = _SEPARATOR.search(stream.text, _offset_of(stream.text, stream.line))
        if match is None:
            return
        before, position = stream.text.count("\n", 0, match.start()), stream.position
        text = stream.text[match.start() :]


def _offset_of(text: str, line: int) -> int:
    """Where the line after ``line`` (from 1) begins."""
    offset = 0
    for _ in range(line):
        offset = text.find("\n", offset) + 1
        if not offset:
            return len(text)
    return offset


class _Stream:
    """One pass over a stream, up to its end or the first malformed document."""

    def __init__(self, text: str, name: str, position: int) -> None:
        self.text = text
        self.position = position
        self.line = 1
        self.too_many = False
        self._name = name

    def documents(self) -> Iterator[tuple[int, int, Any]]:
        import yaml  # noqa: PLC0415 - takes 20 ms that JSON does not need

        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        name = self._name
        builder = _Builder(name)
        try:
            event: Any
            for event in yaml.parse(self.text, Loader=loader):
                kind = type(event).__name__
                if kind in _NODES:
                    _NODES[kind](builder, event)
                elif kind == "DocumentStartEvent":
                    self.position += 1
                    self.line = int(event.start_mark.line) + 1
                    if self.position > MAX_DOCUMENTS:
                        self.too_many = True
                        many = f"more than {MAX_DOCUMENTS} documents"
                        raise InvalidInput(name, many, "fewer documents in a file")
                    builder = _Builder(f"{name}, document {self.position}")
                elif kind == "DocumentEndEvent" and builder.value is not None:
                    yield self.position, self.line, builder.value
        except yaml.YAMLError as error:
            raise _malformed(error, self.text, f"{name}, document {max(1, self.position)}") from error


def _malformed(error: Exception, text: str, where: str) -> InvalidInput:
    """The error for a line that libyaml cannot read, with the quoted line and what would be right."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # the reader refused a character
        position = getattr(error, "position", None)
        if not isinstance(position, int):
            return InvalidInput(where, str(error), "YAML")
        line = text.encode()[:position].count(b"\n") + 1
        character = getattr(error, "character", "?")
        shown = chr(character) if isinstance(character, int) else str(character)
        return InvalidInput(f"{where}, line {line}", shown, "text without control characters")
    lines = text.split("\n", mark.line + 1)
    quoted = lines[mark.line] if mark.line < len(lines) - 1 or len(lines) == mark.line + 1 else ""
    problem = str(getattr(error, "problem", None) or "malformed")
    if quoted.lstrip(" ").startswith("\t") or "'\\t'" in problem:
        expected = "spaces, not tabs, at the start of the line"
    else:
        context = getattr(error, "context", None)
        expected = "YAML; " + (f"{context}, {problem}" if context else problem)
    return InvalidInput(f"{where}, line {mark.line + 1}", quoted, expected)
