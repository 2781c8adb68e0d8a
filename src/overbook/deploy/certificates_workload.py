"""The sources of the webhook's certificate: Overbook's own renewal, cert-manager, or OpenShift's service CA.

Overbook's renewal is a process of its own, because its account may rewrite the webhook's configuration: the
process that answers strangers must not have that right.
"""

from typing import Any, Final, Literal

from overbook.certificates.settings import CERTIFICATE_FILE, KEY_FILE, SECRET_NAME, service_names
from overbook.deploy.installation import CERTIFICATES, WEBHOOK, Installation, Manifest, metadata
from overbook.deploy.pod_parts import NON_ROOT, UNPRIVILEGED, deployment, ingress, token_mount, token_volume

Source = Literal["own", "cert-manager", "service-ca"]
"""Who makes the certificate and publishes its CA."""

FOREIGN_SECRET: Final = "overbook-webhook-serving-cert"  # noqa: S105 - a name
"""The Secret of cert-manager or OpenShift: not Overbook's own, which they would not take over."""

MOUNT_PATH: Final = "/etc/overbook/webhook-tls"
CERT_MANAGER: Final = "cert-manager.io/v1"
_AUTHORITY: Final = f"{WEBHOOK}-ca"
_AUTHORITY_LIFE: Final = "87600h"  # ten years


def certificates_workload(where: Installation) -> list[Manifest]:
    """The Deployment of the renewal, and a network policy that lets nobody in."""
    about = metadata(CERTIFICATES, "certificates", where.namespace)
    return [_deployment(where), ingress("certificates", about, [])]


def _deployment(where: Installation) -> Manifest:
    spec: dict[str, Any] = {
        "serviceAccountName": CERTIFICATES,
        "automountServiceAccountToken": False,
        "priorityClassName": "system-cluster-critical",
        "securityContext": NON_ROOT,
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "certificates",
                "image": where.image_of("webhook"),
                # No probe: it has no port, and ends by itself if its work ends.
                "args": ["certificates", f"--namespace={where.namespace}"],
                "resources": where.certificates_resources,
                "securityContext": UNPRIVILEGED,
                "volumeMounts": [token_mount()],
            }
        ],
        "volumes": [token_volume()],
    }
    # One replica: it works once in weeks, and without it the certificate in use stays valid for weeks.
    one = {"replicas": 1, "strategy": {"type": "Recreate"}}
    return deployment(CERTIFICATES, "certificates", where.namespace, spec, **one)


def certificate_volume(source: Source) -> Manifest:
    """The webhook's volume with its certificate; the pod waits for the Secret."""
    return {
        "name": "certificate",
        "secret": {
            "secretName": SECRET_NAME if source == "own" else FOREIGN_SECRET,
            # Only what is served: neither the staged pair nor a CA.
            "items": [{"key": name, "path": name} for name in (CERTIFICATE_FILE, KEY_FILE)],
            "defaultMode": 0o444,
        },
    }


def service_annotations(source: Source) -> dict[str, str]:
    """The annotations of the webhook's Service that ask for a certificate."""
    if source == "service-ca":
        return {"service.beta.openshift.io/serving-cert-secret-name": FOREIGN_SECRET}
    return {}


def configuration_annotations(source: Source, where: Installation) -> dict[str, str]:
    """The annotations of the webhook's configuration that ask for the CA."""
    match source:
        case "service-ca":
            return {"service.beta.openshift.io/inject-cabundle": "true"}
        case "cert-manager":
            return {"cert-manager.io/inject-ca-from": f"{where.namespace}/{WEBHOOK}"}
        case "own":
            return {}


def cert_manager(where: Installation) -> list[Manifest]:
    """A CA of the installation's own in cert-manager, and the webhook's certificate signed by it.

    The CA stays the same when the certificate is renewed, so API servers always know it in time.
    """

    def issuer(name: str, spec: Manifest) -> Manifest:
        about = metadata(name, "webhook", where.namespace)
        return {"apiVersion": CERT_MANAGER, "kind": "Issuer", "metadata": about, "spec": spec}

    def certificate(name: str, issued_by: str, spec: Manifest) -> Manifest:
        return {
            "apiVersion": CERT_MANAGER,
            "kind": "Certificate",
            "metadata": metadata(name, "webhook", where.namespace),
            "spec": {
                **spec,
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                "issuerRef": {"name": issued_by, "kind": "Issuer", "group": "cert-manager.io"},
            },
        }

    authority = {
        "isCA": True,
        "commonName": _AUTHORITY,
        "secretName": _AUTHORITY,
        "duration": _AUTHORITY_LIFE,
    }
    names = list(service_names(WEBHOOK, where.namespace)[:2])
    return [
        issuer(f"{WEBHOOK}-selfsigned", {"selfSigned": {}}),
        certificate(_AUTHORITY, f"{WEBHOOK}-selfsigned", authority),
        issuer(_AUTHORITY, {"ca": {"secretName": _AUTHORITY}}),
        certificate(WEBHOOK, _AUTHORITY, {"dnsNames": names, "secretName": FOREIGN_SECRET}),
    ]
