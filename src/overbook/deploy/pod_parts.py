"""The fields that the pods of all components have in common."""

from typing import Any, Final

from overbook.deploy.installation import (
    AGENT,
    PART_OF,
    Component,
    Installation,
    Manifest,
    labels,
    metadata,
    selector,
)

TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3600
_SPREAD_WEIGHT: Final = 100
UNPRIVILEGED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The security context of a container that needs nothing of its node."""
NON_ROOT: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""The security context of a pod whose user is the image's (65532), or on OpenShift one of its namespace's.

It names no user, because OpenShift's ``restricted-v2`` refuses all but those of the namespace's own range.
"""
REQUIRED_SCC: Final = "openshift.io/required-scc"
"""OpenShift's annotation of a pod: the only SecurityContextConstraints by which it may be admitted."""


def deployment(name: str, component: Component, namespace: str, spec: Manifest, **more: Any) -> Manifest:
    """A Deployment with two replicas of a pod.

    Args:
        name: the Deployment's name.
        component: the component of the pods.
        namespace: the namespace.
        spec: the pod's spec.
        more: further fields of the Deployment's spec.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, component, namespace),
        "spec": {
            "replicas": 2,
            # With two nodes and anti-affinity there is no place for a third replica during an update.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            **more,
            "selector": {"matchLabels": selector(component)},
            "template": template(component, spec),
        },
    }


def from_field(name: str, path: str) -> Manifest:
    """An environment variable with a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def probe(path: str, port: str, *, period: int, failures: int, scheme: str = "HTTP") -> Manifest:
    """An HTTP probe with a long timeout, because a node under pressure is slow."""
    get: Manifest = {"path": path, "port": port}
    if scheme != "HTTP":
        get["scheme"] = scheme
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures}


def token_volume() -> Manifest:
    """The volume with a short-lived token that is bound to the pod, the API server's CA and the namespace."""
    return {
        "name": "token",
        "projected": {
            # Users other than root must read the files, and the kubelet does not know an image's user.
            # Where the pod names a user or a group, it makes the token readable only for that one.
            "defaultMode": 0o444,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                    }
                },
            ],
        },
    }


def token_mount() -> Manifest:
    """The mount of the token, where every Kubernetes client looks for it."""
    return {"name": "token", "mountPath": TOKEN_PATH, "readOnly": True}


def apart(component: Component) -> Manifest:
    """An affinity that puts replicas on different nodes, and in different zones if possible."""
    return {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": selector(component)},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": _SPREAD_WEIGHT,
                    "podAffinityTerm": {
                        "labelSelector": {"matchLabels": selector(component)},
                        "topologyKey": "topology.kubernetes.io/zone",
                    },
                }
            ],
        }
    }


def template(component: Component, spec: Manifest) -> Manifest:
    """A pod template."""
    annotations = {"kubectl.kubernetes.io/default-container": component, REQUIRED_SCC: _scc(component)}
    return {"metadata": {"labels": labels(component), "annotations": annotations}, "spec": spec}


def _scc(component: Component) -> str:
    """The SecurityContextConstraints of a pod; every account may use ``restricted-v2``."""
    return AGENT if component == "agent" else "restricted-v2"


def disruption_budget(component: Component, about: Manifest) -> Manifest:
    """A budget that allows one of two pods to be away; a pod that is not ready does not block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": about,
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(component)},
        },
    }


def ingress(component: Component, about: Manifest, ports: list[Any]) -> Manifest:
    """A network policy that opens only the component's ports that everybody may reach.

    The kubelet reaches its probes in any case: a node is always let in to its own pods. So the port for
    probes is in no policy. The port for metrics is in one of its own, see :func:`metrics_access`.
    """
    rules = [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}] if ports else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": about,
        "spec": {
            "podSelector": {"matchLabels": selector(component)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def metrics_access(where: Installation) -> list[Manifest]:
    """Network policies that open the port for metrics of all components to those whom the installer names.

    Metrics and decisions name namespaces and pods of all tenants.
    """
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata("overbook-metrics", None, namespace),
            "spec": {
                "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": PART_OF}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": where.metrics_from, "ports": [{"protocol": "TCP", "port": "metrics"}]}],
            },
        }
        for namespace in (where.namespace, where.node_namespace)
    ]
