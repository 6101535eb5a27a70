"""A device asks the store's server for its certificate: once with a token, later with the certificate it has.

The token is ``se1.SECRET.FINGERPRINT@HOST:PORT``. The fingerprint is the SHA-256 of the store's authority: the device
fetches the authority's certificate first, over a connection it does not trust, and goes on only when it is the one
the token names. The secret is said only to a server that this authority vouches for.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from shelf_mqtt.address import CA_FILE, DEVICE_FILE
from shelf_mqtt.identity import (
    IdentityRecord,
    Validity,
    make_key_and_request,
    new_client_mark,
    read_record,
    read_validity,
    replace_pair,
    write_identity,
)

ENROLMENT_PORT = 8884
LARGEST_BODY_BYTES = 16 * 1024
DEADLINE_S = 10.0

_TOKEN = re.compile(r"se1\.([A-Z2-7]{26})\.([A-Z2-7]{52})@([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,39}\]):([0-9]{1,5})")


class EnrolmentFailed(Exception):
    """No certificate came; the text says why and what to do."""


@dataclass(frozen=True)
class Token:
    """What ``smartshelf pki token`` prints.

    Attributes:
        secret: 128 bits in base 32; good once.
        ca_fingerprint: SHA-256 of the authority's certificate (DER) in base 32.
    """

    secret: str
    ca_fingerprint: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"se1.{self.secret}.{self.ca_fingerprint}@{host}:{self.port}"


def parse_token(text: str) -> Token:
    """Raises: ValueError saying what a token looks like."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None or not 1 <= int(found[4]) <= 65_535:
        raise ValueError("this is no enrolment token; it looks like se1.SECRET.FINGERPRINT@HOST:PORT")
    return Token(found[1], found[2], found[3].strip("[]"), int(found[4]))


def fingerprint(ca_pem: str) -> str:
    """SHA-256 of a certificate (PEM) in base 32. Raises: ValueError when it is no certificate."""
    return base32(hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca_pem)).digest())


def base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def enrol(token: Token, folder: Path) -> IdentityRecord:
    """Make a key in ``folder``, and get its certificate for the token. Replaces what is there.

    Raises: EnrolmentFailed.
    """
    ca_pem = _fetch_authority(token)
    context = _context(ca_pem=ca_pem)
    made = make_key_and_request()
    answer = _ask(token.host, token.port, context, "/v1/enrol", {"token": token.secret, "request": made.request_pem})
    try:
        record = IdentityRecord(
            device=str(answer.get("device")), host=token.host, port=token.port, client_mark=new_client_mark()
        )
        write_identity(folder, record, ca_pem, made, str(answer.get("certificate", "")))
    except (OSError, ValueError) as error:  # ValueError: no certificate of our key, or no name
        raise EnrolmentFailed(f"{folder}: the identity could not be written: {error}") from error
    return record


def renew(folder: Path) -> Validity:
    """A new key and certificate for the device in ``folder``; the old pair proves who asks.

    Raises: EnrolmentFailed; the old pair is then still in place.
    """
    try:
        record = read_record(folder)
        context = _context(ca_pem=(folder / CA_FILE).read_text())
        context.load_cert_chain(folder / DEVICE_FILE)
    except (OSError, ValueError) as error:
        raise EnrolmentFailed(f"{folder}: there is no identity to renew: {error}") from error
    made = make_key_and_request()
    answer = _ask(record.host, record.port, context, "/v1/renew", {"request": made.request_pem})
    try:
        replace_pair(folder, made, str(answer.get("certificate", "")))
        return read_validity(folder)
    except (OSError, ValueError) as error:
        raise EnrolmentFailed(f"{folder}: the new certificate could not be kept: {error}") from error


def _fetch_authority(token: Token) -> str:
    untrusted = ssl.create_default_context()
    untrusted.check_hostname = False
    untrusted.verify_mode = ssl.CERT_NONE
    ca_pem = str(_ask(token.host, token.port, untrusted, "/v1/authority", {}).get("authority", ""))
    try:
        found = fingerprint(ca_pem)
        x509.load_pem_x509_certificate(ca_pem.encode())
    except ValueError as error:
        raise EnrolmentFailed(f"{token.host}:{token.port} answered without an authority's certificate") from error
    if found != token.ca_fingerprint:
        raise EnrolmentFailed(
            f"{token.host}:{token.port} is not the server this token is for: its authority has another fingerprint. "
            "Nothing was told to it. Check the address, or whether somebody listens in between"
        )
    return ca_pem


def _context(*, ca_pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _ask(host: str, port: int, context: ssl.SSLContext, path: str, body: dict[str, str]) -> dict[str, object]:
    connection = http.client.HTTPSConnection(host, port, timeout=DEADLINE_S, context=context)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = json.loads(response.read(LARGEST_BODY_BYTES + 1)[:LARGEST_BODY_BYTES] or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EnrolmentFailed(f"{host}:{port}: {error}; does smartshelf pki serve run there?") from error
    finally:
        connection.close()
    if not isinstance(content, dict):
        raise EnrolmentFailed(f"{host}:{port}: answered with something that is no object")
    if response.status != http.client.OK:
        raise EnrolmentFailed(f"{host}:{port}: refused ({response.status}): {content.get('error', 'no reason given')}")
    return content
