import time

import pytest

from overbook.certificates.make_certificate import Certificate
from overbook.certificates.usable import why_unusable
from tests.certificates.made import SERVER, made_at

NOW = time.time()
ONE, OTHER = made_at(NOW, 3600.0), made_at(NOW, 3600.0)
AUTHORITY, CERTIFICATE, KEY = ONE.authority, ONE.certificate, ONE.key


@pytest.mark.parametrize("later_seconds", [-1e7, 0, 1e7])
def test_a_pair_as_it_was_made_is_usable_at_any_time(later_seconds: float) -> None:
    assert why_unusable(made_at(NOW + later_seconds, 3600.0), SERVER) == ""


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Certificate(AUTHORITY, CERTIFICATE, OTHER.key), "key values mismatch"),
        (Certificate(AUTHORITY, OTHER.certificate, OTHER.key), "unable to get local issuer certificate"),
        (Certificate(OTHER.authority, CERTIFICATE, KEY), "unable to get local issuer certificate"),
        (Certificate(AUTHORITY, CERTIFICATE[:200], KEY), "not PEM"),
        (Certificate(AUTHORITY, CERTIFICATE, KEY[:100]), "bad end line"),
        (Certificate(AUTHORITY, "", KEY), "not PEM"),
        (Certificate("", CERTIFICATE, KEY), "not PEM"),
        (Certificate(AUTHORITY, "é", KEY), "not PEM"),
        (made_at(NOW, 3600.0, name="other.overbook.svc"), "hostname mismatch"),
    ],
    ids=["key", "pair", "authority", "cut", "half key", "no certificate", "no CA", "no PEM", "name"],
)
def test_a_pair_that_clients_would_refuse_is_unusable(pair: Certificate, reason: str) -> None:
    assert reason in why_unusable(pair, SERVER)
