"""The settings of ``overbook certificates``."""

from typing import Final

import msgspec

SECRET_NAME: Final = "overbook-webhook-tls"  # noqa: S105 - a name
CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
DEFAULT_CONFIGURATION: Final = "overbook-webhook"
VALID_SECONDS: Final = 90 * 86_400.0


class CertificateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the renewal, from flags and the pod's environment.

    Attributes:
        kubeconfig: the cluster's kubeconfig; ``None``: as ``kubectl`` finds it, or the pod's own.
        context: the kubeconfig's context; ``None``: the current one.
        namespace: the namespace of the Secret and of the Service.
        service: the webhook's Service, for the certificate's names.
        configuration: the MutatingWebhookConfiguration whose ``caBundle`` is kept current.
        certificate_seconds: how long a certificate is valid.
        poll_seconds: the time between two checks.
        settle_seconds: how long a new CA is published before its certificate is used.
        loss_seconds: the same while the Secret holds no valid certificate.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = "overbook"
    service: str = "overbook-webhook"
    configuration: str = DEFAULT_CONFIGURATION
    certificate_seconds: float = VALID_SECONDS
    poll_seconds: float = 10.0
    settle_seconds: float = 600.0
    loss_seconds: float = 30.0


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names by which a service is called; the API server calls by the first."""
    name = f"{service}.{namespace}"
    return (f"{name}.svc", f"{name}.svc.cluster.local", name, service, "localhost")
