"""Certificates and revocation lists of a store's authority: what stands in them and why. Pure, but for new keys."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shelf_mqtt.identity import key_pem

CA_LIFE = timedelta(days=3650)
_LARGEST_REQUEST_BYTES = 8 * 1024


class RequestRefused(Exception):
    """A certificate request that cannot be granted; the text says why."""


@dataclass(frozen=True)
class Authority:
    """The store's authority: its key and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> str:
        return pem(self.certificate)


@dataclass(frozen=True)
class Span:
    """From when to when (UTC)."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class RevokedCertificate:
    serial: int
    at: datetime


def new_authority(store: str, now: datetime) -> Authority:
    """An authority that signs devices and servers, and no further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"smartshelf {store}")
    public = key.public_key()
    certificate = (
        _builder(name, name, public, Span(now - timedelta(minutes=5), now + CA_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def load_authority(key: bytes, certificate: bytes) -> Authority:
    """Raises: ValueError when these are no PEM key and certificate that belong together."""
    loaded = serialization.load_pem_private_key(key, password=None)
    parsed = x509.load_pem_x509_certificate(certificate)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or parsed.public_key() != loaded.public_key():
        raise ValueError("the authority's key and certificate do not belong together")
    return Authority(loaded, parsed)


def request_key(request_pem: str) -> ec.EllipticCurvePublicKey:
    """The public key of a request whose sender holds the private one; nothing else of a request is used.

    Raises: RequestRefused.
    """
    if len(request_pem) > _LARGEST_REQUEST_BYTES:
        raise RequestRefused(f"the request is longer than {_LARGEST_REQUEST_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestRefused("this is no certificate request in PEM") from error
    if not is_signed:
        raise RequestRefused("the request is not signed with its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise RequestRefused("the key must be one on the curve P-256")
    return key


def device_certificate(
    authority: Authority, key: ec.EllipticCurvePublicKey, device: str, uri: str, span: Span
) -> x509.Certificate:
    """A client's certificate: CN is the device's id; it proves nobody to be a server.

    Args:
        uri: names device and enrolment; NATS knows its users by it, having no revocation lists.
    """
    return _leaf(authority, key, device, [x509.UniformResourceIdentifier(uri)], ExtendedKeyUsageOID.CLIENT_AUTH, span)


def server_pair(authority: Authority, hosts: Sequence[str], span: Span) -> bytes:
    """Key and certificate (PEM, in this order) of a server reached by these names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_host_name(host) for host in hosts]
    certificate = _leaf(authority, key.public_key(), "store-server", names, ExtendedKeyUsageOID.SERVER_AUTH, span)
    return key_pem(key) + pem(certificate).encode()


def revocation_list(authority: Authority, revoked: Sequence[RevokedCertificate], now: datetime) -> bytes:
    """The list (PEM). It has no end before the authority's: brokers here read the file itself, and a list that runs
    out would shut every device out.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - timedelta(minutes=5))
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _leaf(
    authority: Authority, key: ec.EllipticCurvePublicKey, name: str, alternatives: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier, span: Span,
) -> x509.Certificate:  # fmt: skip
    issuer_key = authority.key.public_key()
    return (
        _builder(_name(name), authority.certificate.subject, key, span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, span: Span
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(span.begins)
        .not_valid_after(span.ends)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
