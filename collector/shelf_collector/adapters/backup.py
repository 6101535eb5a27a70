"""Copies of the collector's SQLite database: made while it runs, put back while it does not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory

from shelf_collector.core.logbook import Deed
from shelf_collector.ports import StorageProblem

_LOCK_WAIT_S = 10.0


@dataclass(frozen=True)
class Copy:
    """A copy that was made or examined. ``messages`` is how many the history holds."""

    file: Path
    size_bytes: int
    revision: str
    messages: int


def sqlite_file(url: str) -> Path:
    """The file of a database URL. Raises: StorageProblem when it is no SQLite database in a file."""
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        place = parsed.render_as_string(hide_password=True)
        raise StorageProblem(f"database {place}: only SQLite files are copied here; use the server's own tools")
    return Path(parsed.database)


def to_be_read(url: str) -> str:
    """The URL by which a database that is there is read and never written, whoever else works on it.

    Raises: StorageProblem when there is none, or it is of another schema than this version's.
    """
    if sa.engine.make_url(url).get_backend_name() != "sqlite":
        return url
    file = sqlite_file(url)
    if not file.is_file():
        raise StorageProblem(f"database {file}: is not there; has a collector run with this configuration?")
    place = f"{file.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True, timeout=_LOCK_WAIT_S)) as connection:
            revisions = [str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")]
    except sqlite3.Error as error:
        raise StorageProblem(f"database {file}: is no collector's database: {error}") from error
    if revisions != known_revisions()[-1:]:
        raise StorageProblem(
            f"database {file}: schema {', '.join(revisions) or 'unknown'}: must be {known_revisions()[-1]}; start the "
            "collector of this version once, it brings the file up to date"
        )
    return f"sqlite:///{place}&uri=true"


@contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Hold the database for this process alone; the lock goes with the process, however it ends.

    Raises: StorageProblem when another collector has it.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(database.name + ".lock").open("ab") as lock:
        try:
            import fcntl
        except ImportError:  # Windows has no flock; there the database is not guarded
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageProblem(f"database {database}: a collector works on it; stop that one first") from error
        yield


Note = Callable[[str, Deed], None]
"""Writes a row into the log of the database with this URL."""


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        aside: where the former database lies. tokens: names of API tokens it revoked.
        people: names of people with what became of them.
    """

    aside: Path | None
    tokens: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


def backup(database: Path, target: Path) -> Copy:
    """Copy the database into a new file, while a collector may be writing.

    The copy is one moment of the database, is checked, and appears under its name only when it is whole.
    Raises: StorageProblem.
    """
    if not database.exists():
        raise StorageProblem(f"database {database}: is not there; has a collector run with this configuration?")
    if target.exists():
        raise StorageProblem(f"{target}: is there already; a backup never overwrites a file")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_LOCK_WAIT_S)) as source,
            closing(sqlite3.connect(part, isolation_level=None)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        part.chmod(0o600)
        found = examine(part)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StorageProblem(f"{target}: the backup failed: {error}; is there room on the disk?") from error
    return Copy(target, found.size_bytes, found.revision, found.messages)


def examine(copy: Path) -> Copy:
    """Check that a copy is whole and of a schema this version knows. Raises: StorageProblem saying what is wrong."""
    if not copy.is_file():
        raise StorageProblem(f"{copy}: is no file")
    try:
        with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            if problems != ["ok"]:
                raise StorageProblem(f"{copy}: is damaged: {'; '.join(problems)}; take another backup")
            revisions = [str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")]
            messages = int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])
    except sqlite3.Error as error:
        raise StorageProblem(f"{copy}: is no collector's database: {error}") from error
    known = known_revisions()
    if len(revisions) != 1 or revisions[0] not in known:
        raise StorageProblem(
            f"{copy}: schema {', '.join(revisions) or 'unknown'}: must be one of {', '.join(known)}; it was made by a "
            "newer smartshelf: update this one first"
        )
    return Copy(copy, copy.stat().st_size, revisions[0], messages)


