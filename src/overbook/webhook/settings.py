"""The settings of ``overbook webhook``."""

from typing import Final

import msgspec

from overbook.certificates.settings import VALID_SECONDS, service_names
from overbook.core.api.group import NAMESPACE
from overbook.core.api.override import Mode
from overbook.webhook.policies import KUBEVIRT_CONTROLLERS

DEFAULT_PORT: Final = 8443
DEFAULT_STATUS_PORT: Final = 9715


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
        status_port: the port for metrics and health, without TLS.
        probe_port: a further port for health alone, without TLS; ``None``: none.
        certificate_folder: a folder with ``tls.crt`` and ``tls.key``.
        client_ca_file: a file with authorities; only clients with a certificate of one of them are answered.
            ``None``: all clients are.
        self_signed: make a CA and a certificate, without a cluster.
        tls_min_version: the oldest TLS version that is accepted.
        tls_cipher_suites: the accepted suites of TLS 1.2, separated by commas; empty: OpenSSL's choice.
        namespace: the namespace of the webhook's Service, for the names of a self-signed certificate.
        service: the webhook's Service, for the names of a self-signed certificate.
        certificate_seconds: how long a self-signed certificate is valid.
        certificate_poll_seconds: the time between two checks of the folder.
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
    probe_port: int | None = None
    certificate_folder: str | None = None
    client_ca_file: str | None = None
    self_signed: bool = False
    tls_min_version: str = "VersionTLS12"
    tls_cipher_suites: str = ""
    namespace: str = NAMESPACE
    service: str = "overbook-webhook"
    certificate_seconds: float = VALID_SECONDS
    certificate_poll_seconds: float = 10.0
    drain_seconds: float = 15.0
    virtual_machine_makers: frozenset[str] = KUBEVIRT_CONTROLLERS

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The names by which the API server calls the service."""
        return service_names(self.service, self.namespace)
