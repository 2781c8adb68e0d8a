"""Names and labels that all objects of an installation share."""

from typing import Any, Final, Literal

Manifest = dict[str, Any]
"""One Kubernetes object, with its fields in the order in which people read them."""

Component = Literal["agent", "controller", "webhook"]

PART_OF: Final = "overbook"
LABELS: Final = {"app.kubernetes.io/name": PART_OF, "app.kubernetes.io/part-of": PART_OF}
CONTROLLER: Final = "overbook-controller"
AGENT: Final = "overbook-agent"
WEBHOOK: Final = "overbook-webhook"
STATUS: Final = "overbook-status"


def labels(component: Component) -> dict[str, str]:
    """What every object of a component carries."""
    return {**LABELS, "app.kubernetes.io/component": component}


def selector(component: Component) -> dict[str, str]:
    """What tells a component's pods from all others; never changed, since a workload's selector cannot be."""
    return {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/component": component}


def metadata(name: str, component: Component | None = None, namespace: str | None = None) -> Manifest:
    """An object's metadata."""
    found: Manifest = {"name": name}
    if namespace is not None:
        found["namespace"] = namespace
    found["labels"] = labels(component) if component else dict(LABELS)
    return found
