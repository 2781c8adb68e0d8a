"""What the pods of all components have in common."""

from typing import Any, Final

from overbook.deploy.installation import Component, Manifest, labels, metadata, selector

TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3600
_SPREAD_WEIGHT: Final = 100
UNPRIVILEGED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The container of whoever needs nothing of its node."""
NON_ROOT: Final = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def deployment(name: str, component: Component, namespace: str, spec: Manifest, **more: Any) -> Manifest:
    """Two replicas of a pod.

    Args:
        name: of the Deployment.
        component: of whose pods.
        namespace: where.
        spec: of the pod.
        more: fields of the Deployment's own spec.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, component, namespace),
        "spec": {
            "replicas": 2,
            # With two nodes there is no third place for a surge beside replicas that keep apart.
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
    """An HTTP probe. The timeout is long: a node that needs its agent is slow."""
    get: Manifest = {"path": path, "port": port}
    if scheme != "HTTP":
        get["scheme"] = scheme
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures}


def token_volume() -> Manifest:
    """A short-lived token that is bound to the pod, with what is needed to reach the API server."""
    return {
        "name": "token",
        "projected": {
            # Of what is public, the authority and the namespace: who is not root has to read them, too. The
            # kubelet gives the token to the user that the pod names alone, whatever stands here.
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
    """Where every Kubernetes client looks for it."""
    return {"name": "token", "mountPath": TOKEN_PATH, "readOnly": True}


def apart(component: Component) -> Manifest:
    """Replicas on different nodes, and in different zones where there are some."""
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
    annotations = {"kubectl.kubernetes.io/default-container": component}
    return {"metadata": {"labels": labels(component), "annotations": annotations}, "spec": spec}


def disruption_budget(component: Component, about: Manifest) -> Manifest:
    """One of two may be away; a pod that is not ready keeps no drain waiting."""
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
    """Only its own ports are reached; where the node asks (probes, API server) no network policy counts."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": about,
        "spec": {
            "podSelector": {"matchLabels": selector(component)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}],
        },
    }
