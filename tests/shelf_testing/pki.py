"""An authority, its server on a free port, and devices enrolled with it, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from shelf_broker.pki.office import AuthoritySettings, RegistryOffice
from shelf_broker.pki.server import EnrolmentServer
from shelf_mqtt.enrolment import enrol
from shelf_mqtt.identity import now_utc

STORE = "nl-ams-001"


def new_office(folder: Path, *, now: Callable[[], datetime] = now_utc, device_days: float = 90) -> RegistryOffice:
    settings = AuthoritySettings(store=STORE, hosts=["127.0.0.1"], device_days=device_days)
    return RegistryOffice.found(folder, settings, now=now)


@contextmanager
def serving(office: RegistryOffice) -> Iterator[EnrolmentServer]:
    with EnrolmentServer(office, "127.0.0.1", 0) as server:
        yield server


def enrol_here(
    office: RegistryOffice, folder: Path, device: str, role: str = "node", bays: Sequence[str] = (), *,
    replace: bool = False,
) -> Path:  # fmt: skip
    """The whole way, over TLS; the server is gone again afterwards. Returns the identity's folder."""
    with serving(office) as server:
        token = office.issue_token(device, role, bays, replace=replace)
        enrol(type(token)(token.secret, token.ca_fingerprint, "127.0.0.1", server.port), folder)
    return folder
