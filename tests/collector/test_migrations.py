"""The database of each released version opens, with all it held."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import shelf_collector.adapters as adapters
from shelf_collector.adapters.database import Database
from shelf_collector.core.audit import Gap
from tests.collector.builders import NOON, Node, slot_event, stock_level

SOURCE = "/smartshelf/demo/node/n01"


def database_at(revision: str, file: Path) -> None:
    """A database as the version with that revision made it."""
    settings = Config()
    settings.set_main_option("path_separator", "os")
    settings.set_main_option("script_location", str(Path(next(iter(adapters.__path__))) / "migrations"))
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
    engine.dispose()


def fill_0_1_0(file: Path) -> None:
    """A row of everything that 0.1.0 (revision 0001) kept, in its own words."""
    event, stock = slot_event("pick", quantity=1), stock_level(4)
    noon = "2026-11-22T12:00:00.000Z"
    alert = {
        "alert": "a01-s1-01", "kind": "stock_low", "severity": "warning", "subject": "shelf/a01/slot/s1-01",
        "bay": "a01", "slot": "s1-01", "opened_at": noon, "state": "open", "count": 1, "suggested_qty": 4,
    }  # fmt: skip
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(
            "INSERT INTO messages VALUES (1, ?, 'id-1', 7, 'pick', 'applied', 'a01', 's1-01', ?, ?, ?)",
            (SOURCE, noon, noon, event.model_dump_json()),
        )
        db.execute(
            "INSERT INTO slot_state VALUES ('a01', 's1-01', ?, 'n01', 9, ?, ?)", (SOURCE, noon, stock.model_dump_json())
        )
        db.execute("INSERT INTO sources VALUES (?, 3, 9, '[[4, 5]]', 5, 2, 1, 0, 6, 2)", (SOURCE,))
        db.execute("INSERT INTO nodes VALUES ('n01', 'online', 'one', ?, NULL)", (noon,))
        camera = {"state": "online", "bay": "a01", "since": noon}
        db.execute("INSERT INTO cameras VALUES ('n01', 'c1', ?)", (json.dumps(camera),))
        db.execute("INSERT INTO alerts VALUES (1, 'a01-s1-01', 'a01', 's1-01', ?, 1, ?)", (noon, json.dumps(alert)))
        db.execute("INSERT INTO open_alerts VALUES ('a01-s1-01', ?)", (json.dumps(alert),))
        db.execute("INSERT INTO set_aside VALUES (1, ?, 't', x'7b', 'why')", (noon,))


def check_0_1_0(database: Database) -> None:
    state = database.load_state(NOON)
    (audit,) = database.audits()
    assert (audit.source, audit.numbering, audit.first, audit.last) == (SOURCE, "", 3, 9)
    assert [(gap.first, gap.last) for gap in audit.gaps] == [(4, 5)]
    assert isinstance(audit.gaps[0], Gap)
    assert (audit.applied, audit.duplicates, audit.expired, audit.lost, audit.numberings) == (5, 2, 1, 6, 2)
    assert state.slots["a01", "s1-01"].stock.count == 4
    assert (state.nodes["n01"].session, state.cameras["n01", "c1"].status.state) == ("one", "online")
    assert [alert.alert for alert in database.load_open_alerts()] == ["a01-s1-01"]
    assert [one.event.action for one in database.events(before_row=None, limit=9, bay=None, slot=None)] == ["pick"]
    assert [letter.problem for letter in database.dead_letters(9)] == ["why"]
    known = Node().event("pick")
    assert database.known([known]) == set()


RELEASED: dict[str, tuple[str, Callable[[Path], None], Callable[[Database], None]]] = {
    "0.1.0": ("0001", fill_0_1_0, check_0_1_0),
}


@pytest.mark.parametrize("version", RELEASED)
def test_the_database_of_a_released_version_is_taken_over(version: str, tmp_path: Path) -> None:
    revision, fill, check = RELEASED[version]
    file = tmp_path / "c.sqlite3"
    database_at(revision, file)
    fill(file)
    database = Database(f"sqlite:///{file}")
    database.open()
    try:
        check(database)
    finally:
        database.close()
