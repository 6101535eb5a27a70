"""Copies of the database while it is written to, put back, and refused."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.backup import backup, examine, known_revisions, only_one, restore, sqlite_file
from shelf_collector.adapters.database import Database
from shelf_collector.cli import _note_in, app
from shelf_collector.core.access import Role, SessionRules
from shelf_collector.core.logbook import Deed
from shelf_collector.core.memory import Facts, FreshMessage
from shelf_collector.core.state import StoreState
from shelf_collector.ports import StorageProblem
from tests.collector.builders import NOON, Node


def write(database: Database, node: Node, times: int = 1, state: StoreState | None = None) -> None:
    state = state or StoreState()
    for _ in range(times):
        message = node.event("pick")
        state.apply(message, NOON)
        facts = Facts(fresh=[FreshMessage(message, "applied", NOON)], sources={(node.source, node.numbering)})
        database.store(facts, state, [])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "c.sqlite3"


def test_a_copy_made_while_the_collector_writes_is_one_moment_of_it(file: Path, tmp_path: Path) -> None:
    database, node, stop = Database(f"sqlite:///{file}"), Node(numbering="a1"), threading.Event()
    database.open()
    state = StoreState()

    def keep_writing() -> None:
        while not stop.is_set():
            write(database, node, state=state)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        copies = [backup(file, tmp_path / f"copy{index}") for index in range(5)]
    finally:
        stop.set()
        writer.join()
        database.close()
    for copy in copies:
        assert examine(copy.file) == copy
        with closing(sqlite3.connect(copy.file)) as held:
            # The books and the history of one moment agree.
            applied = held.execute("SELECT applied FROM sources").fetchone()
            assert copy.messages == (applied[0] if applied else 0)
    assert copies[-1].messages > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f"copy{index}" for index in range(5)), "state"]


def test_what_is_restored_is_what_was_saved_and_the_former_stays(file: Path, tmp_path: Path) -> None:
    database, node = Database(f"sqlite:///{file}"), Node(numbering="a1")
    database.open()
    write(database, node, 3)
    backup(file, tmp_path / "copy")
    write(database, node, 2)
    database.close()
    aside = restore(tmp_path / "copy", file, _note_in).aside
    assert aside is not None
    assert (examine(aside).messages, examine(file).messages) == (5, 3)
    again = Database(f"sqlite:///{file}")
    again.open()
    assert [one.applied for one in again.audits()] == [3]
    again.close()
    assert restore(tmp_path / "copy", file, _note_in).aside not in (None, aside)


def test_nothing_is_put_back_under_a_running_collector(file: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{file}")
    database.open()
    database.close()
    backup(file, tmp_path / "copy")
    with only_one(file), pytest.raises(StorageProblem, match="stop that one first"):
        restore(tmp_path / "copy", file, _note_in)
    restore(tmp_path / "copy", file, _note_in)


def test_rights_that_were_taken_do_not_come_back(file: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{file}"
    database = Database(url)
    database.open()
    database.close()
    accounts, deed = Accounts(url), Deed("login")
    anna = accounts.add_person("Anna", Role.ADMIN, NOON, deed, "hash-of-old")
    ben = accounts.add_person("Ben", Role.STAFF, NOON, deed, "hash-of-ben")
    accounts.open_session("s" * 64, anna, NOON, SessionRules(), deed)
    accounts.put_link("l" * 64, ben.id, NOON + timedelta(days=1), NOON, deed)
    for name in ("till", "stolen"):
        accounts.add_token(name * 2, "h", name, ["log:read"], "Anna", NOON, NOON + timedelta(days=30), deed)
    backup(file, tmp_path / "copy")
    stolen = next(one for one in accounts.tokens() if one.name == "stolen")
    accounts.remove_token(stolen.id, NOON, deed)
    accounts.set_password(anna, "hash-of-new", NOON, deed)
    accounts.remove_person(ben, NOON, deed)
    accounts.close()

    restored = restore(tmp_path / "copy", file, _note_in)
    assert restored.tokens == ("stolen",)
    assert [name.split()[0] for name in restored.people] == ["Anna", "Ben"]
    with closing(sqlite3.connect(file)) as held:
        assert held.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
        assert held.execute("SELECT count(*) FROM one_time_links").fetchone() == (0,)
    accounts = Accounts(url)
    assert [one.name for one in accounts.tokens()] == ["till"]
    assert [one.password_hash for one in accounts.people()] == ["hash-of-new", None]
    count, _, broken = accounts.verify()
    assert not broken
    newest = accounts.log_page(None, 1)[0]
    assert (newest.row, newest.action, "stolen" in newest.detail) == (count, "database.restored", True)
    accounts.close()

    # On a new computer nobody knows what was revoked.
    elsewhere = tmp_path / "new" / "c.sqlite3"
    assert restore(tmp_path / "copy", elsewhere, _note_in).tokens == ("till", "stolen")
    assert [path.name for path in elsewhere.parent.iterdir() if "lock" not in path.name] == ["c.sqlite3"]


def test_a_copy_of_a_newer_version_or_a_damaged_one_is_refused(file: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{file}")
    database.open()
    write(database, Node(), 50)
    database.close()
    newer = backup(file, tmp_path / "newer").file
    with closing(sqlite3.connect(newer)) as held:
        held.execute("UPDATE alembic_version SET version_num = '9999'")
        held.commit()
    damaged = tmp_path / "damaged"
    content = bytearray(backup(file, tmp_path / "good").file.read_bytes())
    content[4096 * 3 : 4096 * 9] = b"\x55" * 4096 * 6
    damaged.write_bytes(content)
    for wrong, why in ((newer, "update this one first"), (damaged, "damaged|no collector's database"),
                       (tmp_path / "nowhere", "no file"), (Path(__file__), "no collector's database")):  # fmt: skip
        with pytest.raises(StorageProblem, match=why):
            restore(wrong, file, _note_in)
    assert examine(file).messages == 50


def test_a_backup_overwrites_nothing(file: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageProblem, match="is not there"):
        backup(file, tmp_path / "copy")
    database = Database(f"sqlite:///{file}")
    database.open()
    database.close()
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(StorageProblem, match="never overwrites"):
        backup(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


def test_other_databases_have_tools_of_their_own() -> None:
    with pytest.raises(StorageProblem, match="only SQLite"):
        sqlite_file("postgresql+psycopg://shelf:secret@db/shelf")


def test_the_commands(shop_folder: Path, tmp_path: Path) -> None:
    config = ["--config", str(shop_folder / "collector.toml")]
    database = Database(f"sqlite:///{shop_folder}/state/collector.sqlite3")
    database.open()
    write(database, Node(), 2)
    database.close()
    copy = str(tmp_path / "copy")
    made = CliRunner().invoke(app, ["backup", *config, copy])
    assert (made.exit_code, f"2 messages, schema {known_revisions()[-1]}" in made.output) == (0, True)
    assert CliRunner().invoke(app, ["backup", *config, copy]).exit_code == 1
    put_back = CliRunner().invoke(app, ["restore", *config, copy])
    assert (put_back.exit_code, "2 messages restored" in put_back.output) == (0, True)
    assert CliRunner().invoke(app, ["restore", *config, __file__]).exit_code == 2
