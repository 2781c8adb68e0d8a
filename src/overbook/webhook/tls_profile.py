"""Which TLS versions and cipher suites the server accepts, by the flags that Kubernetes' components have."""

import ssl
from typing import Final

from overbook.core.errors import InvalidInput

VERSIONS: Final = {"VersionTLS12": ssl.TLSVersion.TLSv1_2, "VersionTLS13": ssl.TLSVersion.TLSv1_3}
"""The values of ``--tls-min-version``. Older versions are refused: no API server needs them."""

_OF_TLS_1_3: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
_OPENSSL: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
"""OpenSSL's names of the suites of TLS 1.2 that Kubernetes knows and OpenSSL has."""
_SHORT: Final = {
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
"""Names that Kubernetes accepts for others."""


def restrict(context: ssl.SSLContext, min_version: str, cipher_suites: str) -> None:
    """Restrict a context to a profile. TLS 1.3's suites cannot be chosen, as in Kubernetes.

    Args:
        context: a server's context.
        min_version: one of :data:`VERSIONS`; empty: TLS 1.2.
        cipher_suites: Kubernetes' or OpenSSL's names, separated by commas; empty: OpenSSL's choice.

    Raises:
        InvalidInput: a version or a suite is not known.
    """
    if min_version and min_version not in VERSIONS:
        raise InvalidInput("--tls-min-version", min_version, f"one of {', '.join(VERSIONS)}")
    context.minimum_version = VERSIONS.get(min_version, ssl.TLSVersion.TLSv1_2)
    names = [name for name in (one.strip() for one in cipher_suites.split(",")) if name]
    if not names:
        return
    chosen = [_openssl_name(name) for name in names if name not in _OF_TLS_1_3]
    if not chosen:
        # Only suites of TLS 1.3 are wanted, so there is none for TLS 1.2.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return
    try:
        context.set_ciphers(":".join(chosen))
    except ssl.SSLError as error:
        raise InvalidInput("--tls-cipher-suites", cipher_suites, "suites that this OpenSSL offers") from error


def _openssl_name(name: str) -> str:
    name = _SHORT.get(name, name)
    if name in _OPENSSL:
        return _OPENSSL[name]
    if name in _OPENSSL.values():
        return name
    known = ", ".join((*_OPENSSL, *sorted(_OF_TLS_1_3)))
    raise InvalidInput("--tls-cipher-suites", name, f"one of {known}")
