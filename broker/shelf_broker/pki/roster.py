"""What the authority tells the broker: who is enrolled, as what. A file beside the certificates the broker needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelf_broker.acl import Client
from shelf_contracts.ids import BayId, LevelId, StoreId

ROSTER_FILE = "roster.json"
CRL_FILE = "store.crl"
SERVER_FILE = "server.pem"
WATCHED_FILES = (ROSTER_FILE, CRL_FILE, SERVER_FILE)
"""When one of them changes, the broker that runs has to follow."""


class EnrolledDevice(BaseModel):
    """A device that may connect.

    Attributes:
        device: its id, the CN of its certificate, its user name at the broker and its name in topics.
        enrolment: changes when the device is enrolled again; certificates of an earlier one are revoked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: LevelId
    role: Literal["node", "collector", "display", "observer"]
    bays: list[BayId] = []
    enrolment: str = Field(pattern=r"^[0-9a-f]{32}$")

    def uri(self, store: str) -> str:
        """What its certificates carry besides the CN."""
        return device_uri(store, self.device, self.enrolment)

    def client(self, store: str) -> Client:
        return Client(self.device, self.role, store, self.device, tuple(self.bays))


class Roster(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    store: StoreId
    devices: list[EnrolledDevice] = []


def device_uri(store: str, device: str, enrolment: str) -> str:
    """
    >>> device_uri("nl-ams-001", "n01", "0" * 32)
    'urn:smartshelf:nl-ams-001:n01:00000000000000000000000000000000'
    """
    return f"urn:smartshelf:{store}:{device}:{enrolment}"


@dataclass(frozen=True)
class PkiMarks:
    """One mark for each published file, which is another one when the file was replaced."""

    roster: tuple[int, int] = (0, 0)
    revocations: tuple[int, int] = (0, 0)
    server: tuple[int, int] = (0, 0)


def marks_of(folder: Path | None) -> PkiMarks:
    """Of the files that ``folder`` holds now."""
    if folder is None:
        return PkiMarks()
    return PkiMarks(*(_mark(folder / name) for name in WATCHED_FILES))


def _mark(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
