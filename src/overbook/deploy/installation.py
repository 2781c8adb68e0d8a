"""The choices that may differ from one installation to another."""

from typing import Any, Final, Literal

import msgspec

from overbook import __version__
from overbook.core.api.group import NAMESPACE, node_namespace

IMAGE: Final = "ghcr.io/overbook/overbook"


Manifest = dict[str, Any]
"""One Kubernetes object, with its fields in a readable order."""

Component = Literal["agent", "controller", "webhook", "certificates"]

PART_OF: Final = "overbook"
LABELS: Final = {"app.kubernetes.io/name": PART_OF, "app.kubernetes.io/part-of": PART_OF}
CONTROLLER: Final = "overbook-controller"
AGENT: Final = "overbook-agent"
WEBHOOK: Final = "overbook-webhook"
CERTIFICATES: Final = "overbook-certificates"
STATUS: Final = "overbook-status"


def labels(component: Component) -> dict[str, str]:
    """The labels of every object of a component."""
    return {**LABELS, "app.kubernetes.io/component": component}


def selector(component: Component) -> dict[str, str]:
    """The labels that select a component's pods. Never change them: a workload's selector is immutable."""
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


_MONITORING: Final = {
    "matchExpressions": [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "In",
            "values": ["monitoring", "openshift-monitoring", "openshift-user-workload-monitoring"],
        }
    ]
}


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's choices.

    For a chart the values are texts that its template engine replaces, so fields other than texts have an
    open type.

    Attributes:
        namespace: the namespace of controller and webhook; the agent's is :attr:`node_namespace`.
        image: the repository; a component's image is ``IMAGE-COMPONENT:TAG``.
        tag: the images' tag.
        overcommit: the spec of the ``Overcommit`` that is created. It has no field, so the defaults hold
            (``Observe``), and nothing that the owner sets is changed when it is applied again.
        vm_identity_accounts: the users beside KubeVirt that may create pods of VMs, as a list in CEL.
        agent_configuration: YAML with the fields of the agent's configuration file that differ from the
            default.
        agent_resources: the agent's requests and limits.
        agent_tolerations: all taints, because a node with problems needs its agent most.
        controller_resources: the controller's requests and limits.
        webhook_resources: the webhook's requests and limits.
        webhook_replicas: the number of its pods.
        webhook_node_selector: the labels of the nodes on which they may run.
        webhook_tolerations: the taints that they tolerate.
        webhook_tls_min_version: the oldest TLS version that it accepts.
        webhook_tls_cipher_suites: the suites of TLS 1.2 that it accepts; empty: OpenSSL's choice.
        certificates_resources: the requests and limits of the renewal of the webhook's certificate.
        metrics_from: who may read metrics and decisions, as peers of a NetworkPolicy: by default the usual
            namespaces of Prometheus. Never an empty list, which means everybody there.
    """

    namespace: str = NAMESPACE
    image: str = IMAGE
    tag: str = __version__
    overcommit: Any = msgspec.field(default_factory=dict)
    vm_identity_accounts: str = "[]"
    agent_configuration: str = ""
    agent_resources: Any = msgspec.field(default_factory=lambda: _resources("20m", "40Mi", "64Mi"))
    agent_tolerations: Any = msgspec.field(default_factory=lambda: [{"operator": "Exists"}])
    controller_resources: Any = msgspec.field(default_factory=lambda: _resources("20m", "64Mi", "192Mi"))
    webhook_resources: Any = msgspec.field(default_factory=lambda: _resources("50m", "64Mi", "128Mi"))
    metrics_from: Any = msgspec.field(default_factory=lambda: [{"namespaceSelector": _MONITORING}])
    webhook_replicas: Any = 2
    webhook_node_selector: Any = msgspec.field(default_factory=dict)
    webhook_tolerations: Any = msgspec.field(default_factory=list)
    webhook_tls_min_version: str = "VersionTLS12"
    webhook_tls_cipher_suites: str = ""
    certificates_resources: Any = msgspec.field(default_factory=lambda: _resources("10m", "40Mi", "96Mi"))

    @property
    def node_namespace(self) -> str:
        """The agent's namespace: the only one whose pods may have more of their node than ordinary pods."""
        return node_namespace(self.namespace)

    def namespace_of(self, component: Component) -> str:
        """A component's namespace."""
        return self.node_namespace if component == "agent" else self.namespace

    def user_of(self, component: Component) -> str:
        """The API server's name for a component's account."""
        return f"system:serviceaccount:{self.namespace_of(component)}:{PART_OF}-{component}"

    def image_of(self, component: Component) -> str:
        """A component's image."""
        return f"{self.image}-{component}:{self.tag}"
