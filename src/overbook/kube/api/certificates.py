"""Certificates: an own authority and the certificates that it signs (RFC 5280, ECDSA on P-256).

This module needs `cryptography`, which the extras `sandbox` and `webhook` install; import it only where
certificates are made.
"""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SKEW: Final = timedelta(minutes=5)
"""A certificate is valid from this long before it is made, for peers whose clock is behind."""


class KeyPair(NamedTuple):
    """A certificate with its private key.

    Attributes:
        certificate_pem: PEM.
        key_pem: PEM, PKCS #8, not encrypted: a file with it must have mode 0600.
    """

    certificate_pem: bytes
    key_pem: bytes


class Authority:
    """A certificate authority.

    Args:
        pair: The authority's certificate and key, from `make` or from storage.
    """

    def __init__(self, pair: KeyPair) -> None:
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
        key = load_pem_private_key(pair.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{type(key).__name__}: an authority's key is ECDSA on P-256")
        self._key = key

    @classmethod
    def make(cls, name: str, *, now: datetime, lifetime: timedelta) -> Self:
        """Make an authority with a self-signed certificate.

        Args:
            name: Its common name.
            now: The time, with a time zone.
            lifetime: How long it is valid.
        """
        key = _private_key()
        subject = _name(name)
        builder = (
            _builder(subject, key, now, lifetime)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(_pair(builder.sign(key, SHA256()), key))

    def issue(
        self,
        name: str,
        *,
        now: datetime,
        lifetime: timedelta,
        organizations: Iterable[str] = (),
        dns_names: Iterable[str] = (),
        addresses: Iterable[str] = (),
    ) -> KeyPair:
        """Issue a certificate: a server's if there are DNS names or addresses, else a client's.

        Args:
            name: Common name: to Kubernetes, a client's user name.
            now: The time, with a time zone.
            lifetime: How long it is valid.
            organizations: To Kubernetes, a client's groups.
            dns_names: Names of a server.
            addresses: IP addresses of a server.
        """
        key = _private_key()
        alternatives: list[x509.GeneralName] = [x509.DNSName(each) for each in dns_names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if alternatives else ExtendedKeyUsageOID.CLIENT_AUTH
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(name, organizations), key, now, lifetime)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return _pair(builder.sign(self._key, SHA256()), key)


def signing_keys() -> tuple[bytes, bytes]:
    """A private key and its public key, both PEM, to sign other things than certificates."""
    key = _private_key()
    return _key_pem(key), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(certificate.public_bytes(Encoding.PEM), _key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
