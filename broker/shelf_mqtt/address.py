"""Where the broker is, and what it must say when the client is gone."""

from __future__ import annotations

import ipaddress
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CA_FILE = "store-ca.crt"
DEVICE_FILE = "device.pem"
IDENTITY_FILE = "identity.json"
"""What an identity folder holds; ``identity.py`` writes them."""


@dataclass(frozen=True)
class BrokerAddress:
    """Host, port and credentials of a broker. Files are read at every connect, so that a renewed one is picked up.

    Attributes:
        password_file: its text, without the line end, is the password of ``username``.
        tls_ca: PEM file of the authority that signed the broker's certificate; given, the connection is TLS.
        tls_cert, tls_key: PEM files of the client's own certificate, for brokers that ask for one.
        identity: the folder that ``smartshelf pki enrol`` filled; it gives all three, and the session renews it.
    Raises: ValueError when the combination makes no sense.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password_file: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = field(default=None, repr=False)
    identity: Path | None = None

    def __post_init__(self) -> None:
        if self.identity is not None and self.tls_ca is not None:
            raise ValueError("identity gives the certificates: leave tls_ca, tls_cert and tls_key out")
        if not self.host:
            raise ValueError("host must not be empty")
        if not 1 <= self.port <= 65_535:
            raise ValueError(f"port = {self.port}: must lie between 1 and 65535")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs username")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be given together")
        if self.tls_cert is not None and self.tls_ca is None:
            raise ValueError("tls_cert needs tls_ca: without it the connection would not be TLS")

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    def password(self) -> str | None:
        """The password now in ``password_file``. Raises: OSError when it cannot be read."""
        if self.password_file is None:
            return None
        return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")

    def tls_context(self) -> ssl.SSLContext | None:
        """A fresh TLS context, None for plain text. Raises: OSError when a file cannot be read or is no PEM."""
        ca, cert, key = self.tls_ca, self.tls_cert, self.tls_key
        if self.identity is not None:
            ca, cert, key = self.identity / CA_FILE, self.identity / DEVICE_FILE, self.identity / DEVICE_FILE
        if ca is None:
            return None
        context = ssl.create_default_context(cafile=str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None:
            context.load_cert_chain(str(cert), str(key))
        return context

    def client_id(self, name: str) -> str:
        """``name``, and for an enrolled device its secret mark. Raises: OSError, ValueError when it cannot be read."""
        if self.identity is None:
            return name
        record = json.loads((self.identity / IDENTITY_FILE).read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not record.get("client_mark"):
            raise ValueError(f"{self.identity / IDENTITY_FILE} holds no client_mark; enrol this device again")
        return f"{name}-{record['client_mark']}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Will:
    """What the broker publishes for a client that went away without saying so."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = True


def is_loopback(host: str) -> bool:
    """True for an address that never leaves this computer.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("192.168.1.5")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
