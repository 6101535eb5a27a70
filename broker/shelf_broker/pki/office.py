"""The store's authority at work: a folder with its key and books, and what it publishes for the broker.

``authority/`` holds what nobody else may read: the key and the register. ``broker/`` holds what the broker needs: the
authority's certificate, the server's key and certificate, the revocation list and the roster; the broker needs no
access to ``authority/``.
"""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field

from shelf_broker.errors import BrokerProblem
from shelf_broker.pki.certificates import (
    Authority,
    RevokedCertificate,
    Span,
    device_certificate,
    load_authority,
    new_authority,
    pem,
    request_key,
    revocation_list,
    server_pair,
)
from shelf_broker.pki.register import EnrolmentRow, Register, TokenRow
from shelf_broker.pki.roster import CRL_FILE, ROSTER_FILE, SERVER_FILE, EnrolledDevice, Roster, device_uri
from shelf_contracts.files import read_model
from shelf_contracts.ids import StoreId
from shelf_mqtt.address import CA_FILE
from shelf_mqtt.enrolment import ENROLMENT_PORT, Token, base32, fingerprint
from shelf_mqtt.identity import key_pem, now_utc, write_private

TOKEN_LIFE = timedelta(minutes=10)
HostName = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9a-fA-F:]{2,39})$")]
_SETTINGS_FILE = "authority.json"
_BACKDATED = timedelta(minutes=5)  # devices whose clock is a little late must not find a certificate of the future
_SECRET_BYTES = 16
_LOCK_DEADLINE_S = 10.0


class PkiProblem(BrokerProblem):
    """What the authority cannot or will not do; the text says why and what to do."""


class Refused(PkiProblem):
    """A device asked for something that it is not given. To the device it says little, to the log all."""


