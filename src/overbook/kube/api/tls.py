"""The TLS context for an API server. The system's certificates are loaded only if no others are given."""

import contextlib
import os
import ssl

from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.credentials import Identity
from overbook.kube.api.errors import AccessError
from overbook.kube.api.private_key import load_pair


class TlsContexts:
    """The TLS context for the next connection, made again when a certificate file or the identity changes.

    Args:
        config: the API server's configuration.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._stamp: object = None

    def current(self, identity: Identity) -> ssl.SSLContext:
        """The context for the next connection.

        Raises:
            AccessError: a certificate or key cannot be read or is malformed.
        """
        config = self._config
        files = [config.ca_file, config.client_certificate_file, config.client_key_file]
        stamp = (identity.certificate, identity.key, *(_changed(path) for path in files if path))
        if self._context is None or stamp != self._stamp:
            try:
                self._context = make_context(config, identity)
            except AccessError:
                if self._context is None:
                    raise
                return self._context  # a file is being written: the old context is still valid
            self._stamp = stamp
        return self._context


def make_context(config: ClusterConfig, identity: Identity) -> ssl.SSLContext:
    """Make a new context.

    Raises:
        AccessError: a certificate or key cannot be read or is malformed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if config.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.ca_data or config.ca_file:
        try:
            context.load_verify_locations(config.ca_file or None, cadata=config.ca_data or None)
        except (OSError, ValueError) as error:
            place = config.ca_file or "certificate-authority-data"
            raise AccessError(
                f"{config.source}: {place}: not certificates in PEM ({_brief(error)})"
            ) from None
    else:
        context.load_default_certs()
    try:
        if identity.certificate:
            load_pair(context, identity.certificate, identity.key)
        elif config.client_certificate_data or config.client_key_data:
            certificate = config.client_certificate_data or _text(config.client_certificate_file)
            load_pair(context, certificate, config.client_key_data or _text(config.client_key_file))
        elif config.client_certificate_file:
            context.load_cert_chain(config.client_certificate_file, config.client_key_file, password="")
    except (OSError, ValueError) as error:
        raise AccessError(f"{config.source}: client certificate or key: {_brief(error)}") from None
    return context


def _changed(path: str) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_ino, status.st_mtime_ns, status.st_size
    return ()


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(1 << 20)


def _brief(error: Exception) -> str:
    """A text for an error, without the path of a temporary file and without file content."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
