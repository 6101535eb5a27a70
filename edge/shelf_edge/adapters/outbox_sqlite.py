"""The durable outbox: what is said is on disk before it goes to the network, and stays until the collector has it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shelf_contracts.envelope import with_numbering
from shelf_contracts.errors import FileProblems, Problem
from shelf_edge.ports import Clock, GivenUp, Notice, NumberRange, OutboxEntry, OutboxFull

log = logging.getLogger(__name__)

SCHEMA_VERSION = 3

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
_LOCK_WAIT_S = 0.5
_OPEN_WAIT_S = 5.0
_ANEW_EVERY_S = 60.0
_MOST_DAMAGED = 3
_BOOT = Path("/proc/sys/kernel/random/boot_id")
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
    A damaged file is set aside (``.damaged-<time>``) and what can be read of it goes on in a new one.

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
        self._path = path
        self._first_sequence = first_sequence
        self._numbering = ""
        self._sequence = self._lost = self._depth = self._bytes = self._waited = self._refused_told = 0
        self._begun_anew_s = float("-inf")
        self._reserve = path.with_name(path.name + ".reserve")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(path.name + ".new")
            if fresh.exists() and not path.exists():  # the power went while a damaged file was set aside
                fresh.replace(path)
            self._db = self._open()
        except OSError as error:
            raise _unusable(path, error) from error
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise _unusable(path, error) from error
            try:
                self._begin_anew(str(error), None)
            except (sqlite3.Error, OSError) as again:
                raise _unusable(path, again) from again
        self._has_reserve = self._take_reserve()
        self._age_checked_s = clock.monotonic_s() - _AGE_CHECK_EVERY_S

    def _open(self) -> sqlite3.Connection:
        """The database, brought up to date, and what we know of it. Raises: sqlite3.Error, OSError, FileProblems."""
        db = _connect(self._path)
        try:
            db.execute(f"PRAGMA busy_timeout={int(_LOCK_WAIT_S * 1000)}")
            # Without it a power cut could take back a number that the collector has seen.
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            self._db = db
            self._bring_up_to_date()
            self._sequence = self._read_counter("sequence", self._first_sequence - 1)
            self._lost = self._read_counter("lost", 0)
            self._waited = self._read_counter("waited", 0)
            self._refused_told = self._read_counter("refused_told", 0)
            self._numbering = self._read_name("numbering")
            depth, size, newest_s = db.execute(f"SELECT count(*), total({_SIZE}), max(made_s) FROM outbox").fetchone()
            self._depth, self._bytes = int(depth), int(size)
            self._aged_s = self._age_so_far(float(newest_s or 0.0)) - self._clock.monotonic_s()
            status = self._path.stat()
            self._file_id = status.st_dev, status.st_ino
        except BaseException:
            db.close()
            raise
        return db

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def numbering(self) -> str:
        return self._numbering

    def was_ours(self, numbering: str) -> bool:
        with self._lock:
            row = self._db.execute("SELECT 1 FROM name WHERE name = ?", (_FORMER + numbering,)).fetchone()
        return row is not None

    @property
    def lost(self) -> int:
        return self._lost

    @property
    def last_sequence(self) -> int:
        return self._sequence

    @property
    def waited(self) -> int:
        return self._waited

    @property
    def refused_told(self) -> int:
        return self._refused_told

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

    def append(self, make: Callable[[int], OutboxEntry], *, waited: int = 0, refused_told: int = 0) -> OutboxEntry:
        counters = {name: value for name, value in (("waited", waited), ("refused_told", refused_told)) if value}
        with self._lock:
            self._look_at_file()
            try:
                return self._append_or_make_room(make, counters)
            except sqlite3.DatabaseError as error:
                self._recover(error)
            try:
                return self._append_or_make_room(make, counters)
            except sqlite3.DatabaseError as error:
                raise OutboxFull(f"the outbox takes no more: {error}; look at its disk") from error

    def _append_or_make_room(self, make: Callable[[int], OutboxEntry], counters: dict[str, int]) -> OutboxEntry:
        if not self._has_reserve and not self._take_reserve():
            raise OutboxFull("the outbox takes no more: its disk is full; free space on it")
        try:
            return self._append(make, counters)
        except sqlite3.OperationalError as error:
            self._no_damage_nor_lock(error)
            self._make_room_on_disk()
            # The reserve is for deletions, so that there is always a way back; for a message it is lent only when
            # the file has room inside, so that it need not grow.
            if self._free_pages() < _LENT_ABOVE_PAGES:
                self._take_reserve()
        try:
            return self._append(make, counters)
        except sqlite3.OperationalError as error:
            self._no_damage_nor_lock(error)
            raise OutboxFull(f"the outbox takes no more: {error}; free space on its disk") from error
        finally:
            if not self._has_reserve:
                self._fold_log()
                self._take_reserve()

    def _append(self, make: Callable[[int], OutboxEntry], counters: dict[str, int]) -> OutboxEntry:
        with self._transaction():
            self._give_up_old()
            entry = self._insert(make)
            for name, value in counters.items():
                self._write_counter(name, value)
            if self._bytes > self._limits.bytes:
                self._give_up_for_room()
        self._waited = counters.get("waited", self._waited)
        self._refused_told = counters.get("refused_told", self._refused_told)
        return entry

    def append_notice(
        self,
        action: Literal["overflow", "gone"],
        given_up: GivenUp,
        numbering: str,
        text: str,
        *,
        refused_told: int = 0,
    ) -> None:
        for entry in self._notices(action, given_up, numbering, text):
            self.append(entry, refused_told=refused_told)

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
                try:
                    self._start_new_numbering(through)
                except sqlite3.DatabaseError as error:
                    self._recover(error)
                return 0
            self._look_at_file()
            try:
                return self._forget_or_make_room(first, through)
            except sqlite3.DatabaseError as error:
                self._recover(error)
            try:
                return self._forget_or_make_room(first, through)
            except sqlite3.DatabaseError as error:
                raise OutboxFull(f"the outbox cannot be changed: {error}; look at its disk") from error

    def _forget_or_make_room(self, first: int, through: int) -> int:
        try:
            return self._forget(first, through)
        except sqlite3.OperationalError as error:
            self._no_damage_nor_lock(error)
            self._make_room_on_disk()
        try:
            return self._forget_by_parts(first, through)
        except sqlite3.OperationalError as error:
            self._no_damage_nor_lock(error)
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

    # -- a file that is damaged, locked or gone -------------------------------------------------------------------

    def _no_damage_nor_lock(self, error: sqlite3.OperationalError) -> None:
        """Raises: OutboxFull when another program holds the file; ``error`` itself when the file is damaged."""
        if _is_damage(error):
            raise error
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            remedy = "end the other program that has it open"
            raise OutboxFull(f"the outbox takes no more: {self._path} is locked; {remedy}") from error

    def _look_at_file(self) -> None:
        """Notice when the file we write is no longer the one that a restart would find."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            found = None
        except OSError:
            return
        else:
            found = status.st_dev, status.st_ino
        if found != self._file_id:
            self._recover(sqlite3.DatabaseError("its file was removed or replaced"), must=True)

    def _recover(self, error: sqlite3.Error, *, must: bool = False) -> None:
        """Set the file aside and go on with a new one. Raises: OutboxFull when that did not help, or not for long."""
        if not (must or _is_damage(error)):
            raise OutboxFull(f"the outbox takes no more: {error}; look at its disk") from error
        now_s = self._clock.monotonic_s()
        if now_s - self._begun_anew_s < _ANEW_EVERY_S:
            raise OutboxFull(f"the outbox is damaged again: {error}; look at its disk") from error
        self._begun_anew_s = now_s
        try:
            self._begin_anew(str(error), self._db)
        except (sqlite3.Error, OSError, FileProblems) as again:
            with contextlib.suppress(sqlite3.Error, OSError, FileProblems):
                self._db = self._open()
            raise OutboxFull(f"the outbox is damaged ({error}), a new one failed: {again}; look at its disk") from again

    def _begin_anew(self, why: str, held: sqlite3.Connection | None) -> None:
        """Carry what can be read into a new file and keep the old one beside it.

        The numbering goes on where it was, so that the collector finds the gap and asks; when it cannot be read, a new
        one starts and tells of a loss of unknown size. Raises: sqlite3.Error, OSError, FileProblems.
        """
        fresh = self._path.with_name(self._path.name + ".new")
        for file in _files_of(fresh):
            file.unlink(missing_ok=True)
        self._reserve.unlink(missing_ok=True)  # room for the new one
        self._has_reserve = False
        old = held
        if old is None:
            with contextlib.suppress(sqlite3.Error):
                old = sqlite3.connect(self._path, timeout=_LOCK_WAIT_S, check_same_thread=False, isolation_level=None)
        known_depth = self._depth if held is not None else None
        names, counters = _read_all(old, "name"), _read_all(old, "counter")
        if held is not None:
            names["numbering"] = self._numbering
            counters |= {"sequence": self._sequence, "lost": self._lost}
            counters |= {"waited": self._waited, "refused_told": self._refused_told}
        new = _connect(fresh)
        try:
            new.executescript(f"BEGIN; {_TABLES} {_TABLES_2} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
            new.execute("BEGIN")
            saved = _salvage(old, new)
            is_known = "sequence" in counters and "numbering" in names
            if not is_known:
                if "numbering" in names:
                    names[f"{_FORMER}{names['numbering']}"] = ""
                # What was saved goes under new numbers, far above: whether these were given, nobody can tell.
                names["numbering"] = secrets.token_hex(8)
                counters["sequence"] = max(
                    [self._first_sequence - 1, *(row[0] for row in new.execute("SELECT sequence FROM outbox"))]
                )
                for sequence, payload in new.execute("SELECT sequence, payload FROM outbox").fetchall():
                    with contextlib.suppress(ValueError):
                        again = with_numbering(payload, str(names["numbering"]))
                        new.execute("UPDATE outbox SET payload = ? WHERE sequence = ?", (again, sequence))
            new.executemany("INSERT INTO name VALUES (?, ?)", names.items())
            new.executemany("INSERT INTO counter VALUES (?, ?)", counters.items())
            new.execute("COMMIT")
            new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            new.close()
        if old is not None:
            with contextlib.suppress(sqlite3.Error):
                old.close()
        aside = _set_aside(self._path, self._clock.now_s())
        fresh.replace(self._path)
        self._db = self._open()
        lost = "" if known_depth is None else f" of {known_depth}"
        text = f"the outbox was damaged: {why}; {saved}{lost} messages were saved; the file was set aside as {aside}"
        log.critical("%s: %s; check the disk or SD card", self._path, text)
        with contextlib.suppress(OutboxFull, sqlite3.Error), self._transaction():
            told = GivenUp(refused=0 if is_known else 1)
            for entry in self._notices("overflow", told, self._numbering, text[:300]):
                self._insert(entry)

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
            (entry.sequence, entry.topic, entry.payload, int(entry.retain), entry.expiry_s, self._age_s()),
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
        """Let go of what is too old for any reader.

        Age is the time a node ran with a message, by a clock that nobody sets: the wall clock of a computer without a
        battery begins in 1970, or jumps, and would throw away what is young.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._age_checked_s < _AGE_CHECK_EVERY_S:
            return
        self._age_checked_s = now_s
        age_s = self._age_s()
        self._write_counter("age_ms", int(age_s * 1000))
        self._write_counter("age_at_ms", int(now_s * 1000))
        self._db.execute("INSERT OR REPLACE INTO name VALUES ('boot', ?)", (_boot_id(),))
        before_s = age_s - self._limits.age_s
        states = self._delete("SELECT sequence FROM outbox WHERE retain AND made_s < ?", before_s)
        events = self._delete("SELECT sequence FROM outbox WHERE NOT retain AND made_s < ?", before_s)
        self._tell(events, states, 0, f"older than {self._limits.age_s:g} s")

    def _age_so_far(self, newest_s: float) -> float:
        """How long nodes ran with this outbox, in seconds. While the computer is on, a stopped node's time counts."""
        age_s = self._read_counter("age_ms", 0) / 1000
        since_s = self._clock.monotonic_s() - self._read_counter("age_at_ms", 0) / 1000
        if since_s > 0 and _boot_id() and self._read_name("boot") == _boot_id():
            age_s += since_s
        return max(age_s, newest_s)

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

    def _age_s(self) -> float:
        return self._aged_s + self._clock.monotonic_s()

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
            self._db.execute("INSERT OR REPLACE INTO name VALUES (?, '')", (_FORMER + self._numbering,))
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
        tables = f"{_TABLES} {_TABLES_2}" if version < 2 else ""
        # Until version 3 ages were counted by the wall clock: all begin anew.
        ages = "UPDATE outbox SET made_s = 0;"
        self._db.executescript(f"BEGIN IMMEDIATE; {tables} {ages} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        if is_new:  # an older outbox goes on under the name it never had
            self._db.execute("INSERT INTO name VALUES ('numbering', ?)", (secrets.token_hex(8),))

    def _entries(self, where: str, parameters: tuple[int, ...], limit: int) -> list[OutboxEntry]:
        query = f"SELECT sequence, topic, payload, retain, expiry_s FROM outbox WHERE {where} ORDER BY sequence LIMIT ?"
        with self._lock:
            try:
                rows = self._db.execute(query, (*parameters, limit)).fetchall()
            except sqlite3.DatabaseError as error:
                self._recover(error)
                rows = self._db.execute(query, (*parameters, limit)).fetchall()
        return [
            OutboxEntry(sequence, topic, payload, bool(retain), expiry)
            for sequence, topic, payload, retain, expiry in rows
        ]

    def _read_counter(self, name: str, default: int) -> int:
        row = self._db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else default

    def _read_name(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM name WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def _write_counter(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )


_FORMER = "former "
_SIZE = "length(topic) + length(payload)"
_SUPERSEDED = (
    "SELECT sequence FROM outbox AS old WHERE retain AND EXISTS "
    "(SELECT 1 FROM outbox AS newer WHERE newer.retain AND newer.topic = old.topic AND newer.sequence > old.sequence)"
)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_OPEN_WAIT_S, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _unusable(path: Path, error: Exception) -> FileProblems:
    remedy = "end other programs that have it open, and see that this user may write its folder"
    return FileProblems(path, [Problem("", str(error), "must be a usable SQLite file", remedy)])


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether what is on the disk can no longer be read as what was written."""
    unreadable = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
    extended = int(getattr(error, "sqlite_errorcode", 0))
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or extended in unreadable


def _boot_id() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _files_of(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


def _read_all(db: sqlite3.Connection | None, table: Literal["name", "counter"]) -> dict[str, Any]:
    """What can be read of a table of names and values; nothing when it cannot."""
    if db is None:
        return {}
    try:
        return {str(name): value for name, value in db.execute(f"SELECT name, value FROM {table}").fetchall()}
    except sqlite3.Error:
        return {}


def _salvage(old: sqlite3.Connection | None, new: sqlite3.Connection) -> int:
    """Copy what can be read, from both ends up to the damage; returns how many messages."""
    if old is None:
        return 0
    columns = "sequence, topic, payload, retain, expiry_s, made_s"
    for order in ("ASC", "DESC"):
        # Which errors a damaged page gives is not ours to foresee; each row that came out before is whole.
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            for row in old.execute(f"SELECT {columns} FROM outbox ORDER BY sequence {order}"):
                new.execute(f"INSERT OR IGNORE INTO outbox ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
    with contextlib.suppress(sqlite3.Error):
        new.executemany("INSERT OR IGNORE INTO given_up VALUES (?, ?, ?)", old.execute("SELECT * FROM given_up"))
    return int(new.execute("SELECT count(*) FROM outbox").fetchone()[0])


def _set_aside(path: Path, now_s: float) -> str:
    """Rename a damaged database, its log with it, and keep the newest few; returns its new name."""
    mark = f".damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now_s))}-{secrets.token_hex(2)}"
    for file in _files_of(path):
        if file.exists():
            file.replace(path.with_name(path.name + mark + file.name.removeprefix(path.name)))
    kept = sorted(path.parent.glob(f"{path.name}.damaged-*"), key=lambda file: file.stat().st_mtime)
    main = [file for file in kept if not file.name.endswith(("-wal", "-shm"))]
    for old in main[:-_MOST_DAMAGED]:
        for file in _files_of(old):
            file.unlink(missing_ok=True)
    return path.name + mark


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
    longest = max(len(given_up.lost), len(given_up.superseded), 1)
    for start in range(0, longest, _RANGES_PER_NOTICE):
        part = slice(start, start + _RANGES_PER_NOTICE)
        counts = (given_up.health, given_up.refused) if start == 0 else (0, 0)
        yield GivenUp(given_up.lost[part], given_up.superseded[part], *counts)
