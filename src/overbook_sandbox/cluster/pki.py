"""The keys and certificates of a test cluster, in files as its programs need them.

One authority signs for servers and clients. A client's certificate contains its user: the common name is the
user, the organizations are the groups (Kubernetes: "X.509 client certificates").
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from overbook.kube.api.certificates import Authority, KeyPair, signing_keys

SERVER_NAMES: Final = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
"""The names by which clients may reach the API server; an emulated node uses another address."""

_LIFETIME: Final = timedelta(days=7)


class CertificateFiles(NamedTuple):
    """The files of a certificate and its key.

    Attributes:
        certificate: The path of the certificate.
        key: The path of its key, mode 0600.
    """

    certificate: str
    key: str


class Pki:
    """The cluster's certificate authority.

    Args:
        folder: The folder for the files, made with mode 0700.
        addresses: IP addresses of the API server, besides loopback.
    """

    def __init__(self, folder: str, addresses: Iterable[str] = ()) -> None:
        self._folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._authority = Authority.make("overbook-sandbox", now=datetime.now(UTC), lifetime=_LIFETIME)
        self.authority_pem = self._authority.pair.certificate_pem
        self.authority = self._write("ca.crt", self.authority_pem)
        """The path of the authority's certificate."""
        private, public = signing_keys()
        self.service_account_key = self._write("service-account.key", private)
        self.service_account_public_key = self._write("service-account.pub", public)
        self.server = self.issue_server("kube-apiserver", SERVER_NAMES, ("127.0.0.1", *addresses))

    def issue_server(self, name: str, dns_names: Iterable[str], addresses: Iterable[str]) -> CertificateFiles:
        """Issue a server's certificate.

        Args:
            name: The common name, also used for the files' names.
            dns_names: The server's names.
            addresses: The server's IP addresses.
        """
        pair = self._authority.issue(
            name, dns_names=dns_names, addresses=addresses, now=datetime.now(UTC), lifetime=_LIFETIME
        )
        return self._files(name, pair)

    def issue_client(self, user: str, groups: Iterable[str] = ()) -> CertificateFiles:
        """Issue a client certificate for a user of the API server.

        Args:
            user: The user name.
            groups: The names of groups.
        """
        pair = self._authority.issue(user, organizations=groups, now=datetime.now(UTC), lifetime=_LIFETIME)
        return self._files(f"user-{user.replace(':', '-').replace('/', '-')}", pair)

    def _files(self, name: str, pair: KeyPair) -> CertificateFiles:
        return CertificateFiles(
            self._write(f"{name}.crt", pair.certificate_pem), self._write(f"{name}.key", pair.key_pem)
        )

    def _write(self, name: str, data: bytes) -> str:
        path = os.path.join(self._folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        return path
