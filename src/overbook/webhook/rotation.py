"""The rotation of the webhook's certificates, as pure functions without a clock.

Each certificate has its own CA, whose key is discarded after signing. The next pair is made long before the
present one expires, and is only *staged* at first: its CA is published to the clients. It is promoted after
the clients have had that CA for a while. So at every moment a client trusts the certificate of every server,
also while some servers still use the previous one.
"""

import re
import ssl
from typing import Any, Final, Literal

import msgspec

from overbook.webhook.make_certificate import AUTHORITY_NAME, Certificate

Step = Literal["Make", "Stage", "Promote", "Nothing"]

RENEW_AT: Final = 2 / 3
"""The part of a certificate's life after which the next one is staged; the rest is time for retries."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


class Validity(msgspec.Struct, frozen=True):
    """The time in which a certificate is valid, in seconds since 1970."""

    not_before: float
    not_after: float


class Held(msgspec.Struct, frozen=True):
    """The certificates that all servers share.

    Attributes:
        serving: the certificate in use.
        staged: the next certificate.
    """

    serving: Certificate | None = None
    staged: Certificate | None = None


def next_step(held: Held, bundle: str, now: float, settle_seconds: float) -> Step:
    """The next step of certificate rotation.

    Any server may take it at any time; in this order the API server always trusts the certificate in use.

    Args:
        held: the certificates that all servers share.
        bundle: the CAs that clients trust, PEM.
        now: seconds since 1970.
        settle_seconds: the time from the start of a staged CA's validity until its certificate is used.
    """
    serving = validity(held.serving.authority) if held.serving is not None else None
    if serving is None or serving.not_after <= now:
        return "Make"
    if held.staged is None:
        life = serving.not_after - serving.not_before
        return "Stage" if now >= serving.not_before + RENEW_AT * life else "Nothing"
    staged = validity(held.staged.authority)
    if staged is None or staged.not_after <= now:
        return "Stage"
    known = held.staged.authority in split(bundle)
    return "Promote" if known and now >= staged.not_before + settle_seconds else "Nothing"


def wanted_bundle(held: Held, present: str, now: float) -> str:
    """The CAs that clients must trust: those of all certificates that are, may be, or will be in use.

    A CA of Overbook in the present bundle stays until it expires, because another server may use its
    certificate. Other CAs are removed.

    Args:
        held: the certificates that all servers share.
        present: the present bundle.
        now: seconds since 1970.
    """
    authorities = [one.authority for one in (held.serving, held.staged) if one is not None]
    for one in split(present):
        until = validity(one)
        if until is not None and until.not_after > now and one not in authorities:
            authorities.append(one)
    return "".join(sorted(authorities))


def split(bundle: str) -> list[str]:
    """The certificates of a bundle, each as its own PEM text."""
    return [found if found.endswith("\n") else found + "\n" for found in _CERTIFICATE.findall(bundle)]


def validity(authority: str) -> Validity | None:
    """The validity of a CA of Overbook; ``None``: no certificate, or not one of Overbook's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError):
        return None
    known: list[Any] = context.get_ca_certs()
    for one in known:
        if ((("commonName", AUTHORITY_NAME),)) in one["subject"]:
            begin, end = (ssl.cert_time_to_seconds(one[name]) for name in ("notBefore", "notAfter"))
            return Validity(begin, end)
    return None
