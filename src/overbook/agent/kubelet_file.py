"""The kubelet's configuration files, as YAML or JSON; one that has not changed is not parsed again."""

from collections.abc import Mapping
from typing import Any

from overbook.core.errors import InvalidInput
from overbook.kube.json_documents import json_document
from overbook.kube.yaml_documents import yaml_documents


def kubelet_fields(data: bytes, name: str) -> Mapping[str, Any]:
    """The fields of one file.

    Raises:
        InvalidInput: it is malformed, or not one document.
    """
    if data.lstrip()[:1] == b"{":
        document = json_document(data, name)
    else:
        documents = [value for _, _, value in yaml_documents(data.decode("utf-8", "replace"), name)]
        document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, dict):
        raise InvalidInput(name, document, "one KubeletConfiguration")
    return document


class KeptFields:
    """Parses as :func:`kubelet_fields`, and remembers what each file said last."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, Mapping[str, Any]]] = {}

    def __call__(self, data: bytes, name: str) -> Mapping[str, Any]:
        """The fields of one file."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != data:
            self._kept[name] = kept = (data, kubelet_fields(data, name))
        return kept[1]
