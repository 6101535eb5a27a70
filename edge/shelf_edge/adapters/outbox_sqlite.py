"""The durable outbox: what is said is on disk before it goes to the network, and stays until the collector has it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shelf_contracts.envelope import with_numbering
from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.ports import Clock, GivenUp, Notice, NumberRange, OutboxEntry, OutboxFull

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2

_TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    retain INTEGER NOT NULL,
    expiry_s INTEGER
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
# What version 0.1.0 wrote is above; this is what came after it.
_TABLES_2 = """
CREATE TABLE health (row INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, made_s REAL NOT NULL);
CREATE TABLE given_up (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, was_event INTEGER NOT NULL);
CREATE TABLE name (name TEXT PRIMARY KEY, value TEXT NOT NULL);
ALTER TABLE outbox ADD COLUMN made_s REAL NOT NULL DEFAULT 0;
CREATE INDEX outbox_topic ON outbox (topic, sequence) WHERE retain;
"""
_LOG_PAGES = 100
_DELETED_AT_ONCE = 20
_LENT_ABOVE_PAGES = 16
_FREED_SHARE = 0.1
_HEALTH_KEPT_S = 120.0
_MOST_HEALTH = 60
_AGE_CHECK_EVERY_S = 60.0
_JUMP_S = 5.0
_RANGES_PER_NOTICE = 200


@dataclass(frozen=True)
class OutboxLimits:
    """How much may wait: payload and topic bytes, and seconds since a message was made.

    ``reserve_bytes`` lie beside the outbox in a file that is given up when the disk is full: without some room SQLite
    cannot even delete. The log takes about 400 KiB.
    """

    bytes: int = 256 * 1024 * 1024
    age_s: float = 7 * 86_400.0
    reserve_bytes: int = 1024 * 1024


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a node's state folder for this process alone; the lock goes with the process, however it ends.

    Raises: FileProblems when another node has it: two would give the same numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        try:
            import fcntl
        except ImportError:  # Windows has no flock; there the folder is not guarded
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            problem = Problem("", "in use", "must belong to one node", "stop the other node, or give this one its own")
            raise FileProblems(folder, [problem]) from error
        yield


MakeNotice = Callable[[int, str, Notice], OutboxEntry]
"""From a sequence number, its numbering and what was given up, to the event that says so."""


class SqliteOutbox:
    """One file; any thread. Every append is synced to the disk before it returns: a power cut takes no number back.

    At a bound the oldest health messages go first, then all states of which a newer one waits, then the oldest events,
    until a tenth of the bound is free again; an event made by ``make_notice`` says which numbers went. A full disk is
    another thing: the newest message is refused, what was said before stays.

    Args:
        path: the database; made when missing, brought up to date when written by an older version.
        first_sequence: where a new outbox starts counting. Milliseconds since the epoch, so that a node that lost its
            disk never says an old number again.
        make_notice: without it what was given up is only counted.
    Raises: FileProblems when the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        first_sequence: int,
        clock: Clock,
        limits: OutboxLimits | None = None,
        make_notice: MakeNotice | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._clock = clock
        self._limits = limits or OutboxLimits()
        self._make_notice = make_notice
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # Without it a power cut could take back a number that the collector has seen.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            self._bring_up_to_date()
            self._sequence = self._read_counter("sequence", first_sequence - 1)
            self._lost = self._read_counter("lost", 0)
            row = self._db.execute("SELECT value FROM name WHERE name = 'numbering'").fetchone()
            self._numbering = str(row[0]) if row else ""
            depth, size = self._db.execute(f"SELECT count(*), total({_SIZE}) FROM outbox").fetchone()
            self._depth, self._bytes = int(depth), int(size)
        except (sqlite3.Error, OSError) as error:
            remedy = "move the file away to start a new outbox; what it holds is then lost"
            raise FileProblems(path, [Problem("", str(error), "must be a usable SQLite file", remedy)]) from error
        except FileProblems:
            self._db.close()
            raise
        self._reserve = path.with_name(path.name + ".reserve")
        self._has_reserve = self._take_reserve()
        self._wall_ahead_s = clock.now_s() - clock.monotonic_s()
        self._age_checked_s = clock.monotonic_s() - _AGE_CHECK_EVERY_S

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def numbering(self) -> str:
        return self._numbering

    @property
    def lost(self) -> int:
        return self._lost

    @property
    def last_sequence(self) -> int:
        return self._sequence

    def depth(self) -> int:
        return self._depth

    @property
    def size_bytes(self) -> int:
        """Topics and payloads that wait, in bytes."""
        return self._bytes

    def bound_file(self, grow_by_pages: int | None) -> None:
        """For rehearsals: let the file grow by so many pages and no more, as on a full disk; None: let it grow."""
        with self._lock:
            if grow_by_pages is None:
                self._db.execute("PRAGMA max_page_count = 1073741823")
                return
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("VACUUM")
            pages = int(self._db.execute("PRAGMA page_count").fetchone()[0])
            self._db.execute(f"PRAGMA max_page_count = {pages + grow_by_pages}")

    # -- in ------------------------------------------------------------------------------------------------------

    def append(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        with self._lock:
            if not self._has_reserve and not self._take_reserve():
                raise OutboxFull("the outbox takes no more: its disk is full; free space on it")
            try:
                return self._append(make)
            except sqlite3.OperationalError:
                self._make_room_on_disk()
                # The reserve is for deletions, so that there is always a way back; for a message it is lent only when
                # the file has room inside, so that it need not grow.
                if self._free_pages() < _LENT_ABOVE_PAGES:
                    self._take_reserve()
            try:
                return self._append(make)
            except sqlite3.OperationalError as error:
                raise OutboxFull(f"the outbox takes no more: {error}; free space on its disk") from error
            finally:
                if not self._has_reserve:
                    self._fold_log()
                    self._take_reserve()

    def _append(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        with self._transaction():
            self._give_up_old()
            entry = self._insert(make)
            if self._bytes > self._limits.bytes:
                self._give_up_for_room()
        return entry

    def append_notice(self, action: Literal["overflow", "gone"], given_up: GivenUp, numbering: str, text: str) -> None:
        for entry in self._notices(action, given_up, numbering, text):
            self.append(entry)

    def append_health(self, topic: str, payload: bytes) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error), self._transaction():
            if self._bytes < self._limits.bytes * (1 - _FREED_SHARE):
                values = (topic, payload, self._clock.monotonic_s())
                self._db.execute("INSERT INTO health (topic, payload, made_s) VALUES (?, ?, ?)", values)
            newest = "SELECT row FROM health ORDER BY row DESC LIMIT ?"
            self._db.execute(f"DELETE FROM health WHERE row NOT IN ({newest})", (_MOST_HEALTH,))

    def take_health(self) -> list[tuple[str, bytes]]:
        with self._lock:
            try:
                rows = self._db.execute("SELECT topic, payload, made_s FROM health ORDER BY row").fetchall()
                if rows:
                    self._db.execute("DELETE FROM health")
            except sqlite3.Error:
                return []
        now_s = self._clock.monotonic_s()
        # Monotonic time starts anew with the computer: what seems to come from the future is of another start.
        return [(topic, payload) for topic, payload, made_s in rows if 0 <= now_s - made_s <= _HEALTH_KEPT_S]

    # -- out -----------------------------------------------------------------------------------------------------

    def pending(self, after: int, limit: int) -> list[OutboxEntry]:
        return self._entries("sequence > ?", (after,), limit)

    def within(self, asked: NumberRange, limit: int) -> list[OutboxEntry]:
        return self._entries("sequence BETWEEN ? AND ?", asked, limit)

    def missing(self, asked: NumberRange) -> GivenUp:
        first, last = asked[0], min(asked[1], self._sequence)
        with self._lock:
            query = "SELECT sequence FROM outbox WHERE sequence BETWEEN ? AND ? ORDER BY sequence"
            held = [int(row[0]) for row in self._db.execute(query, (first, last))]
            told = "SELECT first, last FROM given_up WHERE NOT was_event AND last >= ? AND first <= ? ORDER BY first"
            superseded = [
                (max(first, one), min(last, other)) for one, other in self._db.execute(told, (first, last)).fetchall()
            ]
        gone = _without(_without([(first, last)], [(one, one) for one in held]), superseded) if first <= last else []
        return GivenUp(lost=tuple(gone), superseded=tuple(superseded))

    def acknowledge(self, numbering: str, first: int, through: int) -> int:
        with self._lock:
            if numbering != self._numbering:
                return 0
            if through > self._sequence:
                self._start_new_numbering(through)
                return 0
            try:
                return self._forget(first, through)
            except sqlite3.OperationalError:
                self._make_room_on_disk()
            try:
                return self._forget_by_parts(first, through)
            except sqlite3.OperationalError as error:
                raise OutboxFull(f"the outbox cannot be changed: {error}; free space on its disk") from error
            finally:
                self._fold_log()
                self._take_reserve()

    def _forget_by_parts(self, first: int, through: int) -> int:
        """As ``_forget``, with a log that never grows beyond what the reserve has room for."""
        gone = 0
        while True:
            query = "SELECT max(sequence) FROM (SELECT sequence FROM outbox WHERE sequence BETWEEN ? AND ? LIMIT ?)"
            last = self._db.execute(query, (first, through, _DELETED_AT_ONCE)).fetchone()[0]
            if last is None:
                return gone + self._forget(first, through)
            gone += self._forget(first, int(last))
            self._fold_log()

    def _forget(self, first: int, through: int) -> int:
        where = "sequence BETWEEN ? AND ?"
        with self._transaction():
            size = self._db.execute(f"SELECT total({_SIZE}) FROM outbox WHERE {where}", (first, through))
            freed = int(size.fetchone()[0])
            gone = self._db.execute(f"DELETE FROM outbox WHERE {where}", (first, through)).rowcount
            self._db.execute("DELETE FROM given_up WHERE last <= ?", (through,))
            self._depth -= gone
            self._bytes -= freed
        return gone

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # -- inside --------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, our own figures included."""
        before = self._sequence, self._lost, self._depth, self._bytes
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._sequence, self._lost, self._depth, self._bytes = before
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, make: Callable[[int], OutboxEntry]) -> OutboxEntry:
        entry = make(self._sequence + 1)
        self._db.execute(
            "INSERT INTO outbox (sequence, topic, payload, retain, expiry_s, made_s) VALUES (?, ?, ?, ?, ?, ?)",
            (entry.sequence, entry.topic, entry.payload, int(entry.retain), entry.expiry_s, self._clock.now_s()),
        )
        self._write_counter("sequence", entry.sequence)
        self._sequence = entry.sequence
        self._depth += 1
        self._bytes += len(entry.topic) + len(entry.payload)
        return entry

    def _give_up_for_room(self) -> None:
        goal = int(self._limits.bytes * (1 - _FREED_SHARE))
        health = self._db.execute("DELETE FROM health").rowcount
        superseded = self._delete(_SUPERSEDED)
        lost: list[int] = []
        if self._bytes > goal:
            room = self._bytes - goal
            lost = self._delete(
                f"SELECT sequence FROM (SELECT sequence, sum({_SIZE}) OVER (ORDER BY sequence) - {_SIZE} AS before "
                "FROM outbox WHERE NOT retain) WHERE before < ?",
                room,
            )
        # The newest stays, whatever it is: it is what is being said now.
        self._tell(lost, superseded, health, f"the bound of {self._limits.bytes} bytes was reached")

    def _give_up_old(self) -> None:
        """Let go of what is too old for any reader. A clock that was set does not make a message older."""
        now_s = self._clock.monotonic_s()
        if now_s - self._age_checked_s < _AGE_CHECK_EVERY_S:
            return
        self._age_checked_s = now_s
        ahead_s = self._clock.now_s() - now_s
        jump_s, self._wall_ahead_s = ahead_s - self._wall_ahead_s, ahead_s
        if abs(jump_s) > _JUMP_S:
            self._db.execute("UPDATE outbox SET made_s = made_s + ?", (jump_s,))
        before_s = self._clock.now_s() - self._limits.age_s
        states = self._delete("SELECT sequence FROM outbox WHERE retain AND made_s < ?", before_s)
        events = self._delete("SELECT sequence FROM outbox WHERE NOT retain AND made_s < ?", before_s)
        self._tell(events, states, 0, f"older than {self._limits.age_s:g} s")

    def _delete(self, query: str, *parameters: float) -> list[int]:
        """Delete the entries whose numbers the query gives; returns them in order."""
        numbers = sorted(int(row[0]) for row in self._db.execute(query, parameters).fetchall())
        for number in numbers:
            size = self._db.execute(f"SELECT {_SIZE} FROM outbox WHERE sequence = ?", (number,)).fetchone()[0]
            self._db.execute("DELETE FROM outbox WHERE sequence = ?", (number,))
            self._depth -= 1
            self._bytes -= int(size)
        return numbers

    def _tell(self, lost: list[int], superseded: list[int], health: int, why: str) -> None:
        if not (lost or superseded):
            return
        if lost:
            self._lost += len(lost)
            self._write_counter("lost", self._lost)
            log.error("outbox: %d events were given up: %s", len(lost), why)
        given_up = GivenUp(tuple(_ranges(lost)), tuple(_ranges(superseded)), health)
        for ranges, was_event in ((given_up.lost, 1), (given_up.superseded, 0)):
            rows = [(first, last, was_event) for first, last in ranges]
            self._db.executemany("INSERT OR REPLACE INTO given_up VALUES (?, ?, ?)", rows)
        for entry in self._notices("overflow", given_up, self._numbering, why):
            self._insert(entry)

    def _notices(
        self, action: Literal["overflow", "gone"], given_up: GivenUp, numbering: str, text: str
    ) -> Iterator[Callable[[int], OutboxEntry]]:
        make = self._make_notice
        if make is not None:
            for part in _parts(given_up):
                notice = Notice(action, part, numbering, text)
                yield lambda sequence, notice=notice: make(sequence, self._numbering, notice)  # type: ignore[misc]

    def _make_room_on_disk(self) -> None:
        """The disk is full: fold the log into the file, for which the reserve makes room, and let go of what costs
        nothing. Whether that was enough the next attempt shows."""
        self._reserve.unlink(missing_ok=True)
        self._has_reserve = False
        self._fold_log()
        with contextlib.suppress(sqlite3.Error), self._transaction():
            health = self._db.execute("DELETE FROM health").rowcount
            self._tell([], self._delete(_SUPERSEDED), health, "the disk is full")
        self._fold_log()

    def _free_pages(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def _fold_log(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _take_reserve(self) -> bool:
        """Have the reserve on disk; False when there is no room for it."""
        size = self._limits.reserve_bytes
        try:
            if not (self._reserve.exists() and self._reserve.stat().st_size >= size):
                with self._reserve.open("wb") as file:
                    if hasattr(os, "posix_fallocate") and size:
                        os.posix_fallocate(file.fileno(), 0, size)
                    else:
                        file.write(bytes(size))
        except OSError:
            with contextlib.suppress(OSError):
                self._reserve.unlink(missing_ok=True)
            self._has_reserve = False
        else:
            self._has_reserve = True
        return self._has_reserve

    def _start_new_numbering(self, through: int) -> None:
        """The collector has numbers we never gave: this disk was put back from an image. Nothing is thrown away."""
        numbering = secrets.token_hex(8)
        log.warning(
            "outbox: the collector knows numbers up to %d, we gave %d: a new numbering", through, self._sequence
        )
        with self._transaction():
            for sequence, payload in self._db.execute("SELECT sequence, payload FROM outbox").fetchall():
                with contextlib.suppress(ValueError):
                    again = with_numbering(payload, numbering)
                    self._db.execute("UPDATE outbox SET payload = ? WHERE sequence = ?", (again, sequence))
            self._db.execute("INSERT OR REPLACE INTO name VALUES ('numbering', ?)", (numbering,))
            self._db.execute("DELETE FROM given_up")
            self._bytes = int(self._db.execute(f"SELECT total({_SIZE}) FROM outbox").fetchone()[0])
        self._numbering = numbering

    def _bring_up_to_date(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            file = self._db.execute("PRAGMA database_list").fetchone()[2]
            found, allowed = f"schema {version}", f"must be at most {SCHEMA_VERSION}"
            raise FileProblems(file, [Problem("user_version", found, allowed, "update smartshelf on this node")])
        if version == SCHEMA_VERSION:
            return
        is_new = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} {_TABLES_2} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        self._db.execute("UPDATE outbox SET made_s = ?", (self._clock.now_s(),))
        if is_new:  # an older outbox goes on under the name it never had
            self._db.execute("INSERT INTO name VALUES ('numbering', ?)", (secrets.token_hex(8),))

    def _entries(self, where: str, parameters: tuple[int, ...], limit: int) -> list[OutboxEntry]:
        with self._lock:
            rows = self._db.execute(
                "SELECT sequence, topic, payload, retain, expiry_s FROM outbox "
                f"WHERE {where} ORDER BY sequence LIMIT ?",
                (*parameters, limit),
            ).fetchall()
        return [
            OutboxEntry(sequence, topic, payload, bool(retain), expiry)
            for sequence, topic, payload, retain, expiry in rows
        ]

    def _read_counter(self, name: str, default: int) -> int:
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else default

    def _write_counter(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )


_SIZE = "length(topic) + length(payload)"
_SUPERSEDED = (
    "SELECT sequence FROM outbox AS old WHERE retain AND EXISTS "
    "(SELECT 1 FROM outbox AS newer WHERE newer.retain AND newer.topic = old.topic AND newer.sequence > old.sequence)"
)


def _ranges(numbers: Iterable[int]) -> list[NumberRange]:
    """Rising numbers as ranges."""
    found: list[NumberRange] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _without(ranges: list[NumberRange], taken: list[NumberRange]) -> list[NumberRange]:
    """What is left of rising ranges without others, which rise too."""
    left: list[NumberRange] = []
    for first, last in ranges:
        start = first
        for one, other in taken:
            if other < start or one > last:
                continue
            if one > start:
                left.append((start, one - 1))
            start = other + 1
        if start <= last:
            left.append((start, last))
    return left


def _parts(given_up: GivenUp) -> Iterator[GivenUp]:
    """In messages of bounded size; the counts go with the first."""
    longest = max(len(given_up.lost), len(given_up.superseded), 1 if given_up.refused else 0)
    for start in range(0, longest, _RANGES_PER_NOTICE):
        part = slice(start, start + _RANGES_PER_NOTICE)
        counts = (given_up.health, given_up.refused) if start == 0 else (0, 0)
        yield GivenUp(given_up.lost[part], given_up.superseded[part], *counts)
