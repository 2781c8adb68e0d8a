"""What may differ from one installation to another. The fewer, the better."""

from typing import Any, Final, Literal

import msgspec

from overbook import __version__

IMAGE: Final = "ghcr.io/overbook/overbook"


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


def _resources(cpu: str, memory: str, memory_limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory_limit}}


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's choices.

    For a chart they are texts that its template engine replaces, so what is not a text has an open type.

    Attributes:
        namespace: where the workloads are.
        image: repository; a component's image is ``IMAGE-COMPONENT:TAG``.
        tag: the images' tag.
        overcommit: spec of the ``Overcommit`` that is installed. It begins by observing, and says no more
            than it has to: what it does not say, its owner can set and no later installation takes back.
        agent_configuration: YAML: fields of the agent's configuration file that are not their defaults.
        agent_resources: requests and limits.
        agent_tolerations: every taint, since a node in trouble is the one that needs its agent.
        controller_resources: requests and limits.
        webhook_resources: requests and limits.
    """

    namespace: str = "overbook"
    image: str = IMAGE
    tag: str = __version__
    overcommit: Any = msgspec.field(default_factory=lambda: {"percentage": 100, "mode": "Observe"})
    agent_configuration: str = ""
    agent_resources: Any = msgspec.field(default_factory=lambda: _resources("20m", "40Mi", "64Mi"))
    agent_tolerations: Any = msgspec.field(default_factory=lambda: [{"operator": "Exists"}])
    controller_resources: Any = msgspec.field(default_factory=lambda: _resources("20m", "64Mi", "192Mi"))
    webhook_resources: Any = msgspec.field(default_factory=lambda: _resources("50m", "64Mi", "128Mi"))

    def image_of(self, component: Component) -> str:
        """A component's image."""
        return f"{self.image}-{component}:{self.tag}"
