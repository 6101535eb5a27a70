"""The authority's books in SQLite: tokens, enrolments, certificates. Only the authority reads or writes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BUSY_S = 5.0

_TABLES = """
CREATE TABLE IF NOT EXISTS token (
    secret_hash TEXT PRIMARY KEY, device TEXT NOT NULL, role TEXT NOT NULL, bays TEXT NOT NULL,
    expires_s REAL NOT NULL, used_s REAL
);
CREATE TABLE IF NOT EXISTS enrolment (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, role TEXT NOT NULL, bays TEXT NOT NULL,
    enrolled_s REAL NOT NULL, revoked_s REAL, reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_live_enrolment_a_device ON enrolment (device) WHERE revoked_s IS NULL;
CREATE TABLE IF NOT EXISTS certificate (
    serial TEXT PRIMARY KEY, enrolment TEXT NOT NULL REFERENCES enrolment (id), begins_s REAL NOT NULL,
    ends_s REAL NOT NULL
);
"""


@dataclass(frozen=True)
class TokenRow:
    device: str
    role: str
    bays: tuple[str, ...]


@dataclass(frozen=True)
class EnrolmentRow:
    """Attributes: ``renewals``: certificates after the first. ``ends``: of its newest certificate."""

    id: str
    device: str
    role: str
    bays: tuple[str, ...]
    enrolled: datetime
    revoked: datetime | None
    reason: str
    renewals: int
    ends: datetime | None


class Register:
    """Every method is one transaction; several processes may use the same file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._transaction() as books:
            books.executescript(_TABLES)
        file.chmod(0o600)

    def add_token(self, secret_hash: str, token: TokenRow, expires: datetime, now: datetime) -> None:
        """Remember a token by its hash; one that was not used for the device before is void, and old ones go."""
        with self._transaction() as books:
            books.execute("DELETE FROM token WHERE expires_s < ? OR device = ?", (now.timestamp(), token.device))
            books.execute(
                "INSERT INTO token VALUES (?, ?, ?, ?, ?, NULL)",
                (secret_hash, token.device, token.role, json.dumps(token.bays), expires.timestamp()),
            )

    def use_token(self, secret_hash: str, now: datetime) -> TokenRow | None:
        """The token, which is now used up; None when there is none, or it was used, or its time is over."""
        with self._transaction() as books:
            row = books.execute(
                "UPDATE token SET used_s = ? WHERE secret_hash = ? AND used_s IS NULL AND expires_s > ? "
                "RETURNING device, role, bays",
                (now.timestamp(), secret_hash, now.timestamp()),
            ).fetchone()
        return None if row is None else TokenRow(row[0], row[1], tuple(json.loads(row[2])))

    def enrol(
        self, enrolment: str, token: TokenRow, serial: int, begins: datetime, ends: datetime, now: datetime
    ) -> None:
        """A new enrolment with its first certificate; the device's earlier enrolment is revoked with it."""
        with self._transaction() as books:
            self._revoke(books, token.device, "enrolled again", now)
            books.execute(
                "INSERT INTO enrolment VALUES (?, ?, ?, ?, ?, NULL, NULL)",
                (enrolment, token.device, token.role, json.dumps(token.bays), now.timestamp()),
            )
            self._add_certificate(books, enrolment, serial, begins, ends)

    def add_certificate(self, enrolment: str, serial: int, begins: datetime, ends: datetime) -> None:
        with self._transaction() as books:
            self._add_certificate(books, enrolment, serial, begins, ends)

    def enrolment_of_serial(self, serial: int) -> EnrolmentRow | None:
        with self._transaction() as books:
            row = books.execute("SELECT enrolment FROM certificate WHERE serial = ?", (f"{serial:x}",)).fetchone()
        if row is None:
            return None
        return next((one for one in self.enrolments() if one.id == row[0]), None)

    def revoke(self, device: str, reason: str, now: datetime) -> bool:
        """Revoke the device's enrolment and void its tokens; False when it had no enrolment."""
        with self._transaction() as books:
            books.execute("DELETE FROM token WHERE device = ?", (device,))
            return self._revoke(books, device, reason, now)

    def set_bays(self, device: str, bays: tuple[str, ...]) -> bool:
        with self._transaction() as books:
            changed = books.execute(
                "UPDATE enrolment SET bays = ? WHERE device = ? AND revoked_s IS NULL", (json.dumps(bays), device)
            )
            return changed.rowcount == 1

    def enrolments(self) -> list[EnrolmentRow]:
        """All of them, the revoked ones too, by device and time."""
        with self._transaction() as books:
            rows = books.execute(
                "SELECT e.id, e.device, e.role, e.bays, e.enrolled_s, e.revoked_s, e.reason, count(c.serial), "
                "max(c.ends_s) FROM enrolment e LEFT JOIN certificate c ON c.enrolment = e.id "
                "GROUP BY e.id ORDER BY e.device, e.enrolled_s"
            ).fetchall()
        return [
            EnrolmentRow(
                row[0], row[1], row[2], tuple(json.loads(row[3])), _moment(row[4]),
                None if row[5] is None else _moment(row[5]), row[6] or "", max(0, row[7] - 1),
                None if row[8] is None else _moment(row[8]),
            )
            for row in rows
        ]  # fmt: skip

    def revoked_serials(self, now: datetime) -> list[tuple[int, datetime]]:
        """Certificates that would still be valid, had they not been revoked, and since when."""
        with self._transaction() as books:
            rows = books.execute(
                "SELECT c.serial, e.revoked_s FROM certificate c JOIN enrolment e ON e.id = c.enrolment "
                "WHERE e.revoked_s IS NOT NULL AND c.ends_s > ? ORDER BY c.serial",
                (now.timestamp(),),
            ).fetchall()
        return [(int(serial, 16), _moment(revoked_s)) for serial, revoked_s in rows]

    @staticmethod
    def _revoke(books: sqlite3.Connection, device: str, reason: str, now: datetime) -> bool:
        changed = books.execute(
            "UPDATE enrolment SET revoked_s = ?, reason = ? WHERE device = ? AND revoked_s IS NULL",
            (now.timestamp(), reason, device),
        )
        return changed.rowcount == 1

    @staticmethod
    def _add_certificate(
        books: sqlite3.Connection, enrolment: str, serial: int, begins: datetime, ends: datetime
    ) -> None:
        row = (f"{serial:x}", enrolment, begins.timestamp(), ends.timestamp())
        books.execute("INSERT INTO certificate VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        books = sqlite3.connect(self._file, timeout=_BUSY_S)
        try:
            books.execute("PRAGMA foreign_keys = ON")
            with books:
                yield books
        finally:
            books.close()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
