"""The objects of an installation of the stand-in, as manifests for `kubectl apply`."""

import base64
from typing import Any, Final

from overbook.kube.api.kinds import Kind
from overbook_sandbox.kubevirt.documents import (
    CONTROLLER,
    INSTANCES,
    KUBEVIRTS,
    MIGRATIONS,
    NAMESPACE,
    KubeVirtDocument,
)

WEBHOOK: Final = "virt-launcher-eviction-interceptor.kubevirt.io"
CONFIGURATION: Final = "virt-api-validator"

_SHORT_NAMES: Final = {INSTANCES: "vmi", MIGRATIONS: "vmim", KUBEVIRTS: "kv"}


def installation() -> list[dict[str, Any]]:
    """The kinds, the namespace, and the controller's account with its rights."""
    account = {"name": CONTROLLER, "namespace": NAMESPACE}
    role_name = {"name": CONTROLLER}
    return [
        *(_definition(kind) for kind in _SHORT_NAMES),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": role_name,
            "rules": [
                _rule("", ["pods"], ["get", "list", "watch", "create", "patch", "delete"]),
                _rule("", ["pods/status"], ["patch"]),
                _rule("kubevirt.io", ["*"], ["*"]),
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": role_name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CONTROLLER},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


def settings(configuration: dict[str, Any] | None = None) -> dict[str, Any]:
    """The KubeVirt object with the settings.

    Args:
        configuration: `spec.configuration`, such as `{"evictionStrategy": "LiveMigrate"}`.
    """
    return {
        "apiVersion": KUBEVIRTS.api_version,
        "kind": KUBEVIRTS.kind,
        "metadata": {"name": "kubevirt", "namespace": NAMESPACE},
        "spec": {"configuration": configuration or {}},
    }


def webhook(url: str, authority_pem: bytes) -> dict[str, Any]:
    """The webhook configuration for evictions, as KubeVirt registers it.

    Args:
        url: The URL of the stand-in.
        authority_pem: The authority of its certificate.
    """
    bundle = base64.b64encode(authority_pem).decode()
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/eviction"], "operations": ["*"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION},
        "webhooks": [
            {
                "name": WEBHOOK,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": bundle},
                "failurePolicy": "Ignore",
                "rules": [rule],
                "sideEffects": "NoneOnDryRun",
            }
        ],
    }


def _definition(kind: Kind[KubeVirtDocument]) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: dict[str, Any] = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "required": ["spec"],
                "properties": {"spec": anything, "status": anything},
            }
        },
    }
    if kind is not INSTANCES:  # KubeVirt writes a VirtualMachineInstance as a whole, its status included
        version["subresources"] = {"status": {}}
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {**names, "shortNames": [_SHORT_NAMES[kind]]},
            "versions": [version],
        },
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}
