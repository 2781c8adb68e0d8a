"""The kubelet of this node, its configuration read as YAML or JSON."""

from overbook.runtime.kubelet import Kubelet, find_kubelet


def running_kubelet(root: str) -> Kubelet | None:
    """It, or ``None``.

    Raises:
        InvalidInput: its configuration is malformed.
        OSError: its configuration cannot be read.
    """
    from overbook.agent.configuration_file import document_fields

    return find_kubelet(lambda data, path: document_fields(data, path, "KubeletConfiguration"), root)
