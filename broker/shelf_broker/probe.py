"""Is somebody there who speaks MQTT? One CONNECT with a deadline, without a client library."""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from dataclasses import dataclass

_CONNACK = 0x20
_NEEDS_LOGIN = (4, 5)


@dataclass(frozen=True)
class ProbeResult:
    """How a broker answered.

    Attributes:
        answered: it sent a CONNACK.
        code: the CONNACK's return code of MQTT 3.1.1; 0 accepted, 4 and 5 ask for a login.
        text: one line for people.
        asks_for_certificate: it ended the TLS handshake, or hung up right after it, because we showed none.
    """

    answered: bool
    code: int | None
    text: str
    asks_for_certificate: bool = False

    @property
    def is_ready(self) -> bool:
        """True when clients can work: accepted, or only the login or the certificate was missing."""
        return self.code == 0 or self.code in _NEEDS_LOGIN or self.asks_for_certificate


def probe(host: str, port: int, *, timeout_s: float = 2.0, tls: bool = False) -> ProbeResult:
    """Send an MQTT 3.1.1 CONNECT without a login and wait for the CONNACK; leaves no session behind.

    With ``tls`` the certificate is not verified: nothing is told to the broker, it is only asked whether it is up.
    """
    name = f"smartshelf-probe-{secrets.token_hex(4)}".encode()
    body = struct.pack("!H", 4) + b"MQTT" + bytes((4, 2)) + struct.pack("!HH", 10, len(name)) + name
    is_agreed = False
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            plain.settimeout(timeout_s)
            channel = _with_tls(plain) if tls else plain
            is_agreed = tls
            channel.sendall(bytes((0x10, len(body))) + body)
            answer = _read(channel, 4)
            if len(answer) == 4:
                channel.sendall(b"\xe0\x00")
    except (ssl.SSLError, ConnectionError) as error:
        # Which alert it is depends on the version of TLS and on the broker. In TLS 1.3 the handshake is over for us
        # before the broker has looked at our certificate, and it may hang up before its alert is read.
        is_alert = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        if is_alert or is_agreed:
            return ProbeResult(False, None, f"{host}:{port}: asks for a certificate", asks_for_certificate=True)
        return ProbeResult(False, None, f"{host}:{port}: {error}")
    except OSError as error:
        return ProbeResult(False, None, f"{host}:{port}: {error}")
    if len(answer) < 4 and is_agreed:
        return ProbeResult(False, None, f"{host}:{port}: asks for a certificate", asks_for_certificate=True)
    if len(answer) < 4:
        return ProbeResult(False, None, f"{host}:{port}: closed the connection without an answer")
    if answer[0] != _CONNACK:
        return ProbeResult(False, None, f"{host}:{port}: answered, but not as an MQTT broker")
    code = answer[3]
    said = {0: "accepts connections", 4: "asks for a login", 5: "asks for a login"}.get(code, f"refuses (code {code})")
    return ProbeResult(True, code, f"{host}:{port}: {said}")


def _with_tls(plain: socket.socket) -> socket.socket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def _read(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            break
        data += more
    return data
