import asyncio
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from overbook.kube.api.certificates import Authority, KeyPair
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig, ExecPlugin
from overbook.kube.api.credentials import Identity
from overbook.kube.api.errors import AccessError, ApiUnavailable
from overbook.kube.api.kinds import NODES
from overbook.kube.api.tls import TlsContexts
from tests.kube.api.scripted_server import Served, answer, serving

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Town:
    """The test's certificates: an authority's, a server's, and two clients'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.make("town", now=NOW, lifetime=DAY)
        self.ca = self.authority.pair.certificate_pem.decode()
        server = self.authority.issue(
            "s", dns_names=["api.town"], addresses=["127.0.0.1"], now=NOW, lifetime=DAY
        )
        self.ada = self.client("ada")
        self.bob = self.client("bob")
        certificate, key = self.write("server", server)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.tls.load_verify_locations(cadata=self.ca)
        self.tls.verify_mode = ssl.CERT_OPTIONAL

    def client(self, name: str) -> KeyPair:
        return self.authority.issue(name, now=NOW, lifetime=DAY)

    def write(self, name: str, pair: KeyPair) -> tuple[str, str]:
        paths = (str(self.folder / f"{name}.crt"), str(self.folder / f"{name}.key"))
        for path, data in zip(paths, pair, strict=True):
            Path(path).write_bytes(data)
        return paths


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


async def naming(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a node named like the client."""
    while True:
        await served.asked(reader)
        subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
        name = dict(pair for part in subject for pair in part).get("commonName", "nobody")
        writer.write(answer(b'{"metadata":{"name":"%s"}}' % name.encode()))


def who(town: Town, **fields: Any) -> str:
    async def story() -> str:
        async with serving(naming, town.tls) as served:
            client = Client(ClusterConfig(server=served.server, source="here", **fields))
            try:
                return (await client.get(NODES, "a")).metadata.name
            finally:
                await client.close()

    return asyncio.run(story())


def test_a_server_of_the_authority_is_trusted(town: Town) -> None:
    assert who(town, ca_data=town.ca) == "nobody"
    path = town.folder / "ca.pem"
    path.write_text(town.ca)
    assert who(town, ca_file=str(path)) == "nobody"
    assert who(town, ca_data=town.ca, tls_server_name="api.town") == "nobody"
    assert who(town, insecure_skip_tls_verify=True) == "nobody"


def test_a_server_of_another_authority_is_not_trusted(town: Town) -> None:
    stranger = Authority.make("elsewhere", now=NOW, lifetime=DAY).pair.certificate_pem.decode()
    with pytest.raises(ApiUnavailable, match=r"127\.0\.0\.1:\d+ has a certificate that is not trusted: "):
        who(town, ca_data=stranger)
    with pytest.raises(ApiUnavailable, match="is not trusted"):
        who(town)
    with pytest.raises(ApiUnavailable, match=r"not trusted: .*other\.town"):
        who(town, ca_data=town.ca, tls_server_name="other.town")
    with pytest.raises(AccessError, match="here: certificate-authority-data: not certificates in PEM"):
        who(town, ca_data="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_the_client_shows_its_certificate(town: Town) -> None:
    certificate, key = (part.decode() for part in town.ada)
    assert who(town, ca_data=town.ca, client_certificate_data=certificate, client_key_data=key) == "ada"
    files = town.write("bob", town.bob)
    assert who(town, ca_data=town.ca, client_certificate_file=files[0], client_key_file=files[1]) == "bob"
    mixed = {"client_certificate_file": files[0], "client_key_data": town.bob.key_pem.decode()}
    assert who(town, ca_data=town.ca, **mixed) == "bob"


def test_a_plugin_may_give_the_certificate(town: Town) -> None:
    certificate, key = (part.decode().replace("\n", "\\n") for part in town.ada)
    script = town.folder / "plugin"
    script.write_text(
        "#!/bin/sh\ncat <<'END'\n"
        '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":'
        f'{{"clientCertificateData":"{certificate}","clientKeyData":"{key}"}}}}\nEND\n'
    )
    script.chmod(0o755)
    plugin = ExecPlugin(str(script), interactive_mode="Never")
    assert who(town, ca_data=town.ca, exec_plugin=plugin) == "ada"


def test_a_key_that_is_wrong_is_not_shown(town: Town) -> None:
    secret = "MIGHAgEAMBMGByqGSM49"
    key = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"
    with pytest.raises(AccessError, match="here: client certificate or key: ") as caught:
        who(town, ca_data=town.ca, client_certificate_data=town.ada[0].decode(), client_key_data=key)
    assert secret not in str(caught.value)


def test_a_key_given_as_data_leaves_no_file_behind(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    load = ssl.SSLContext.load_cert_chain

    def watched(context: ssl.SSLContext, path: str, **how: Any) -> None:
        seen.append((os.readlink(path), os.stat(path).st_mode & 0o777))
        load(context, path, **how)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    certificate, key = (part.decode() for part in town.ada)
    config = ClusterConfig(
        server="https://a", ca_data=town.ca, client_certificate_data=certificate, client_key_data=key
    )
    TlsContexts(config).current(Identity())
    ((place, mode),) = seen
    assert place.startswith("/memfd:")
    assert mode == 0o600


def test_a_renewed_certificate_is_used(town: Town) -> None:
    certificate, key = town.write("mine", town.ada)
    config = ClusterConfig(
        server="https://a", ca_data=town.ca, client_certificate_file=certificate, client_key_file=key
    )
    contexts = TlsContexts(config)
    first = contexts.current(Identity())
    assert contexts.current(Identity()) is first
    Path(key).write_bytes(b"half a ke")
    assert contexts.current(Identity()) is first
    town.write("mine", town.bob)
    assert contexts.current(Identity()) is not first
