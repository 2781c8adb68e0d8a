"""Plain values from YAML streams, without recursion and with limits.

The reader uses libyaml's events, not PyYAML's constructors. Those recurse in C (a line of brackets would end
the process), accept duplicate keys, and read times where the API reads text. Events also have the line of
every key. PyYAML is imported only when a YAML file is read.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.kube.files.yaml_input import YamlFile, YamlText
from overbook.kube.files.yaml_scalars import key_text, plain_value

MAX_DEPTH: Final = 200
MAX_DOCUMENTS: Final = 20_000
MAX_MALFORMED: Final = 100
"""The most malformed documents of a long stream after which reading goes on."""
MAX_NODES: Final = 2_000_000
"""The most nodes of an object in a long stream; the largest object that a cluster stores has a tenth."""
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
_OF_ITEMS: Final = 2
"""How many levels are open between the items of a list: the document and its ``items``."""
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
    """The builder of one document's values.

    Args:
        where: the file and the document, for messages.
        by_item: whether an item of a list is taken out when it is whole, and not kept in the document.

    Attributes:
        item: the item that was taken out last; ``None``: none.
    """

    def __init__(self, where: str, *, by_item: bool) -> None:
        self.where = where
        self.value: Any = None
        self.item: Any = None
        self._by_item = by_item
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
        content = top.content
        if self._by_item and self._is_item(value, event):
            self.item = value
            return
        top.size += size
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

    def _is_item(self, value: Any, event: Any) -> bool:
        """Whether the value is an object in the list of the document's ``items``.

        Raises:
            InvalidInput: the object that is being read has too many nodes.
        """
        if self._stack[-1].size > MAX_NODES:
            raise self.refusal(event, f"more than {MAX_NODES} values", "smaller objects, or JSON")
        return (
            len(self._stack) == _OF_ITEMS
            and self._stack[0].key == "items"
            and type(self._stack[1].content) is list
            and isinstance(value, dict)
            and bool(value.get("kind") and value.get("apiVersion"))
        )

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


class YamlObject(msgspec.Struct, frozen=True, gc=False):
    """A document of a YAML stream, or an item of a list.

    Attributes:
        document: the position of its document, from 1.
        line: the first line of its document, from 1.
        item: its position in a list, from 1; 0: it is a document of its own.
        value: the value.
    """

    document: int
    line: int
    item: int
    value: Any


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
    for one in _objects(YamlText(text, lines_before), name, refuse, by_item=False):
        yield one.document, one.line, one.value


def yaml_objects(source: YamlFile, name: str, refuse: Callable[[InvalidInput], None]) -> Iterator[YamlObject]:
    """The documents of a long YAML stream; the items of a list one at a time, as soon as each is read.

    Args:
        source: the stream.
        name: the file, for messages.
        refuse: gets the error of a malformed document; reading goes on after the next ``---``.

    Raises:
        InvalidInput: there are too many documents, or too many that are malformed.
    """
    return _objects(source, name, refuse, by_item=True)


def _objects(
    source: YamlText | YamlFile,
    name: str,
    refuse: Callable[[InvalidInput], None] | None,
    *,
    by_item: bool,
) -> Iterator[YamlObject]:
    position = malformed = 0
    following: YamlText | YamlFile | None = source
    while following is not None:
        stream = _Stream(following, name, position, by_item=by_item)
        try:
            yield from stream.objects()
        except InvalidInput as error:
            malformed += 1
            if refuse is None or stream.too_many or (by_item and malformed > MAX_MALFORMED):
                raise
            refuse(error)
        else:
            return
        position, following = stream.position, following.after(stream.line)


class _Stream:
    """One pass over a stream, up to its end or the first malformed document."""

    def __init__(self, source: YamlText | YamlFile, name: str, position: int, *, by_item: bool) -> None:
        self.position = position
        self.line = 1
        self.too_many = False
        self._source = source
        self._name = name
        self._by_item = by_item

    def objects(self) -> Iterator[YamlObject]:
        import yaml  # noqa: PLC0415 - takes 20 ms that JSON does not need

        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        builder = _Builder(self._name, by_item=self._by_item)
        items = 0
        try:
            stream: Any = self._source.stream
            event: Any
            for event in yaml.parse(stream, Loader=loader):
                kind = type(event).__name__
                if kind in _NODES:
                    _NODES[kind](builder, event)
                    if builder.item is not None:
                        items += 1
                        yield YamlObject(self.position, self.line, items, builder.item)
                        builder.item = None
                elif kind == "DocumentStartEvent":
                    builder, items = self._begun(event), 0
                elif kind == "DocumentEndEvent" and _is_left(builder.value, items):
                    yield YamlObject(self.position, self.line, 0, builder.value)
        except yaml.YAMLError as error:
            where = f"{self._name}, document {max(1, self.position)}"
            raise _malformed(error, self._source, where) from error

    def _begun(self, event: Any) -> _Builder:
        self.position += 1
        self.line = int(event.start_mark.line) + 1
        if self.position > MAX_DOCUMENTS:
            self.too_many = True
            many = f"more than {MAX_DOCUMENTS} documents"
            raise InvalidInput(self._name, many, "fewer documents in a file")
        return _Builder(f"{self._name}, document {self.position}", by_item=self._by_item)


def _is_left(value: Any, items: int) -> bool:
    """Whether a document has anything beside the items that were taken out of it."""
    return value is not None and (not items or bool(value.get("items")))


def _malformed(error: Exception, source: YamlText | YamlFile, where: str) -> InvalidInput:
    """The error for a line that libyaml cannot read, with the quoted line and what would be right."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # the reader refused a character
        position = getattr(error, "position", None)
        if not isinstance(position, int):
            return InvalidInput(where, str(error), "YAML")
        line = source.line_at(position)
        character = getattr(error, "character", "?")
        shown = chr(character) if isinstance(character, int) else str(character)
        place = f"{where}, line {line}" if line else where
        return InvalidInput(place, shown, "text without control characters")
    quoted = source.line(mark.line + 1)
    problem = str(getattr(error, "problem", None) or "malformed")
    if quoted.lstrip(" ").startswith("\t") or "'\\t'" in problem:
        expected = "spaces, not tabs, at the start of the line"
    else:
        context = getattr(error, "context", None)
        expected = "YAML; " + (f"{context}, {problem}" if context else problem)
    return InvalidInput(f"{where}, line {mark.line + 1}", quoted, expected)
