"""The logbook: append-only by trigger, and a chain that shows what somebody changed who took the triggers away."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shelf_collector.adapters.accounts import Accounts
from shelf_collector.adapters.database import Database
from shelf_collector.audit_cli import app
from shelf_collector.core.changes import product_deeds
from shelf_collector.core.logbook import Deed, Head, LogRow, breaks, head_of, next_row
from shelf_collector.core.views import NodeView, Screen
from shelf_collector.watch import ModelWatch, note_files
from shelf_contracts.products import Product
from tests.collector.builders import GTINS, NOON, at, planogram
from tests.collector.conftest import FakeClock, Shop

runner = CliRunner()


@pytest.fixture
def file(shop_folder: Path) -> Path:
    """A database with ten rows."""
    path = shop_folder / "state" / "collector.sqlite3"
    database = Database(f"sqlite:///{path}")
    database.open()
    database.close()
    accounts = Accounts(f"sqlite:///{path}")
    for number in range(10):
        accounts.note([Deed("login", f"person:P{number}", "10.0.0.1", detail={"n": number})], at(number))
    accounts.close()
    return path


def problems(file: Path, *noted: Head) -> list[tuple[int, str]]:
    accounts = Accounts(f"sqlite:///{file}")
    try:
        return [(one.row, one.problem) for one in accounts.verify(noted)[2]]
    finally:
        accounts.close()


def raw(file: Path, *statements: str, triggers: bool = False) -> None:
    """Somebody at the file itself; without ``triggers`` these are dropped first, as whoever wants to cheat would."""
    connection = sqlite3.connect(file)
    if not triggers:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE logbook SET actor = 'person:x' WHERE row = 3",
        "UPDATE logbook SET row = 99 WHERE row = 10",
        "DELETE FROM logbook WHERE row = 3",
        "DELETE FROM logbook",
        "INSERT OR REPLACE INTO logbook SELECT row, at, 'x', origin, action, subject, detail, previous, hash "
        "FROM logbook WHERE row = 3",
        "INSERT INTO logbook SELECT 99, at, actor, origin, action, subject, detail, previous, hash FROM logbook "
        "WHERE row = 3",
        "UPDATE logbook_head SET row = 5",
        "UPDATE logbook_head SET hash = 'x'",
        "DELETE FROM logbook_head",
    ],
)
def test_the_database_itself_refuses_changes(file: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw(file, statement, triggers=True)
    assert problems(file) == []


COLUMNS = ("at", "actor", "origin", "action", "subject", "detail", "previous", "hash")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", [1, 5, 10])
def test_a_changed_row_is_found(file: Path, column: str, row: int) -> None:
    raw(file, f"UPDATE logbook SET {column} = {column} || '0' WHERE row = {row}")
    assert row in {found for found, _ in problems(file)} | {found - 1 for found, _ in problems(file)}


@pytest.mark.parametrize("row", [1, 5, 9, 10])
def test_a_removed_row_is_found_even_the_last(file: Path, row: int) -> None:
    raw(file, f"DELETE FROM logbook WHERE row = {row}")
    assert any("removed" in problem for _, problem in problems(file))


def test_removed_and_renumbered_rows_are_found(file: Path) -> None:
    raw(file, "DELETE FROM logbook WHERE row = 5", "UPDATE logbook SET row = row - 1 WHERE row > 5",
        "UPDATE logbook_head SET row = 9")  # fmt: skip
    assert problems(file)


def test_rows_in_another_order_are_found(file: Path) -> None:
    raw(file, "UPDATE logbook SET row = -1 WHERE row = 4", "UPDATE logbook SET row = 4 WHERE row = 7",
        "UPDATE logbook SET row = 7 WHERE row = -1")  # fmt: skip
    assert {found for found, _ in problems(file)} >= {4, 7}


def test_an_end_that_was_cut_off_with_its_mark_is_found_by_the_mark_that_is_missing(file: Path) -> None:
    raw(file, "DELETE FROM logbook WHERE row > 7", "DELETE FROM logbook_head")
    assert problems(file)


def test_a_log_that_was_written_anew_is_found_by_a_head_noted_elsewhere(file: Path) -> None:
    accounts = Accounts(f"sqlite:///{file}")
    head = accounts.verify()[1]
    accounts.close()
    assert head is not None
    raw(file, "DELETE FROM logbook", "DELETE FROM logbook_head")
    accounts = Accounts(f"sqlite:///{file}")
    for number in range(12):
        accounts.note([Deed("login", f"person:Q{number}")], at(number))
    accounts.close()
    assert problems(file) == [], "by itself it is a whole log"
    assert problems(file, head) == [(10, "is not the row whose hash was noted: the log was written anew")]


def test_the_command_says_it_and_ends_with_1(file: Path, shop_folder: Path) -> None:
    config = ["verify", "--config", str(shop_folder / "collector.toml")]
    whole = runner.invoke(app, [*config, "--json"])
    assert whole.exit_code == 0
    found = json.loads(whole.output)
    assert (found["rows"], found["breaks"]) == (10, [])
    assert runner.invoke(app, [*config, "--head", found["head"]]).exit_code == 0
    assert runner.invoke(app, [*config, "--head", "10:" + "0" * 64]).exit_code == 1
    assert runner.invoke(app, [*config, "--head", "nonsense"]).exit_code == 2
    raw(file, "UPDATE logbook SET origin = '' WHERE row = 3")
    broken = runner.invoke(app, config)
    assert broken.exit_code == 1
    assert "row 3: its content was changed" in broken.output


def test_two_processes_that_write_at_once_make_one_chain(file: Path) -> None:
    def write() -> None:
        accounts = Accounts(f"sqlite:///{file}")
        for number in range(20):
            accounts.note([Deed("login", f"person:T{number}")], NOON)
        accounts.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert problems(file) == []
    accounts = Accounts(f"sqlite:///{file}")
    assert accounts.verify()[0] == 90
    accounts.close()


texts = st.text(max_size=30)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=12), st.data())
def test_whatever_is_changed_in_whichever_row_is_found(
    content: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    rows: list[LogRow] = []
    for actor, origin, subject in content:
        last = Head(rows[-1].row, rows[-1].hash) if rows else None
        rows.append(next_row(Deed("login", actor, origin, subject), NOON, last))
    head = Head(rows[-1].row, rows[-1].hash)
    assert breaks(rows, head) == []
    index = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    new = data.draw(texts)
    old = rows[index]
    values = {name: getattr(old, name) for name in ("row", *COLUMNS)}
    changed = LogRow(**{**values, column: new})
    assert bool(breaks([*rows[:index], changed, *rows[index + 1 :]], head)) == (changed != old)
    assert breaks([*rows[:index], *rows[index + 1 :]], head)
    order = data.draw(st.permutations(rows))
    assert bool(breaks(order, head)) == (list(order) != rows)


def test_fields_cannot_run_into_one_another() -> None:
    one = next_row(Deed("login", "a", "bc"), NOON, None)
    other = next_row(Deed("login", "ab", "c"), NOON, None)
    assert one.hash != other.hash


def test_a_head_is_read_as_it_is_printed() -> None:
    head = Head(12, "a" * 64)
    assert head_of(str(head)) == head


# -- what is noted ----------------------------------------------------------------------------------------------------


def noted(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.action, row.actor, row.subject) for row in reversed(shop.site.doorkeeper.accounts.log_page(None, 100))]


def test_prices_and_planograms_that_changed_between_two_starts(
    open_shop: Callable[[], Shop], shop_folder: Path
) -> None:
    shop = open_shop()
    accounts, clock = shop.site.doorkeeper.accounts, FakeClock()
    products = list(shop.setup.products)
    note_files(accounts, clock, {}, products, shop.setup.planograms)
    known = shop.database.shop_products()
    note_files(accounts, clock, known, products, shop.setup.planograms)
    assert noted(shop) == [("product.added", "system", "products"), ("planogram.changed", "system", "bay:a01")]
    dearer = Product.model_validate({**products[0].model_dump(), "price": {"cents": 149}})
    note_files(accounts, clock, known, [dearer, products[1]], [planogram(revision=2)])
    rows = accounts.log_page(None, 3)
    assert json.loads(rows[2].detail) == {"fields": "price", "price": "139 EUR cents -> 149 EUR cents"}
    assert rows[2].subject == f"product:{GTINS[0]}"
    assert (rows[1].action, json.loads(rows[1].detail)["first"]) == ("product.removed", GTINS[2])
    assert (rows[0].action, json.loads(rows[0].detail)["revision"]) == ("planogram.changed", 2)
    assert accounts.verify()[2] == []


def test_an_unchanged_product_is_not_noted(shop: Shop) -> None:
    products = {product.gtin: product for product in shop.setup.products}
    assert product_deeds(products, products.values()) == []


def test_a_node_with_another_model_is_noted_once(shop: Shop) -> None:
    accounts = shop.site.doorkeeper.accounts

    def node(version: str) -> Screen:
        model = {"role": "detector", "name": "shelf", "version": version, "sha256": "ab" * 32, "licence": "x"}
        content = {"node": "n01", "state": "online", "is_present": True, "since": NOON, "heard_at": NOON}
        return Screen("node/n01", NodeView.model_validate({**content, "models": [model]}), is_state=True)

    watch = ModelWatch(shop.hub, accounts, shop.clock)
    for version in ("1", "1", "2", "2"):
        watch.show(node(version))
    ModelWatch(shop.hub, accounts, shop.clock).show(node("2"))  # after a restart
    assert noted(shop) == [("model.changed", "node:n01", "node:n01")] * 2
    assert json.loads(accounts.log_page(None, 1)[0].detail)["before"] == "detector shelf 1 abababababab"


def test_what_people_typed_into_the_wrong_field_is_not_noted(shop: Shop) -> None:
    from shelf_collector.doorkeeper import Refused

    with pytest.raises(Refused):
        shop.site.doorkeeper.log_in("my secret sentence", "x", "10.0.0.1")
    row = shop.site.doorkeeper.accounts.log_page(None, 1)[0]
    assert (row.action, row.actor, row.origin) == ("login.failed", "nobody", "10.0.0.1")
    assert "my secret" not in str(row)
