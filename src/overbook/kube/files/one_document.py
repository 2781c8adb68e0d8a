"""Configuration files: one document of YAML or JSON. A kind is optional, and checked if given."""

from collections.abc import Sequence
from typing import Any

from overbook.core.api.group import API_VERSION
from overbook.core.errors import InvalidInput
from overbook.kube.files.json_documents import json_document
from overbook.kube.files.sources import read_source
from overbook.kube.files.yaml_documents import yaml_documents


def read_configuration(path: str, kinds: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """A file's kind, and its fields without ``apiVersion`` and ``kind``.

    Args:
        path: the file.
        kinds: the allowed kinds. A file without a kind is accepted.

    Raises:
        InvalidInput: the file is malformed, of another kind or version, or has not one document.
        OSError: the file cannot be read.
    """
    expected = " or ".join(kinds)
    fields = document_fields(read_source(path).data, path, expected)
    kind, version = fields.pop("kind", None), fields.pop("apiVersion", None)
    if kind is not None and kind not in kinds:
        raise InvalidInput(f"{path}: kind", kind, expected)
    if version is not None and version != API_VERSION:
        raise InvalidInput(f"{path}: apiVersion", version, API_VERSION)
    return kind, fields


def document_fields(data: bytes, path: str, kind: str) -> dict[str, Any]:
    """The fields of the one document that a file holds.

    Args:
        data: the file's content.
        path: the file, for messages.
        kind: the expected kind, for messages.

    Raises:
        InvalidInput: the content is malformed, no mapping, or has not one document.
    """
    documents: list[Any]
    if data.lstrip()[:1] == b"{":
        documents = [json_document(data, path)]
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(path, data[error.start : error.end], "UTF-8 text") from error
        documents = [value for _, _, value in yaml_documents(text, path)]
    if len(documents) != 1:
        raise InvalidInput(path, f"{len(documents)} documents", f"one document of kind {kind}")
    if not isinstance(documents[0], dict):
        raise InvalidInput(path, documents[0], f"a mapping with the fields of {kind}")
    return dict(documents[0])
