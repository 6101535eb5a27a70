"""The schema is what the migrations make, and its tables stay bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from shelf_collector.adapters import database as module
from shelf_collector.adapters.database import Database
from shelf_collector.adapters.tables import metadata
from shelf_collector.core.memory import Facts
from shelf_collector.core.state import StoreState
from shelf_collector.ports import SetAside, StorageProblem
from shelf_contracts.products import Product
from tests.collector.builders import GTINS, NOON, Node


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(f"sqlite:///{tmp_path}/deep/down/c.sqlite3")
    opened.open()
    return opened


def test_the_migrations_make_what_the_tables_say(database: Database, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/deep/down/c.sqlite3")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
    engine.dispose()
    database.close()


def test_opening_again_changes_nothing(database: Database) -> None:
    database.open()
    database.close()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite3").mkdir()
    broken = Database(f"sqlite:///{tmp_path}/c.sqlite3")
    with pytest.raises(StorageProblem, match=r"c\.sqlite3"):
        broken.open()
    broken.close()


def test_set_aside_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SET_ASIDE", 10)
    for index in range(7):
        bad = [SetAside(f"t{index}", b"x", "why", NOON)] * 3
        database.store(Facts(), StoreState(), bad)
    assert database.set_aside_count() == 10
    database.close()


def product(gtin: str, name: str, source: str = "shop") -> Product:
    return Product.model_validate({"gtin": gtin, "name": {"en": name}, "source": source, "fetched_at": NOON})


def test_the_shops_own_row_wins_and_the_other_table_keeps_its_own(database: Database) -> None:
    database.put_off_products([product(GTINS[0], "from OFF", "off"), product(GTINS[1], "only OFF", "off")])
    database.replace_shop_products([product(GTINS[0], "ours"), product(GTINS[2], "only ours")])
    found = database.products(GTINS)
    assert {gtin: one.name["en"] for gtin, one in found.items()} == {
        GTINS[0]: "ours",
        GTINS[1]: "only OFF",
        GTINS[2]: "only ours",
    }
    database.replace_shop_products([])
    assert database.products([GTINS[0]])[GTINS[0]].name == {"en": "from OFF"}
    assert database.product_gtins(after="", limit=10) == sorted(GTINS[:2])
    database.close()


def test_importing_again_renews_rows(database: Database) -> None:
    for name in ("old", "new"):
        database.put_off_products([product(GTINS[0], name, "off")])
    assert database.products(GTINS)[GTINS[0]].name == {"en": "new"}
    database.close()


def test_finding_duplicates_uses_the_index_however_long_the_history(database: Database, tmp_path: Path) -> None:
    seen: list[str] = []
    node = Node()
    messages = [node.stock(), Node("n02").stock(), node.event()]
    engine = database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _note(_connection, cursor, statement, parameters, *_rest):  # type: ignore[no-untyped-def]
        if statement.startswith("SELECT"):
            plan = engine.raw_connection()
            seen.extend(row[3] for row in plan.execute("EXPLAIN QUERY PLAN " + statement, parameters))
            plan.close()

    assert database.known(messages) == set()
    assert len(seen) == 2
    assert all("SEARCH" in step and "USING COVERING INDEX" in step for step in seen), seen
    database.close()
