"""Which certificate is served, and when the next one takes its place: pure, without a clock of its own.

A certificate has a CA of its own, whose key is thrown away when it has signed. The next pair is made long
before the present one ends and only *staged*: clients get to know its CA first. It is promoted when they
have known it for a while. So a client knows the CA of whatever certificate a server shows, at every moment,
also while some of the servers have not noticed yet.
"""

import re
import ssl
from typing import Any, Final, Literal

import msgspec

from overbook.webhook.make_certificate import AUTHORITY_NAME, Certificate

Step = Literal["Make", "Stage", "Promote", "Nothing"]

RENEW_AT: Final = 2 / 3
"""Of its life: then there is time left for whatever goes wrong."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


class Validity(msgspec.Struct, frozen=True):
    """From when to when, in seconds since 1970."""

    not_before: float
    not_after: float


class Held(msgspec.Struct, frozen=True):
    """What the servers share.

    Attributes:
        serving: what they show.
        staged: what they will show.
    """

    serving: Certificate | None = None
    staged: Certificate | None = None


def next_step(held: Held, bundle: str, now: float, settle_seconds: float) -> Step:
    """What is to be done next. Done in this order, at any time, by any of the servers, nobody is locked out.

    Args:
        held: what the servers share.
        bundle: the CAs that clients know, PEM.
        now: seconds since 1970.
        settle_seconds: after the beginning of a staged CA's life, before its certificate is shown.
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
    """The CAs that clients have to know: of what is served and staged, and of what may be served still.

    A CA of ours in the present bundle stays until it ends: one of the servers may know more than we do. CAs
    that are not ours are dropped.

    Args:
        held: what the servers share.
        present: the bundle as it is.
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
    """From when to when a CA of ours is valid; ``None``: it is no certificate, or not ours."""
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
