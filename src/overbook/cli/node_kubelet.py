"""The kubelet of this node, its configuration read as YAML or JSON."""

from collections.abc import Mapping
from typing import Any

from overbook.runtime.kubelet import Kubelet, find_kubelet


def running_kubelet(root: str) -> Kubelet | None:
    """It, or ``None``.

    Raises:
        InvalidInput: its configuration is malformed.
        OSError: its configuration cannot be read.
    """
    return find_kubelet(_fields, root)


def _fields(data: bytes, name: str) -> Mapping[str, Any]:
    from overbook.core.errors import InvalidInput
    from overbook.kube.json_documents import json_document
    from overbook.kube.yaml_documents import yaml_documents

    if data.lstrip()[:1] == b"{":
        document = json_document(data, name)
    else:
        documents = [value for _, _, value in yaml_documents(data.decode("utf-8", "replace"), name)]
        document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, dict):
        raise InvalidInput(name, document, "one KubeletConfiguration")
    return document
