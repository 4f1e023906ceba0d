"""Certificates for servers that speak TLS, signed by an authority of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, both as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


class Authority:
    """Signs certificates; clients that trust its own trust all of them."""

    def __init__(self, key_pair: KeyPair) -> None:
        """Read the authority's certificate and key.

        Raises:
            BadInput: they are no PEM, or the key is of another kind than ours.
        """
        try:
            self._certificate = x509.load_pem_x509_certificate(key_pair.certificate)
            key = load_pem_private_key(key_pair.key, None)
        except ValueError as error:
            raise BadInput("bad_certificate", f"the authority is unreadable: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadInput("bad_certificate", "the authority's key is on no elliptic curve")
        self._key = key
        self.key_pair = key_pair

    @classmethod
    def create(cls, name: str, valid_from: datetime, valid_until: datetime) -> Self:
        """Create an authority, which signs its own certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(name)
        certificate = (
            _builder(subject, key, valid_from, valid_until)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(_to_pem(certificate, key))

    def issue(
        self, name: str, hosts: Sequence[str], valid_from: datetime, valid_until: datetime
    ) -> KeyPair:
        """Issue a certificate and its key.

        Args:
            name: the subject's common name.
            hosts: the names and IP addresses by which clients reach the server.
            valid_from: the first moment at which it is valid, with a time zone.
            valid_until: the last.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        # A broker is a client of other brokers as well.
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(_subject(name), key, valid_from, valid_until)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _to_pem(certificate, key)


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    valid_from: datetime,
    valid_until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _to_pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    # PKCS #8: the form that Kafka reads.
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(certificate.public_bytes(Encoding.PEM), secret)
