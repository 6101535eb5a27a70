"""A device's own identity: its key, made here and never sent, its certificate, and the store's authority.

The folder holds ``store-ca.crt``, ``device.pem`` and ``identity.json``. Key and certificate lie in one file, so that
a renewed pair replaces the old one whole or not at all, whenever the power goes.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field

from shelf_contracts.files import read_model
from shelf_contracts.ids import LevelId
from shelf_mqtt.address import CA_FILE, DEVICE_FILE, IDENTITY_FILE

_CLIENT_MARK_BYTES = 16


class IdentityRecord(BaseModel):
    """``identity.json``.

    Attributes:
        host, port: where the certificate is renewed.
        client_mark: ends the MQTT client id. Brokers that do not tie client ids to certificates (NATS) let whoever
            knows a client id take over its session; this one cannot be guessed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: LevelId
    host: str
    port: int = Field(ge=1, le=65_535)
    client_mark: str = Field(min_length=16)


@dataclass(frozen=True)
class KeyAndRequest:
    """A new key, and the request (PEM) that asks for its certificate; only the request may leave this computer."""

    key: ec.EllipticCurvePrivateKey
    request_pem: str


@dataclass(frozen=True)
class Validity:
    """From when to when (UTC) a certificate is valid."""

    begins: datetime
    ends: datetime

    @property
    def renew_from(self) -> datetime:
        """From here on it should be renewed: when a third of its time is left."""
        return self.ends - (self.ends - self.begins) / 3


def make_key_and_request() -> KeyAndRequest:
    """A key on the curve P-256 and a request for it. It names nobody: the server knows whose token it was."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return KeyAndRequest(key, request.public_bytes(serialization.Encoding.PEM).decode())


def read_record(folder: Path) -> IdentityRecord:
    """Raises: FileProblems when ``identity.json`` is missing or wrong."""
    return read_model(folder / IDENTITY_FILE, IdentityRecord)


def read_validity(folder: Path) -> Validity:
    """Of the certificate in ``device.pem``. Raises: OSError, ValueError when there is none."""
    certificate = x509.load_pem_x509_certificate((folder / DEVICE_FILE).read_bytes())
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def new_client_mark() -> str:
    return secrets.token_hex(_CLIENT_MARK_BYTES)


def write_identity(
    folder: Path, record: IdentityRecord, ca_pem: str, made: KeyAndRequest, certificate_pem: str
) -> None:
    """A whole new identity; the folder is for its owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / CA_FILE).write_text(ca_pem)
    write_private(folder / IDENTITY_FILE, record.model_dump_json(indent=2).encode() + b"\n")
    replace_pair(folder, made, certificate_pem)


def replace_pair(folder: Path, made: KeyAndRequest, certificate_pem: str) -> None:
    """Key and certificate together, whole or not at all.

    Raises: ValueError when the certificate is not the key's.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    if certificate.public_key() != made.key.public_key():
        raise ValueError("the certificate that came is not for our key")
    write_private(folder / DEVICE_FILE, key_pem(made.key) + certificate_pem.encode())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(file: Path, content: bytes) -> None:
    """Replace a file whole or not at all; readable by its owner only from its first byte on."""
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def now_utc() -> datetime:
    return datetime.now(UTC)
