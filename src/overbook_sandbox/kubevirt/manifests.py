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
    SUBRESOURCES,
    KubeVirtDocument,
)

WEBHOOK: Final = "virt-launcher-eviction-interceptor.kubevirt.io"
HOTPLUG_WEBHOOK: Final = "hotplug-pod-eviction-interceptor.kubevirt.io"
CONFIGURATION: Final = "virt-api-validator"
SERVICE: Final = "virt-api"
SERVICE_NAME: Final = f"{SERVICE}.{NAMESPACE}.svc"
"""The name for which the certificate of the served API is checked."""

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


def webhooks(url: str, authority_pem: bytes) -> dict[str, Any]:
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
                "name": name,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": bundle},
                "failurePolicy": "Fail",
                "matchConditions": [
                    {"name": condition, "expression": f'object.metadata.name.startsWith("{prefix}")'}
                ],
                "rules": [rule],
                "sideEffects": "NoneOnDryRun",
                "timeoutSeconds": 10,
            }
            for name, condition, prefix in (
                (WEBHOOK, "only-vms", "virt-launcher"),
                (HOTPLUG_WEBHOOK, "only-hotplug-pods", "hp-volume-"),
            )
        ],
    }


def served_api(host: str, port: int, authority_pem: bytes) -> list[dict[str, Any]]:
    """The registration of the API that virt-api serves itself.

    Args:
        host: The stand-in's host, by name.
        port: Its port.
        authority_pem: The authority of its certificate, which is one for :data:`SERVICE_NAME`.
    """
    service = {"name": SERVICE, "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"type": "ExternalName", "externalName": host},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1.{SUBRESOURCES}"},
            "spec": {
                "group": SUBRESOURCES,
                "version": "v1",
                "groupPriorityMinimum": 1000,
                "versionPriority": 15,
                "caBundle": base64.b64encode(authority_pem).decode(),
                "service": {**service, "port": port},
            },
        },
    ]


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
