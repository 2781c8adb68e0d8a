"""The way of a private key to OpenSSL, which accepts only files: a file in memory, never one on a disk."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate chain with its private key into a context, from the next handshake on.

    Args:
        context: the context; after an error it is unusable.
        certificate: PEM, the chain of the certificate.
        key: PEM, not encrypted.

    Raises:
        ssl.SSLError: certificate or key are malformed, encrypted, or do not belong together.
        ValueError: a text is not ASCII.
    """
    with _in_memory(f"{certificate.strip()}\n{key.strip()}\n".encode("ascii")) as path:
        context.load_cert_chain(path, password="")  # without a password OpenSSL would ask on the terminal


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """The path of a file in memory that only this process can open."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
