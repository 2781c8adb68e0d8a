"""Documents from manifest files: JSON or YAML, several per file, lists flattened.

Anything that is not a manifest raises an :class:`InvalidInput` with the file, the document, the line and what
would be right.
"""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.kube.files.json_documents import (
    CHECKED_BYTES,
    check_keys,
    end_of_json,
    json_document,
    next_json,
    pod_list,
    starts_json,
)
from overbook.kube.files.sources import MAX_YAML_BYTES, Source, read_sources

MAX_LISTS_IN_LISTS: Final = 10
_JSON_START: Final = re.compile(rb'\s*[{\[]\s*["{}\[\]]')
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_MOST_YAML: Final = "at most 10 MiB of YAML a file; split it, or use JSON"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class Document(msgspec.Struct, frozen=True, gc=False):
    """One object of a manifest file.

    Attributes:
        name: the file.
        index: the document's position in the file, from 1.
        manifest: the object: a mapping with ``apiVersion`` and ``kind``, or a :class:`Pod` if a list of pods
            was decoded directly into structs.
        line: the first line of its document, from 1; 0: not known.
        item: its position in a ``List``, from 1; 0: not in a list.
    """

    name: str
    index: int
    manifest: Any
    line: int = 0
    item: int = 0

    @property
    def where(self) -> str:
        """The object's place, for the beginning of a message."""
        place = f"{self.name}, document {self.index}"
        if self.line > 1:
            place += f" (line {self.line})"
        return f"{place}, item {self.item}" if self.item else place


Refuse = Callable[[InvalidInput], None]
"""What is done with the error of an object that is not valid: raise it, or note it and go on."""


def refused(error: InvalidInput) -> None:
    """Raise the error: the first object that is not valid ends the reading."""
    raise error


def read_file(path: str) -> Iterator[Document]:
    """The objects in a file.

    Raises:
        InvalidInput: the file is malformed, or holds something else than Kubernetes objects.
        OSError: the file cannot be read.
    """
    for source in read_sources([path]):
        yield from read_documents_of(source)


def read_documents_of(
    source: Source, refuse: Refuse = refused, *, long_yaml: bool = False
) -> Iterator[Document]:
    """The objects in a source; see :func:`read_documents`."""
    return read_documents(source.data, source.name, refuse, source.rest, long_yaml=long_yaml)


def read_documents(
    data: bytes,
    name: str,
    refuse: Refuse = refused,
    rest: BinaryIO | None = None,
    *,
    long_yaml: bool = False,
) -> Iterator[Document]:
    """The objects in ``data``: JSON or YAML, with any number of documents; lists are flattened.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: the file, for messages.
        refuse: gets the error of a document that is not valid, or of an item of a list; what follows is read
            if its beginning can be found.
        rest: where the content goes on; it is then read object by object.
        long_yaml: whether YAML may have any length, too.

    Raises:
        InvalidInput: raised by ``refuse``. Documents before the malformed one are returned first, because
            this is a generator.
    """
    try:
        yield from _documents(data, name, refuse, rest, long_yaml=long_yaml)
    except InvalidInput as error:
        refuse(error)


def _documents(
    data: bytes, name: str, refuse: Refuse, rest: BinaryIO | None, *, long_yaml: bool
) -> Iterator[Document]:
    if data.startswith(_UTF16_MARKS):
        raise InvalidInput(name, "UTF-16", "UTF-8 text; convert the file")
    data = data.removeprefix(_UTF8_MARK)
    if is_json(data):
        yield from _from_json(data, name, refuse, rest)
    elif long_yaml and (rest is not None or len(data) > MAX_YAML_BYTES):
        yield from _from_long_yaml(data, name, refuse, rest or io.BytesIO())
    elif rest is not None:
        raise InvalidInput(name, f"more than {len(data)} bytes of YAML", _MOST_YAML)
    else:
        yield from _from_yaml(data, name, refuse)


def is_json(data: bytes) -> bool:
    """Whether the beginning of a source is that of JSON."""
    return data[:4096].removeprefix(_UTF8_MARK).lstrip()[:1] in (b"{", b"[")


