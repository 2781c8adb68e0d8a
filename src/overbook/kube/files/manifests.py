"""Documents from manifest files: JSON or YAML, several per file, lists flattened, all sizes bounded.

Anything that is not a manifest raises an :class:`InvalidInput` with the file, the document, the line and what
would be right.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.kube.files.json_documents import CHECKED_BYTES, check_keys, json_document, pod_list
from overbook.kube.files.sources import MAX_JSON_BYTES, MAX_YAML_BYTES, Source, read_source
from overbook.kube.files.yaml_documents import yaml_documents

MAX_LISTS_IN_LISTS: Final = 10
_JSON_START: Final = re.compile(rb'\s*[{\[]\s*["{}\[\]]')
_UTF8_MARK: Final = b"\xef\xbb\xbf"
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


def read_file(path: str) -> Iterator[Document]:
    """The objects in a file.

    Raises:
        InvalidInput: the file is too large, malformed, or holds something else than Kubernetes objects.
        OSError: the file cannot be read.
    """
    return read_documents_of(read_source(path))


def read_documents_of(source: Source) -> Iterator[Document]:
    """The objects in a source; see :func:`read_documents`."""
    return read_documents(source.data, source.name)


def read_documents(data: bytes, name: str) -> Iterator[Document]:
    """The objects in ``data``: JSON, or YAML with any number of documents; lists are flattened.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: the file, for messages.

    Raises:
        InvalidInput: too large, malformed, or something else than Kubernetes objects. Documents before the
            malformed one are returned first, because this is a generator.
    """
    if data.startswith(_UTF16_MARKS):
        raise InvalidInput(name, "UTF-16", "UTF-8 text; convert the file")
    data = data.removeprefix(_UTF8_MARK)
    if len(data) > MAX_JSON_BYTES:
        raise InvalidInput(name, f"{len(data)} bytes", "at most 64 MiB a file; split it")
    start = data[:4096].lstrip()[:1]
    if start in (b"{", b"["):
        yield from _from_json(data, name)
    else:
        yield from _from_yaml(data, name)


def _from_json(data: bytes, name: str) -> Iterator[Document]:
    if len(data) > CHECKED_BYTES:
        pods = pod_list(data)
        if pods is not None:
            for item, pod in enumerate(pods, 1):
                yield Document(name, 1, pod, item=item)
            return
    try:
        manifest = json_document(data, name)
    except InvalidInput:
        # YAML may start with a bracket, too, but then its keys have no quotes.
        if name.endswith(".json") or _JSON_START.match(data):
            raise
        yield from _from_yaml(data, name)
        return
    if len(data) <= CHECKED_BYTES:
        check_keys(data, name)
    yield from flattened(Document(name, 1, manifest, 1))


def _from_yaml(data: bytes, name: str) -> Iterator[Document]:
    if len(data) > MAX_YAML_BYTES:
        raise InvalidInput(
            name, f"{len(data)} bytes of YAML", "at most 10 MiB of YAML a file; split it, or use JSON"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}, line {line}", data[error.start : error.end], "UTF-8 text") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{name}, line {line}", "\0", "text without NUL bytes")
    for index, line, manifest in yaml_documents(text, name):
        yield from flattened(Document(name, index, manifest, line))


def flattened(document: Document, depth: int = 0) -> Iterator[Document]:
    """The objects of a ``List`` (``PodList``, …), or else the document itself.

    Raises:
        InvalidInput: the document is no Kubernetes object.
    """
    manifest = document.manifest
    kind = kind_of(document)
    if not kind.endswith("List") or "items" not in manifest:
        yield document
        return
    items = manifest["items"]
    if items is None:
        return
    if not isinstance(items, list):
        raise InvalidInput(f"{document.where}: items", items, f"a list of objects in a {kind}")
    if depth >= MAX_LISTS_IN_LISTS:
        raise InvalidInput(document.where, "lists in lists", f"at most {MAX_LISTS_IN_LISTS} of them")
    of_kind = {"kind": kind.removesuffix("List"), "apiVersion": manifest.get("apiVersion")}
    for item, inner in enumerate(items, 1):
        # The API omits kind and apiVersion in the items of a typed list.
        whole = {**of_kind, **inner} if isinstance(inner, dict) and kind != "List" else inner
        yield from flattened(
            Document(document.name, document.index, whole, document.line, item=item), depth + 1
        )


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
