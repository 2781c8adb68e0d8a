"""The controller's workload: two replicas, of which one leads."""

from typing import Any, Final

from overbook.deploy.installation import CONTROLLER, Installation, Manifest, metadata
from overbook.deploy.pod_parts import (
    NON_ROOT,
    UNPRIVILEGED,
    apart,
    deployment,
    disruption_budget,
    from_field,
    ingress,
    probe,
    token_mount,
    token_volume,
)

PORT: Final = 9714
PROBE_PORT: Final = 9724


def controller_workload(where: Installation) -> list[Manifest]:
    """The controller's Deployment, disruption budget and network policy."""
    about = metadata(CONTROLLER, "controller", where.namespace)
    return [
        _deployment(where),
        disruption_budget("controller", about),
        ingress("controller", about, []),
    ]


def _deployment(where: Installation) -> Manifest:
    spec: dict[str, Any] = {
        "serviceAccountName": CONTROLLER,
        "automountServiceAccountToken": False,
        "priorityClassName": "system-cluster-critical",
        # The controller must also run in a cluster whose nodes are all under pressure.
        "tolerations": [
            {"key": "overbook.dev/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
        ],
        "affinity": apart("controller"),
        "securityContext": NON_ROOT,
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "controller",
                "image": where.image_of("controller"),
                "args": ["controller", f"--listen=:{PORT}", f"--probe-listen=:{PROBE_PORT}"],
                "env": [
                    from_field("POD_NAME", "metadata.name"),
                    from_field("POD_NAMESPACE", "metadata.namespace"),
                ],
                "ports": [
                    {"name": "metrics", "containerPort": PORT},
                    {"name": "probes", "containerPort": PROBE_PORT},
                ],
                "resources": where.controller_resources,
                "readinessProbe": probe("/readyz", "probes", period=10, failures=3),
                "livenessProbe": probe("/healthz", "probes", period=20, failures=3),
                "securityContext": UNPRIVILEGED,
                "volumeMounts": [token_mount()],
            }
        ],
        "volumes": [token_volume()],
    }
    return deployment(CONTROLLER, "controller", where.namespace, spec)