def _from_json(data: bytes, name: str, refuse: Refuse, rest: BinaryIO | None) -> Iterator[Document]:
    if rest is not None:
        yield from _streamed(data, name, refuse, rest)
        return
    if len(data) > CHECKED_BYTES:
        pods = pod_list(data)
        if pods is not None:
            for item, pod in enumerate(pods, 1):
                yield Document(name, 1, pod, item=item)
            return
    try:
        manifest = json_document(data, name)
    except InvalidInput as error:
        # YAML may start with a bracket, too, but then its keys have no quotes.
        if not name.endswith(".json") and not _JSON_START.match(data):
            yield from _from_yaml(data, name, refuse)
        elif "trailing characters" in error.expected or next_json(data, 1) < len(data):
            yield from _documents_of_json(data, name, refuse)
        else:
            raise
        return
    if len(data) <= CHECKED_BYTES:
        check_keys(data, name)
    yield from flattened(Document(name, 1, manifest, 1), refuse)


def _streamed(data: bytes, name: str, refuse: Refuse, rest: BinaryIO) -> Iterator[Document]:
    from overbook.kube.files.json_stream import JsonStream  # noqa: PLC0415 - only for long input

    for one in JsonStream(rest, name, data, refuse).objects():
        document = Document(name, one.document, one.value, one.line, one.item)
        yield from flattened(document, refuse, 1 if one.item else 0)


def _documents_of_json(data: bytes, name: str, refuse: Refuse) -> Iterator[Document]:
    """JSON documents back to back, with or without ``---`` between them; YAML may follow after ``---``."""
    index = lines = 0
    while data.strip():
        if not starts_json(data):
            yield from _from_yaml(data, name, refuse, lines, index)
            return
        part = _Part(data[: end_of_json(data)], name, lines, index)
        part.skipped = len(part.data)
        yield from part.objects(refuse)
        if part.malformed_line:
            part.skipped = next_json(data, part.malformed_line - lines)
        index += part.documents
        lines += data.count(b"\n", 0, part.skipped)
        data = data[part.skipped :]


class _Part:
    """JSON documents back to back, as far as the next ``---``.

    Attributes:
        data: their text.
        documents: how many of them were read.
        malformed_line: the first line of a document at which reading ended; 0: all were read.
        skipped: how many bytes of the input are done.
    """

    def __init__(self, data: bytes, name: str, lines_before: int, documents_before: int) -> None:
        self.data = data
        self.documents = 0
        self.malformed_line = 0
        self.skipped = 0
        self._name = name
        self._lines = lines_before
        self._before = documents_before

    def objects(self, refuse: Refuse) -> Iterator[Document]:
        """The objects; a document that has a key twice is left out alone."""
        from overbook.kube.files.json_stream import document_ends  # noqa: PLC0415 - only for several documents

        try:
            self._check(self.data, 0)
        except InvalidInput:
            ends = document_ends(self.data)
        else:
            ends = iter((len(self.data),))
        start = 0
        for end in ends:
            text, lines = self.data[start:end], self.data.count(b"\n", 0, start)
            try:
                self._check(text, lines)
                yield from self._read(text, lines, refuse)
            except InvalidInput as error:
                refuse(error)
                self.documents += 1
                if self.malformed_line:
                    return
            start = end

    def _check(self, text: bytes, lines: int) -> None:
        if len(text) <= CHECKED_BYTES:
            check_keys(text, self._name, self._lines + lines)

    def _read(self, text: bytes, lines: int, refuse: Refuse) -> Iterator[Document]:
        from overbook.kube.files.json_stream import JsonStream  # noqa: PLC0415 - as above

        stream = JsonStream(io.BytesIO(), self._name, text, refuse, self._lines + lines)
        before = self._before + self.documents
        try:
            for one in stream.objects():
                document = Document(self._name, before + one.document, one.value, one.line, one.item)
                yield from flattened(document, refuse, 1 if one.item else 0)
        except InvalidInput:
            self.malformed_line = stream.line
            self.documents += max(0, stream.documents - 1)
            raise
        self.documents += stream.documents


