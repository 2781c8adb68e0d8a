"""The renewal against an API server in memory, with certificates cut, mixed up, deleted and expired."""

import asyncio
import base64
import logging
import time
from typing import Any, cast

import pytest

from overbook.certificates.make_certificate import Certificate, Wanted
from overbook.certificates.objects import pair_of
from overbook.certificates.renewer import CertificateRenewer
from overbook.certificates.rotation import Waits, split
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from tests.certificates.fake_api import FakeApi
from tests.certificates.made import SERVER, made_at

LIFE = 90 * 86_400.0


class Renewal:
    """A renewer works on an API server in memory, and its clock stands still."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.now = time.time()
        self.renewer = self.start()

    def start(self) -> CertificateRenewer:
        async def make(_: Wanted) -> Certificate:
            return made_at(self.now, LIFE)

        return CertificateRenewer(
            cast("Client", self.api),
            Wanted((SERVER,), (), LIFE),
            namespace="overbook",
            configuration="overbook-webhook",
            waits=Waits(),
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
            make=make,
        )

    def work(self) -> None:
        """Take steps until there is none."""
        while asyncio.run(self.renewer.take_step()) != "Nothing":
            pass

    def used(self) -> Certificate | None:
        return pair_of(self.api.data or {}, "", SERVER)[0]

    def trusted(self) -> list[str]:
        return split((self.api.bundles or [""])[0])


@pytest.fixture
def renewal() -> Renewal:
    return Renewal()


def test_the_first_certificate_is_published_before_it_is_used(renewal: Renewal) -> None:
    renewal.work()
    assert renewal.api.writes == ["staged", "bundle", "used"]
    used = renewal.used()
    assert used is not None
    assert renewal.trusted() == [used.authority]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BAD: dict[str, dict[str, Any]] = {
    "truncated": {"tls_crt": encoded("-----BEGIN CERTIFICATE-----\nMIIB")},
    "empty": {"tls_key": ""},
    "one entry removed": {"ca_crt": None},
    "key of another": {"tls_key": encoded(made_at(time.time(), LIFE).key)},
    "CA of another": {"ca_crt": encoded(made_at(time.time(), LIFE).authority)},
    "no text": {"tls_crt": base64.b64encode(b"\xff\xfe").decode()},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_an_unusable_pair_counts_as_none_and_is_replaced(
    renewal: Renewal, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    renewal.work()
    first = renewal.used()
    assert first is not None
    renewal.api.change(**change)
    renewal.work()
    # Servers that loaded the first one before still serve it.
    assert first.authority in renewal.trusted()
    assert renewal.used() is None
    renewal.now += 30
    renewal.work()
    second = renewal.used()
    assert second is not None
    assert set(renewal.trusted()) == {first.authority, second.authority}
    warnings = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("Secret overbook/overbook-webhook-tls: unusable, and will be replaced: ")


def test_a_deleted_secret_locks_nobody_out(renewal: Renewal) -> None:
    renewal.work()
    first = renewal.used()
    assert first is not None
    renewal.api.data = None
    renewal.api.writes.clear()
    renewal.work()
    assert renewal.api.writes == ["staged", "bundle"]
    assert first.authority in renewal.trusted()
    renewal.now += 30
    renewal.work()
    assert renewal.api.writes == ["staged", "bundle", "used"]
    used = renewal.used()
    assert used is not None
    assert set(renewal.trusted()) == {first.authority, used.authority}


def test_a_damaged_staged_pair_is_replaced_without_a_gap(renewal: Renewal) -> None:
    renewal.work()
    first = renewal.used()
    renewal.now += 0.7 * LIFE
    renewal.work()
    renewal.api.change(**{"staged-tls_key": encoded("junk")})
    renewal.now += 601
    renewal.work()
    assert renewal.used() == first
    renewal.now += 601
    renewal.work()
    assert renewal.used() not in {None, first}


def test_a_bundle_that_was_wiped_is_published_again(renewal: Renewal) -> None:
    renewal.work()
    used = renewal.used()
    assert used is not None
    renewal.api.bundles = ["", "junk"]
    renewal.work()
    assert [split(one) for one in renewal.api.bundles] == [[used.authority]] * 2
    assert renewal.used() == used


def test_a_ca_that_left_the_bundle_waits_anew(renewal: Renewal) -> None:
    renewal.work()
    first = renewal.used()
    renewal.now += 0.7 * LIFE
    renewal.work()
    renewal.now += 599
    renewal.api.bundles = [""]  # somebody applied the manifest again
    renewal.work()
    renewal.now += 599
    renewal.work()
    assert renewal.used() == first
    renewal.now += 2
    renewal.work()
    assert renewal.used() != first


def test_without_a_configuration_servers_get_a_certificate_too(renewal: Renewal) -> None:
    renewal.api.bundles = None
    renewal.work()
    used = renewal.used()
    assert used is not None
    renewal.api.bundles = [""]
    renewal.work()
    assert renewal.trusted() == [used.authority]


def test_a_404_of_a_proxy_is_no_proof_that_nothing_is_there(renewal: Renewal) -> None:
    renewal.api.failures = ["404"]
    with pytest.raises(ApiError):
        renewal.work()
    assert renewal.api.writes == []
