"""Copies of the collector's SQLite database: made while it runs, put back while it does not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory

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


def restore(copy: Path, database: Path) -> Path | None:
    """Put a copy in the place of the database; returns where the former one now lies.

    An older schema is brought up to date when the collector starts.

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
    return aside if had_one else None


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