def _from_yaml(
    data: bytes, name: str, refuse: Refuse, lines_before: int = 0, documents_before: int = 0
) -> Iterator[Document]:
    from overbook.kube.files.yaml_documents import yaml_documents  # noqa: PLC0415 - JSON starts sooner without

    if len(data) > MAX_YAML_BYTES:
        raise InvalidInput(name, f"{len(data)} bytes of YAML", _MOST_YAML)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = lines_before + data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}, line {line}", data[error.start : error.end], "UTF-8 text") from error
    if "\0" in text:
        line = lines_before + text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{name}, line {line}", "\0", "text without NUL bytes")
    text = text.replace("\n\ufeff", "\n")  # where two files with a byte order mark were joined
    for index, line, manifest in yaml_documents(text, name, refuse, lines_before):
        yield from flattened(Document(name, documents_before + index, manifest, line), refuse)


def _from_long_yaml(data: bytes, name: str, refuse: Refuse, rest: BinaryIO) -> Iterator[Document]:
    from overbook.kube.files.yaml_documents import yaml_objects  # noqa: PLC0415 - as above
    from overbook.kube.files.yaml_input import YamlFile  # noqa: PLC0415 - as above

    for one in yaml_objects(YamlFile(data, rest), name, refuse):
        document = Document(name, one.document, one.value, one.line, one.item)
        yield from flattened(document, refuse, 1 if one.item else 0)


def flattened(document: Document, refuse: Refuse = refused, depth: int = 0) -> Iterator[Document]:
    """The objects of a ``List`` (``PodList``, …), or else the document itself.

    Args:
        document: the document.
        refuse: gets the error of a document or item that is no Kubernetes object.
        depth: in how many lists the document is.
    """
    try:
        kind = kind_of(document)
        items = _items(document, kind, depth)
    except InvalidInput as error:
        refuse(error)
        return
    if items is None:
        yield document
        return
    of_kind = {"kind": kind.removesuffix("List"), "apiVersion": document.manifest.get("apiVersion")}
    for item, inner in enumerate(items, 1):
        # The API omits kind and apiVersion in the items of a typed list.
        whole = {**of_kind, **inner} if isinstance(inner, dict) and kind != "List" else inner
        inside = Document(document.name, document.index, whole, document.line, item=item)
        yield from flattened(inside, refuse, depth + 1)


def _items(document: Document, kind: str, depth: int) -> list[Any] | None:
    """The items of a list; ``None``: the document is no list.

    An object whose kind only ends in ``List`` has a name, as every object has, or items that are no objects.
    """
    manifest = document.manifest
    if isinstance(manifest, Pod) or not kind.endswith("List") or "items" not in manifest:
        return None
    items = manifest["items"]
    if kind != "List":
        metadata = manifest.get("metadata")
        named = isinstance(metadata, dict) and (metadata.get("name") or metadata.get("generateName"))
        of_objects = isinstance(items, list) and all(isinstance(one, dict) for one in items)
        if named or not (of_objects or items is None):
            return None
    if items is None:
        return []
    if not isinstance(items, list):
        raise InvalidInput(f"{document.where}: items", items, f"a list of objects in a {kind}")
    if depth >= MAX_LISTS_IN_LISTS:
        raise InvalidInput(document.where, "lists in lists", f"at most {MAX_LISTS_IN_LISTS} of them")
    return items


def kind_of(document: Document) -> str:
    """The object's ``kind``.

    Raises:
        InvalidInput: the object is no mapping, or has no ``kind`` or ``apiVersion``.
    """
    manifest = document.manifest
    if isinstance(manifest, Pod):
        return "Pod"
    if not isinstance(manifest, dict):
        raise InvalidInput(
            document.where, manifest, "a Kubernetes object: a mapping with apiVersion and kind"
        )
    for field in ("kind", "apiVersion"):
        value = manifest.get(field)
        if not isinstance(value, str) or not value:
            right = "such as Pod" if field == "kind" else "such as v1"
            raise InvalidInput(f"{document.where}: {field}", value, f"text, {right}")
    kind: str = manifest["kind"]
    return kind
