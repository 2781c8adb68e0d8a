"""The settings of ``overbook webhook``."""

from typing import Final

import msgspec

from overbook.core.api.override import Mode
from overbook.webhook.policies import KUBEVIRT_CONTROLLERS

DEFAULT_PORT: Final = 8443
DEFAULT_STATUS_PORT: Final = 9715
DEFAULT_CONFIGURATION: Final = "overbook-webhook"


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook's settings, from flags and the pod's environment.

    Attributes:
        manifests: files and directories with the policies; empty: a cluster is watched.
        override_file: overrides to use instead of those in the cluster.
        kubeconfig: the cluster's kubeconfig; ``None``: as ``kubectl`` finds it, or the pod's own.
        discovery_seconds: the time between two checks which kinds of overrides the cluster has.
        mode: ``Observe`` changes no pod.
        host: the address to listen on; empty: all addresses.
        port: the port for reviews.
        status_port: the port for health and metrics, without TLS.
        certificate_folder: a folder with ``tls.crt`` and ``tls.key``.
        self_signed: make a CA and a certificate.
        tls_min_version: the oldest TLS version that is accepted.
        tls_cipher_suites: the accepted suites of TLS 1.2, separated by commas; empty: OpenSSL's choice.
        namespace: the namespace of the Secret with the certificate.
        service: the webhook's Service, for the certificate's names.
        configuration: the MutatingWebhookConfiguration whose ``caBundle`` is kept current.
        certificate_seconds: how long a self-signed certificate is valid.
        certificate_poll_seconds: the time between two checks of the certificate.
        certificate_settle_seconds: how long a new CA is published before its certificate is used, including
            the 5 minutes by which its validity is dated back.
        drain_seconds: how long requests are answered after SIGTERM.
        virtual_machine_makers: the users that may create pods of virtual machines.
    """

    manifests: tuple[str, ...] = ()
    override_file: str | None = None
    kubeconfig: str | None = None
    discovery_seconds: float = 30.0
    mode: Mode = "Enforce"
    host: str = ""
    port: int = DEFAULT_PORT
    status_port: int = DEFAULT_STATUS_PORT
    certificate_folder: str | None = None
    self_signed: bool = False
    tls_min_version: str = "VersionTLS12"
    tls_cipher_suites: str = ""
    namespace: str = "overbook"
    service: str = "overbook-webhook"
    configuration: str = DEFAULT_CONFIGURATION
    certificate_seconds: float = 90 * 86_400.0
    certificate_poll_seconds: float = 10.0
    certificate_settle_seconds: float = 900.0
    drain_seconds: float = 15.0
    virtual_machine_makers: frozenset[str] = KUBEVIRT_CONTROLLERS

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The names by which the API server calls the service."""
        name = f"{self.service}.{self.namespace}"
        return (f"{name}.svc", f"{name}.svc.cluster.local", name, self.service, "localhost")
