"""The webhook's workload: two replicas, a service, and the API server's configuration.

The webhook fails open. A pod without its override is scheduled with its own requests, as before; a pod that
cannot be created is an outage. The API server counts the missed overrides, and an alert watches that count.
"""

from typing import Any, Final

from overbook.core.kubernetes.pod import MIRROR_ANNOTATION
from overbook.core.override.admission import ENABLED_LABEL, RUN_LEVEL_LABEL, RUN_LEVELS
from overbook.deploy.certificates_workload import (
    MOUNT_PATH,
    Source,
    certificate_volume,
    configuration_annotations,
    service_annotations,
)
from overbook.deploy.installation import PART_OF, WEBHOOK, Installation, Manifest, metadata, selector
from overbook.deploy.pod_parts import (
    NON_ROOT,
    UNPRIVILEGED,
    apart,
    deployment,
    disruption_budget,
    ingress,
    probe,
    token_mount,
    token_volume,
)

PORT: Final = 8443
METRICS_PORT: Final = 9715
PROBE_PORT: Final = 9725
ADMISSION_NAME: Final = "override.overbook.dev"
_SYSTEM_NAMESPACES: Final = ("kube-node-lease", "kube-public", "kube-system")
_TIMEOUT_SECONDS: Final = 2


def webhook_workload(where: Installation, source: Source = "own") -> list[Manifest]:
    """The webhook's Deployment, service, budget, network policy, and the API server's configuration.

    Args:
        where: the installation.
        source: who makes the certificate and publishes its CA.
    """
    about = metadata(WEBHOOK, "webhook", where.namespace)
    return [
        _deployment(where, source),
        _service(where, source),
        disruption_budget("webhook", about),
        ingress("webhook", about, ["admission"]),
        _configuration(where, source),
    ]


def _deployment(where: Installation, source: Source) -> Manifest:
    spec: dict[str, Any] = {
        "serviceAccountName": WEBHOOK,
        "automountServiceAccountToken": False,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": where.webhook_node_selector,
        "tolerations": where.webhook_tolerations,
        "affinity": apart("webhook"),
        "securityContext": NON_ROOT,
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "webhook",
                "image": where.image_of("webhook"),
                "args": [
                    "webhook",
                    f"--certificates={MOUNT_PATH}",
                    f"--probe-port={PROBE_PORT}",
                    f"--tls-min-version={where.webhook_tls_min_version}",
                    f"--tls-cipher-suites={where.webhook_tls_cipher_suites}",
                ],
                "ports": [
                    {"name": "admission", "containerPort": PORT},
                    {"name": "metrics", "containerPort": METRICS_PORT},
                    {"name": "probes", "containerPort": PROBE_PORT},
                ],
                "resources": where.webhook_resources,
                "readinessProbe": probe("/readyz", "probes", period=5, failures=3),
                "livenessProbe": probe("/healthz", "probes", period=20, failures=3),
                "securityContext": UNPRIVILEGED,
                "volumeMounts": [
                    token_mount(),
                    {"name": "certificate", "mountPath": MOUNT_PATH, "readOnly": True},
                ],
            }
        ],
        "volumes": [token_volume(), certificate_volume(source)],
    }
    more = {"replicas": where.webhook_replicas, "minReadySeconds": 5}
    return deployment(WEBHOOK, "webhook", where.namespace, spec, **more)


def _annotated(about: Manifest, annotations: dict[str, str]) -> Manifest:
    return {**about, "annotations": annotations} if annotations else about


def _service(where: Installation, source: Source) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _annotated(metadata(WEBHOOK, "webhook", where.namespace), service_annotations(source)),
        "spec": {
            "selector": selector("webhook"),
            "ports": [{"name": "admission", "port": 443, "targetPort": "admission"}],
        },
    }


def _configuration(where: Installation, source: Source) -> Manifest:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": _annotated(metadata(WEBHOOK, "webhook"), configuration_annotations(source, where)),
        "webhooks": [
            {
                "name": ADMISSION_NAME,
                "admissionReviewVersions": ["v1"],
                # Without a caBundle: who makes the certificate writes it, and an update of this file does not
                # remove it.
                "clientConfig": {
                    "service": {
                        "name": WEBHOOK,
                        "namespace": where.namespace,
                        "path": "/override",
                        "port": 443,
                    }
                },
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    },
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["pods/resize"],
                        "scope": "Namespaced",
                    },
                ],
                "namespaceSelector": {
                    "matchLabels": {ENABLED_LABEL: "true"},
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "NotIn",
                            "values": [*_SYSTEM_NAMESPACES, where.namespace, where.node_namespace],
                        },
                        {"key": RUN_LEVEL_LABEL, "operator": "NotIn", "values": list(RUN_LEVELS)},
                    ],
                },
                "matchConditions": [
                    {
                        "name": "no-system-namespace",
                        "expression": "!request.namespace.startsWith('kube-')\n"
                        "&& !request.namespace.startsWith('openshift-') && request.namespace != 'openshift'",
                    },
                    {
                        "name": "no-critical-pod",
                        "expression": "!object.spec.?priorityClassName.orValue('').startsWith('system-')",
                    },
                    {
                        "name": "no-mirror-pod",
                        "expression": f"!object.metadata.?annotations[?'{MIRROR_ANNOTATION}'].hasValue()",
                    },
                    {
                        "name": "no-pod-of-overbook",
                        "expression": "object.metadata.?labels[?'app.kubernetes.io/part-of'].orValue('')"
                        f" != '{PART_OF}'\n"
                        f"|| !(request.namespace in ['{where.namespace}', '{where.node_namespace}'])",
                    },
                ],
                "failurePolicy": "Ignore",
                "matchPolicy": "Equivalent",
                "reinvocationPolicy": "IfNeeded",
                "sideEffects": "None",
                "timeoutSeconds": _TIMEOUT_SECONDS,
            }
        ],
    }
