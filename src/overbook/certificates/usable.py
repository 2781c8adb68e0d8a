"""The check that a certificate can be used, by a TLS handshake in memory."""

import ssl
from typing import Final

from overbook.certificates.make_certificate import Certificate
from overbook.kube.api.private_key import load_pair

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL, which the module `ssl` does not name."""

_MOST_TURNS: Final = 8
"""TLS 1.3 needs two turns of each side, TLS 1.2 three."""


def why_unusable(pair: Certificate, server_name: str) -> str:
    """Why a client that trusts only the pair's CA would not accept its certificate; empty: it would.

    This covers a truncated text, a key or a CA of another certificate, and another server's name. The time is
    not checked here: :mod:`overbook.certificates.rotation` compares it with the CA's validity.

    Args:
        pair: the certificate.
        server_name: the name by which the client calls the server.
    """
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_pair(server, pair.certificate, pair.key)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(cadata=pair.authority)
        client.verify_flags |= _NO_CHECK_TIME
        _shake_hands(client, server, server_name)
    except ssl.SSLError as error:
        reason: str = getattr(error, "verify_message", "") or error.reason or ""
        return reason.replace("_", " ").lower() or "not PEM"
    except ValueError:
        return "not PEM"
    return ""


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, server_name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=server_name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_MOST_TURNS):
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
        if not sides:
            return
    raise ssl.SSLError("the handshake does not end")
