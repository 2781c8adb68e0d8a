import pathlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from overbook.kube.api.certificates import Authority, KeyPair

DAY = timedelta(days=1)


def authority() -> Authority:
    return Authority.make("test", now=datetime.now(UTC), lifetime=DAY)


def context(folder: pathlib.Path, pair: KeyPair, trusted: Authority, *, server: bool) -> ssl.SSLContext:
    folder.mkdir()
    (folder / "crt").write_bytes(pair.certificate_pem)
    (folder / "key").write_bytes(pair.key_pem)
    (folder / "ca").write_bytes(trusted.pair.certificate_pem)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH)
    made.load_verify_locations(folder / "ca")
    made.load_cert_chain(folder / "crt", folder / "key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=host) as secured:
            secured.recv(1)
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("host", ["webhook.overbook.svc", "127.0.0.1"])
def test_a_server_and_a_client_of_one_authority_trust_each_other(tmp_path: pathlib.Path, host: str) -> None:
    ca, now = authority(), datetime.now(UTC)
    pair = ca.issue(
        "webhook", dns_names=["webhook.overbook.svc"], addresses=["127.0.0.1"], now=now, lifetime=DAY
    )
    server = context(tmp_path / "server", pair, ca, server=True)
    client = context(tmp_path / "client", ca.issue("ada", now=now, lifetime=DAY), ca, server=False)
    handshake(server, client, host)


def test_a_client_trusts_only_its_authoritys_server_by_name(
    tmp_path: pathlib.Path,
) -> None:
    ca, now = authority(), datetime.now(UTC)
    server = ca.issue("webhook", dns_names=["webhook.overbook.svc"], now=now, lifetime=DAY)
    client = ca.issue("ada", now=now, lifetime=DAY)
    for number, (pair, trusted, host) in enumerate(
        [
            (server, ca, "other.overbook.svc"),
            (server, authority(), "webhook.overbook.svc"),
            (client, ca, "webhook.overbook.svc"),
        ]
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(
                context(tmp_path / f"server-{number}", pair, ca, server=True),
                context(tmp_path / f"client-{number}", client, trusted, server=False),
                host,
            )


def test_user_and_groups_are_in_the_subject() -> None:
    pair = authority().issue(
        "ada", organizations=["operators", "people"], now=datetime.now(UTC), lifetime=DAY
    )
    subject = x509.load_pem_x509_certificate(pair.certificate_pem).subject.rfc4514_string()
    assert subject == "CN=ada,O=people,O=operators"


def test_a_kept_authority_signs_as_before() -> None:
    ca, now = authority(), datetime.now(UTC)
    issued = Authority(ca.pair).issue("ada", now=now, lifetime=DAY)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.pair.certificate_pem))
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
