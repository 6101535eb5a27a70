"""The durable outbox: what is said is on disk before it goes to the network, and stays until the broker has it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.ports import OutboxEntry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    retain INTEGER NOT NULL,
    expiry_s INTEGER
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class SqliteOutbox:
    """One file; any thread.

    Args:
        path: the database; made when missing.
        first_sequence: where a new outbox starts counting. Milliseconds since the epoch, so that a node that lost its
            disk never says an old number again.
        largest_depth: with more waiting, the oldest retained states go first, then the oldest events; each is counted
            in ``lost`` and shows as a gap in the sequence at the collector.
    Raises: FileProblems when the file cannot be used.
    """

    def __init__(self, path: Path, *, first_sequence: int, largest_depth: int = 200_000) -> None:
        self._lock = threading.Lock()
        self._largest_depth = largest_depth
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._sequence = self._read_counter("sequence", first_sequence - 1)
            self._lost = self._read_counter("lost", 0)
            self._depth = int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            remedy = "move the file away to start a new outbox; what it holds is then lost"
            raise FileProblems(path, [Problem("", str(error), "must be a usable SQLite file", remedy)]) from error

    def _read_counter(self, name: str, default: int) -> int:
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else default

    @property
    def lost(self) -> int:
        """Messages given up because the outbox was full, ever."""
        return self._lost

    @property
    def last_sequence(self) -> int:
        """The number given last."""
        return self._sequence

    def append(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        with self._lock:
            entry = make(self._sequence + 1)
            with self._db:
                self._db.execute("BEGIN")
                self._db.execute(
                    "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)",
                    (entry.sequence, entry.topic, entry.payload, int(entry.retain), entry.expiry_s),
                )
                self._write_counter("sequence", entry.sequence)
                if self._depth >= self._largest_depth:
                    self._give_up_oldest()
            self._sequence = entry.sequence
            self._depth += 1
            return entry

    def _write_counter(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def _give_up_oldest(self) -> None:
        """Make room for one: a state will be said again, an event will not."""
        self._db.execute(
            "DELETE FROM outbox WHERE sequence = (SELECT sequence FROM outbox ORDER BY retain DESC, sequence LIMIT 1)"
        )
        self._depth -= 1
        self._lost += 1
        self._write_counter("lost", self._lost)

    def pending(self, after: int, limit: int) -> list[OutboxEntry]:
        with self._lock:
            rows = self._db.execute(
                "SELECT sequence, topic, payload, retain, expiry_s FROM outbox WHERE sequence > ? "
                "ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            OutboxEntry(sequence, topic, payload, bool(retain), expiry)
            for sequence, topic, payload, retain, expiry in rows
        ]

    def remove(self, sequence: int) -> None:
        with self._lock:
            gone = self._db.execute("DELETE FROM outbox WHERE sequence = ?", (sequence,)).rowcount
            self._depth -= gone

    def depth(self) -> int:
        return self._depth

    def close(self) -> None:
        with self._lock:
            self._db.close()
