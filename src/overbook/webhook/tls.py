"""The server's TLS context, whose certificate can be changed while it serves."""

import asyncio
import logging
import os
import ssl
from typing import Final

from overbook.certificates.settings import CERTIFICATE_FILE, KEY_FILE
from overbook.core.errors import InvalidInput
from overbook.kube.api.private_key import load_pair

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 10.0


def server_context() -> ssl.SSLContext:
    """A context for TLS 1.2 and later and HTTP/1.1, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def require_clients(context: ssl.SSLContext, authorities_file: str) -> None:
    """Refuse clients without a certificate of one of the authorities in a file.

    Raises:
        InvalidInput: the file cannot be read, or has no certificate.
    """
    try:
        context.load_verify_locations(cafile=authorities_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = f"a file with PEM certificates of authorities ({error})"
        raise InvalidInput("--client-ca-file", authorities_file, problem) from error
    context.verify_mode = ssl.CERT_REQUIRED


def use(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Serve another certificate from the next handshake on; open connections are not changed.

    Raises:
        ssl.SSLError: certificate or key are invalid, or do not belong together.
    """
    trial = server_context()
    load_pair(trial, certificate, key)  # a context that failed to load is unusable
    load_pair(context, certificate, key)


class CertificateFolder:
    """A folder with ``tls.crt`` and ``tls.key``, such as a mounted Secret of cert-manager or of OpenShift.

    Args:
        context: the TLS context that serves the certificate.
        folder: the folder.

    Attributes:
        loaded: whether a certificate is served.
    """

    def __init__(self, context: ssl.SSLContext, folder: str) -> None:
        self._context = context
        self._paths = (os.path.join(folder, CERTIFICATE_FILE), os.path.join(folder, KEY_FILE))
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self.loaded = asyncio.Event()

    def load(self) -> bool:
        """Read the files if they have changed.

        Returns:
            Whether they had changed.

        Raises:
            OSError: a file cannot be read.
            ssl.SSLError: the certificate or key cannot be used.
        """
        seen = tuple(_identity(path) for path in self._paths)
        if seen == self._seen:
            return False
        texts = []
        for path in self._paths:
            with open(path, encoding="ascii") as file:
                texts.append(file.read())
        use(self._context, *texts)
        self._seen = seen
        self.loaded.set()
        return True

    async def keep_current(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Check the files periodically; unusable files are logged, and the last usable pair stays.

        The files are polled, because a mounted Secret changes through a link to a link.
        """
        last_error = ""
        while True:
            try:
                if self.load():
                    log.info("serving the certificate in %s", self._paths[0])
                last_error = ""
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, bad bytes are a ValueError
                if str(error) != last_error:
                    last_error = str(error)
                    log.warning("the certificate in %s cannot be used yet: %s", self._paths[0], error)
            await asyncio.sleep(poll_seconds if self.loaded.is_set() else min(1.0, poll_seconds))


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size
