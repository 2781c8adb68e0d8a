"""Certificates are made for any moment, in the tests' own process."""

from datetime import UTC, datetime, timedelta

from overbook.certificates.make_certificate import AUTHORITY_NAME, Certificate
from overbook.kube.api.certificates import Authority

SERVER = "overbook-webhook.overbook.svc"


def made_at(now: float, valid_seconds: float, *, name: str = SERVER) -> Certificate:
    """Return a certificate of a server that was made at this moment."""
    moment, lifetime = datetime.fromtimestamp(now, UTC), timedelta(seconds=valid_seconds)
    authority = Authority.make(AUTHORITY_NAME, now=moment, lifetime=lifetime)
    issued = authority.issue(name, now=moment, lifetime=lifetime, dns_names=[name])
    texts = (authority.pair.certificate_pem, issued.certificate_pem, issued.key_pem)
    return Certificate(*(text.decode() for text in texts))
