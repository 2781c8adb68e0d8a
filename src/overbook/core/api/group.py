"""The API group of Overbook's custom resources, and the namespaces of an installation."""

from typing import Final

GROUP: Final = "overbook.dev"


VERSION: Final = "v1alpha1"


API_VERSION: Final = f"{GROUP}/{VERSION}"

NAMESPACE: Final = "overbook"
"""The namespace of controller and webhook in an installation without choices of its own."""


def node_namespace(namespace: str) -> str:
    """The agent's namespace in an installation whose controller is in ``namespace``."""
    return f"{namespace}-node"
