"""What ``overbook webhook`` is told."""

from typing import Final

import msgspec

from overbook.core.api.override import Mode
from overbook.webhook.policies import KUBEVIRT_CONTROLLERS

DEFAULT_PORT: Final = 8443
DEFAULT_STATUS_PORT: Final = 9715
DEFAULT_CONFIGURATION: Final = "overbook-webhook"


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, from flags and the pod's environment.

    Attributes:
        manifests: files and directories to serve from; empty: a cluster is watched.
        override_file: overrides to use instead of those in the cluster.
        kubeconfig: of the cluster; ``None``: as ``kubectl`` finds it, or the pod's own.
        discovery_seconds: between two looks which kinds of overrides the cluster has.
        mode: ``Observe`` changes nothing.
        host: to listen on; empty: all addresses.
        port: for reviews.
        status_port: for health and metrics, without TLS.
        certificate_folder: with ``tls.crt`` and ``tls.key``.
        self_signed: make a CA and a certificate.
        namespace: where the Secret with the certificate is.
        service: of the webhook, for the certificate's names.
        configuration: the MutatingWebhookConfiguration whose ``caBundle`` is kept current.
        certificate_seconds: how long a certificate of our own is valid.
        certificate_poll_seconds: between two looks whether something is to be done.
        certificate_settle_seconds: how long a new CA is known before its certificate is shown, and 5 minutes.
        drain_seconds: how long it goes on answering after SIGTERM.
        virtual_machine_makers: users whose pods may be a virtual machine's.
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
        """By which the API server calls the service."""
        name = f"{self.service}.{self.namespace}"
        return (f"{name}.svc", f"{name}.svc.cluster.local", name, self.service, "localhost")
