"""The rotation of the webhook's certificates, as pure functions without a clock.

Each certificate has its own CA, whose key is discarded after signing. A new pair is only *staged* at first:
its CA is published to the clients, the API servers. It is promoted after the clients have had that CA for a
while. So at every moment each client trusts the certificate of every server, also while some servers still
use the previous one, and also when the Secret was lost and only servers that loaded its pair still have it.
"""

import re
import ssl
from typing import Any, Final, Literal

import msgspec

from overbook.certificates.make_certificate import AUTHORITY_NAME, Certificate

Step = Literal["Stage", "Promote", "Nothing"]

RENEW_AT: Final = 2 / 3
"""The part of a certificate's life after which the next one is staged; the rest is time for retries."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


class Validity(msgspec.Struct, frozen=True):
    """The time in which a certificate is valid, in seconds since 1970."""

    not_before: float
    not_after: float


class Held(msgspec.Struct, frozen=True):
    """The certificates in the Secret. One that cannot be used counts as none.

    Attributes:
        serving: the certificate in use.
        staged: the next certificate.
    """

    serving: Certificate | None = None
    staged: Certificate | None = None


class Waits(msgspec.Struct, frozen=True):
    """How long clients must have had a new CA before its certificate is used, in seconds.

    Attributes:
        renewal: while the certificate in use is valid: there is time.
        loss: while the Secret holds no valid certificate: running servers are still trusted, but one that
            starts has nothing to serve.
    """

    renewal: float = 600.0
    loss: float = 30.0


def next_step(held: Held, bundle: str | None, now: float, known_seconds: float, waits: Waits) -> Step:
    """The next step of certificate rotation.

    A certificate is used only after its CA is published. It is used at once if no client can trust any
    server before: at the first start, and after everything has expired.

    Args:
        held: the certificates in the Secret.
        bundle: the CAs that clients trust, PEM; ``None``: there is no client.
        now: seconds since 1970.
        known_seconds: how long the staged certificate's CA has been seen in the bundle.
        waits: how long it has to be there.
    """
    serving = validity(held.serving.authority) if held.serving is not None else None
    in_use = serving if serving is not None and serving.not_after > now else None
    staged = validity(held.staged.authority) if held.staged is not None else None
    if held.staged is None or staged is None or staged.not_after <= now:
        if in_use is None:
            return "Stage"
        life = in_use.not_after - in_use.not_before
        return "Stage" if now >= in_use.not_before + RENEW_AT * life else "Nothing"
    if bundle is None:
        return "Nothing" if in_use is not None else "Promote"
    trusted = split(bundle)
    if held.staged.authority not in trusted:
        return "Nothing"
    if in_use is not None:
        wait = waits.renewal
    elif any(_is_valid(one, now) for one in trusted if one != held.staged.authority):
        wait = waits.loss
    else:
        wait = 0.0
    return "Promote" if known_seconds >= wait else "Nothing"


def wanted_bundle(held: Held, present: str, now: float) -> str:
    """The CAs that clients must trust: those of all certificates that are, may be, or will be in use.

    A CA of Overbook in the present bundle stays until it expires, because a server may still use its
    certificate. Other CAs are removed.

    Args:
        held: the certificates in the Secret.
        present: the present bundle.
        now: seconds since 1970.
    """
    authorities = [one.authority for one in (held.serving, held.staged) if one is not None]
    authorities += [one for one in split(present) if one not in authorities and _is_valid(one, now)]
    return "".join(sorted(set(authorities)))


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


def _is_valid(authority: str, now: float) -> bool:
    found = validity(authority)
    return found is not None and found.not_after > now