class AuthoritySettings(BaseModel):
    """``authority.json``.

    Attributes:
        hosts: names and addresses by which devices reach the server; they stand in its certificate.
        device_days, server_days: how long certificates are valid; devices renew theirs when a third is left.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: StoreId
    hosts: list[HostName] = Field(min_length=1)
    port: int = Field(default=ENROLMENT_PORT, ge=1, le=65_535)
    device_days: float = Field(default=90, gt=0, le=825)
    server_days: float = Field(default=365, gt=0, le=825)


@dataclass(frozen=True)
class Issued:
    """A certificate for a device that asked."""

    device: str
    certificate_pem: str


class RegistryOffice:
    """Issues, renews and revokes; several processes may work on one folder.

    Args:
        now: the clock, in UTC.
    Raises: PkiProblem when the folder holds no authority.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = now_utc) -> None:
        self.folder = folder
        self.public = folder / "broker"
        self._private = folder / "authority"
        self._now = now
        try:
            key, certificate = (self._private / "ca.key").read_bytes(), (self.public / CA_FILE).read_bytes()
        except OSError as error:
            raise PkiProblem(
                f"{folder}: there is no authority ({error.strerror}); make one: smartshelf pki init"
            ) from error
        try:
            self._authority: Authority = load_authority(key, certificate)
        except ValueError as error:
            raise PkiProblem(f"{folder}: {error}") from error
        self.settings = read_model(self._private / _SETTINGS_FILE, AuthoritySettings)
        self._register = Register(self._private / "register.sqlite3")

    @classmethod
    def found(
        cls, folder: Path, settings: AuthoritySettings, *, now: Callable[[], datetime] = now_utc
    ) -> RegistryOffice:
        """Make a new authority. Raises: PkiProblem when there is one already."""
        private, public = folder / "authority", folder / "broker"
        if (private / "ca.key").exists():
            raise PkiProblem(f"{folder}: there is an authority already; every device trusts it, so it is not replaced")
        for one in (folder, private, public):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = new_authority(settings.store, now())
        write_private(public / CA_FILE, authority.certificate_pem.encode())
        write_private(private / _SETTINGS_FILE, settings.model_dump_json(indent=2).encode())
        write_private(private / "ca.key", key_pem(authority.key))
        office = cls(folder, now=now)
        office.publish()
        return office

    @property
    def authority_pem(self) -> str:
        return self._authority.certificate_pem

    def issue_token(
        self, device: str, role: str, bays: Sequence[str], *, replace: bool = False, host: str | None = None,
        life: timedelta = TOKEN_LIFE,
    ) -> Token:  # fmt: skip
        """A token that enrols this device once within ``life``.

        Raises: PkiProblem when the device is enrolled and ``replace`` is not given; ValueError for impossible roles.
        """
        EnrolledDevice.model_validate({"device": device, "role": role, "bays": list(bays), "enrolment": "0" * 32})
        if (role == "node") != bool(bays):
            raise PkiProblem(f"{device}: a node needs the bays it may speak of (--bays a01,a02), other roles have none")
        if not replace and any(one.device == device and one.revoked is None for one in self._register.enrolments()):
            raise PkiProblem(
                f"{device} is enrolled. If it got a new disk or was exchanged, use --replace: its old certificate is "
                "revoked when the new one is given"
            )
        secret = base32(secrets.token_bytes(_SECRET_BYTES))
        now = self._now()
        self._register.add_token(_hash(secret), TokenRow(device, role, tuple(bays)), now + life, now)
        return Token(secret, fingerprint(self.authority_pem), host or self.settings.hosts[0], self.settings.port)

    def enrol(self, secret: str, request_pem: str) -> Issued:
        """The certificate for whoever holds the token's secret.

        Raises: Refused for a wrong, used or old token; RequestRefused for a bad request, which leaves the token good.
        """
        key = request_key(request_pem)
        with self._lock():  # before the token is spent: an office that is busy leaves it good
            token = self._register.use_token(_hash(secret), self._now())
            if token is None:
                raise Refused("this token is unknown, used or older than its time")
            enrolment = secrets.token_hex(16)
            uri = device_uri(self.settings.store, token.device, enrolment)
            certificate = device_certificate(self._authority, key, token.device, uri, self._span())
            self._register.enrol(
                enrolment, token, certificate.serial_number, certificate.not_valid_before_utc,
                certificate.not_valid_after_utc, self._now(),
            )  # fmt: skip
            self._publish()
        return Issued(token.device, pem(certificate))

    def renew(self, old_certificate: bytes, request_pem: str) -> Issued:
        """A new certificate for a device that has shown its old one (DER; the caller has seen that it holds the key).

        Raises: Refused when the old one is revoked, over or not ours.
        """
        key = request_key(request_pem)
        old = x509.load_der_x509_certificate(old_certificate)
        with self._lock():  # else a revocation in between would miss the new certificate
            enrolment = self._register.enrolment_of_serial(old.serial_number)
            if enrolment is None or enrolment.revoked is not None:
                raise Refused("this certificate was revoked; enrol the device with a new token")
            if old.not_valid_after_utc <= self._now():
                raise Refused("this certificate is over; enrol the device with a new token")
            uri = device_uri(self.settings.store, enrolment.device, enrolment.id)
            new = device_certificate(self._authority, key, enrolment.device, uri, self._span())
            self._register.add_certificate(
                enrolment.id, new.serial_number, new.not_valid_before_utc, new.not_valid_after_utc
            )
        return Issued(enrolment.device, pem(new))

    def revoke(self, device: str, reason: str) -> None:
        """All certificates of the device. Raises: PkiProblem when it is not enrolled."""
        with self._lock():
            if not self._register.revoke(device, reason, self._now()):
                raise PkiProblem(f"{device} is not enrolled; smartshelf pki list names who is")
            self._publish()

    def set_bays(self, device: str, bays: Sequence[str]) -> None:
        """The bays a node may speak of from now on. Raises: PkiProblem when it is no enrolled node."""
        EnrolledDevice.model_validate({"device": device, "role": "node", "bays": list(bays), "enrolment": "0" * 32})
        live = {one.device: one.role for one in self._register.enrolments() if one.revoked is None}
        if live.get(device) != "node" or not bays:
            raise PkiProblem(f"{device}: must be an enrolled node, with at least one bay")
        with self._lock():
            self._register.set_bays(device, tuple(bays))
            self._publish()

    def enrolments(self) -> list[EnrolmentRow]:
        return self._register.enrolments()

    def publish(self) -> None:
        """Write what the broker reads: roster, revocation list, and the server's certificate, each when it changed."""
        with self._lock():
            self._publish()

    def renew_server_if_due(self) -> bool:
        """True when the server got a new certificate."""
        with self._lock():
            return self._renew_server_if_due()

    def _publish(self) -> None:
        now = self._now()
        store = self.settings.store
        devices = [
            EnrolledDevice.model_validate(
                {"device": one.device, "role": one.role, "bays": list(one.bays), "enrolment": one.id}
            )
            for one in self._register.enrolments()
            if one.revoked is None
        ]
        revoked = [RevokedCertificate(serial, at) for serial, at in self._register.revoked_serials(now)]
        self._renew_server_if_due()
        # The list first: a broker that follows at once must find the revoked certificate in it. It is left alone while
        # it names all of them, as Mosquitto has to be restarted for a new one.
        listed = self._listed()
        if listed is None or not {one.serial for one in revoked} <= listed:
            write_private(self.public / CRL_FILE, revocation_list(self._authority, revoked, now))
        roster = Roster(store=store, devices=devices)
        write_private(self.public / ROSTER_FILE, roster.model_dump_json(indent=2).encode() + b"\n")

    def _listed(self) -> set[int] | None:
        """Serials in the published list, None when there is no list yet."""
        try:
            published = x509.load_pem_x509_crl((self.public / CRL_FILE).read_bytes())
        except (OSError, ValueError):
            return None
        return {entry.serial_number for entry in published}

    def _renew_server_if_due(self) -> bool:
        file = self.public / SERVER_FILE
        now = self._now()
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if now < ends - (ends - begins) / 3:
                return False
        except (OSError, ValueError):
            pass  # the first one
        hosts = list(dict.fromkeys([*self.settings.hosts, "localhost", "127.0.0.1", "::1"]))
        span = Span(now - _BACKDATED, now + timedelta(days=self.settings.server_days))
        write_private(file, server_pair(self._authority, hosts, span))
        return True

    def _span(self) -> Span:
        now = self._now()
        life = timedelta(days=self.settings.device_days)
        return Span(now - min(_BACKDATED, life), now + life)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer of the published files at a time, also among processes. Raises: PkiProblem after 10 s."""
        with (self._private / "lock").open("ab") as lock:
            deadline_s = time.monotonic() + _LOCK_DEADLINE_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > deadline_s:
                        raise PkiProblem(f"{self.folder}: another process holds it; try again") from error
                    time.sleep(0.01)
            yield


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