def restore(copy: Path, database: Path, note: Note) -> Restored:
    """Put a copy in the place of the database. Rights that were taken since it was made do not come back.

    ``note`` writes the row that says so into the log of the database with that URL, before it takes its place. An
    older schema is brought up to date when the collector starts.

    Raises: StorageProblem, also while a collector runs.
    """
    with only_one(database):
        examine(copy)
        part = database.with_name(database.name + ".part")
        aside = _free_name(database.with_name(database.name + ".before-restore"))
        try:
            part.unlink(missing_ok=True)
            with (
                closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(part, isolation_level=None)) as target,
            ):
                source.backup(target)
            part.chmod(0o600)
            tokens, people = _take_rights(part, database if database.exists() else None)
            _note_restore(part, copy.name, tokens, people, note)
            _sync(part)
            had_one = database.exists()
            if had_one:
                _fold_log(database)
                database.rename(aside)
            for ending in ("-wal", "-shm"):
                database.with_name(database.name + ending).unlink(missing_ok=True)
            part.rename(database)
            _sync(database.parent)
        except (sqlite3.Error, OSError) as error:
            raise StorageProblem(f"{database}: the restore failed: {error}; the former one is at {aside}") from error
    return Restored(aside if had_one else None, tokens, people)


def _take_rights(part: Path, former: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """End what the copy still allows and should not; returns the names of tokens and of people this changed."""
    with closing(sqlite3.connect(part, isolation_level=None)) as held:
        tables = {str(row[0]) for row in held.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"people", "sessions", "one_time_links", "api_tokens"} <= tables:
            return (), ()  # of a version without people
        known = _rights_of(former) if former is not None else None
        held.execute("BEGIN")
        held.execute("DELETE FROM sessions")
        held.execute("DELETE FROM one_time_links")
        if "notice_queue" in tables:
            held.execute("DELETE FROM notice_queue")  # sent since, or too late by now
        tokens: list[str] = []
        for number, name, hashed in held.execute("SELECT id, name, hash FROM api_tokens").fetchall():
            if known is None or hashed not in known.tokens:
                held.execute("DELETE FROM api_tokens WHERE id = ?", (number,))
                tokens.append(str(name))
        people: list[str] = []
        rows = held.execute("SELECT id, name, same_name, role, password_hash FROM people").fetchall()
        for number, name, same, role, password in rows if known is not None else ():
            assert known is not None
            now = known.people.get(same)
            if now is None:
                held.execute("UPDATE people SET password_hash = NULL WHERE id = ?", (number,))
                people.append(f"{name} (was removed since: needs a new link)")
            elif now != (role, password):
                held.execute("UPDATE people SET role = ?, password_hash = ? WHERE id = ?", (*now, number))
                people.append(f"{name} (keeps today's role and password)")
        held.execute("COMMIT")
    return tuple(tokens), tuple(people)


@dataclass(frozen=True)
class _Rights:
    """Hashes of tokens; role and password hash by name."""

    tokens: frozenset[str]
    people: dict[str, tuple[str, str | None]]


def _rights_of(database: Path) -> _Rights | None:
    """None when the database cannot be read: then nobody knows what was taken."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as held:
            tokens = frozenset(str(row[0]) for row in held.execute("SELECT hash FROM api_tokens"))
            rows = held.execute("SELECT same_name, role, password_hash FROM people").fetchall()
    except sqlite3.Error:
        return None
    return _Rights(tokens, {str(same): (str(role), password) for same, role, password in rows})


def _note_restore(part: Path, copy: str, tokens: tuple[str, ...], people: tuple[str, ...], note: Note) -> None:
    """A row of the log that says so, where the copy has a log."""
    with closing(sqlite3.connect(part)) as held:
        has_log = held.execute("SELECT 1 FROM sqlite_master WHERE name = 'logbook_head'").fetchone()
    if not has_log:
        return
    detail = {"copy": copy, "tokens_revoked": ", ".join(tokens), "people": ", ".join(people)}
    note(f"sqlite:///{part}", Deed("database.restored", detail=detail))
    with closing(sqlite3.connect(part, isolation_level=None)) as held:
        held.execute("PRAGMA journal_mode=DELETE")  # one file, which is renamed


def known_revisions() -> list[str]:
    """The schemas this version can read, oldest first."""
    settings = AlembicConfig()
    settings.set_main_option("path_separator", "os")
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return [script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()][::-1]


def _fold_log(database: Path) -> None:
    """What the write-ahead log holds belongs to the file that is put aside. A damaged one goes as it is."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _free_name(wished: Path) -> Path:
    number, name = 1, wished
    while name.exists():
        number += 1
        name = wished.with_name(f"{wished.name}-{number}")
    return name


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
