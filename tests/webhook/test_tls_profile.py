"""The server accepts only the TLS versions and suites that its flags name."""

import socket
import ssl
from pathlib import Path

import pytest

from overbook.core.errors import InvalidInput
from overbook.webhook import tls_profile
from overbook.webhook.tls import server_context
from tests.webhook.running import Webhook, namespace, running, trusting, write_manifests

SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


def handshake(webhook: Webhook, most: ssl.TLSVersion, ciphers: str = "") -> tuple[str, str]:
    """Return the suite and the version of a connection with at most this version."""

    context = trusting()
    context.maximum_version = most
    if ciphers:
        context.set_ciphers(ciphers)
    with (
        socket.create_connection(("127.0.0.1", webhook.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        cipher = secured.cipher()
        assert cipher is not None
        return cipher[0], cipher[1]


def test_versions_before_the_least_one_are_refused(tmp_path: Path) -> None:
    with running(write_manifests(tmp_path, namespace("shop")), "--tls-min-version=VersionTLS13") as webhook:
        assert handshake(webhook, ssl.TLSVersion.TLSv1_3)[1] == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            handshake(webhook, ssl.TLSVersion.TLSv1_2)


def test_suites_that_are_not_named_are_refused(tmp_path: Path) -> None:
    with running(write_manifests(tmp_path, namespace("shop")), f"--tls-cipher-suites={SUITE}") as webhook:
        assert handshake(webhook, ssl.TLSVersion.TLSv1_2)[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        with pytest.raises(ssl.SSLError):
            handshake(webhook, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256")


@pytest.mark.parametrize(
    ("version", "suites", "named"),
    [
        ("VersionTLS11", "", "--tls-min-version"),
        ("1.2", "", "one of VersionTLS12, VersionTLS13"),
        ("", "TLS_RSA_WITH_RC4_128_SHA", "--tls-cipher-suites"),
        ("", f"{SUITE},ALL", "ALL"),
    ],
)
def test_a_profile_that_is_not_known_is_refused(version: str, suites: str, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tls_profile.restrict(server_context(), version, suites)
    assert named in str(caught.value)


def test_names_of_kubernetes_and_openssl_are_the_same() -> None:
    every = list(tls_profile._OPENSSL.items())
    for ours, theirs in every:
        one, other = server_context(), server_context()
        tls_profile.restrict(one, "", f" {ours} , TLS_AES_128_GCM_SHA256")
        tls_profile.restrict(other, "", theirs)
        assert {each["name"] for each in one.get_ciphers()} == {each["name"] for each in other.get_ciphers()}
    only_new = server_context()
    tls_profile.restrict(only_new, "VersionTLS12", "TLS_AES_128_GCM_SHA256")
    assert only_new.minimum_version is ssl.TLSVersion.TLSv1_3
