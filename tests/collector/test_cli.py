"""The commands: what they print and how they end."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelf_collector.adapters.database import Database
from shelf_collector.audit_cli import app as audit_app
from shelf_collector.cli import app
from shelf_collector.config import load_setup
from shelf_collector.core.audit import SourceAudit, give_up, seen
from shelf_collector.core.memory import Facts
from shelf_collector.core.state import StoreState
from shelf_collector.ports import SetAside
from tests.collector.builders import NOON
from tests.collector.test_off import TSV

runner = CliRunner()


def test_check_says_what_is_there(shop_folder: Path) -> None:
    result = runner.invoke(app, ["check", "--config", str(shop_folder / "collector.toml")])
    assert result.exit_code == 0
    assert "1 bays, 4 slots, 3 products, 1 displays: all fine" in result.output
    assert "no product file describes 09521000548008" in result.output


def allergens_in(folder: Path, index: int, facts: dict[str, object], ingredients: str) -> str:
    """Write one product's allergens and ask the check what it says of them."""
    file = folder / "products.json"
    content = json.loads(file.read_text())
    allergens = {"contains": [], "source": "supplier", "verified_on": datetime.now(UTC).date().isoformat(), **facts}
    content["products"][index] |= {"allergens": allergens, "ingredients": {"nl": "water", "it": ingredients}}
    file.write_text(json.dumps(content))
    result = runner.invoke(app, ["check", "--config", str(folder / "collector.toml")])
    assert result.exit_code == 0, "displays say that nothing is known; that is safe, and no reason not to start"
    return next((line for line in result.output.splitlines() if f"products[{index}].allergens" in line), "")


@pytest.mark.parametrize(
    ("facts", "ingredients", "said"),
    [
        ({}, "farina di _grano_, _latte_", ["allergens.contains = []", "ingredients.it stresses _grano_, _latte_"]),
        ({"verified_on": "2999-01-02"}, "acqua", ["allergens.verified_on = 2999-01-02", "is a day to come; write"]),
        ({"verified_on": "2001-01-02"}, "acqua", ["allergens.verified_on = 2001-01-02", "730 days ago", "verify it"]),
        ({"needs_review": ["it:grano"]}, "acqua", ["allergens.needs_review = ['it:grano']", "empty the list"]),
    ],
)
def test_check_tells_of_allergens_that_displays_will_not_show(
    shop_folder: Path, facts: dict[str, object], ingredients: str, said: list[str]
) -> None:
    line = allergens_in(shop_folder, 1, facts, ingredients)
    for part in (f"warning: {shop_folder / 'products.json'}: products[1].", *said, 'displays say "not available"'):
        assert part in line, line
    assert line.endswith("(09521000274006)")


def test_check_is_silent_about_allergens_that_are_shown(shop_folder: Path) -> None:
    assert allergens_in(shop_folder, 1, {"contains": ["en:milk"]}, "_latte_") == ""
    assert allergens_in(shop_folder, 1, {"may_contain": ["en:milk"]}, "acqua, tracce di _latte_") == ""
    assert allergens_in(shop_folder, 1, {}, "acqua") == ""


def test_check_ends_with_2_and_every_problem(shop_folder: Path) -> None:
    (shop_folder / "a01.json").write_text("{}")
    (shop_folder / "products.json").write_text("[]")
    for command in (["check"], ["run"], ["dead-letters"], ["import-products", "x"]):
        result = runner.invoke(app, [*command, "--config", str(shop_folder / "collector.toml")])
        assert result.exit_code == 2, command
        assert "a01.json: positions = (missing)" in result.output
        assert "products.json" in result.output


def test_import(shop_folder: Path) -> None:
    config, source = str(shop_folder / "collector.toml"), shop_folder / "off.tsv"
    source.write_text(TSV)
    result = runner.invoke(app, ["import-products", "--config", config, str(source)])
    assert result.exit_code == 0
    assert "off.tsv:3: code = '123': a GTIN has 8, 12, 13 or 14 digits, not 3" in result.output
    assert "1 products imported, 1 rows skipped" in result.output


def test_a_file_of_no_known_kind_ends_with_2(shop_folder: Path) -> None:
    (shop_folder / "x.txt").write_text("hello\n")
    result = runner.invoke(
        app, ["import-products", "--config", str(shop_folder / "collector.toml"), str(shop_folder / "x.txt")]
    )
    assert result.exit_code == 2
    assert "must be smartshelf JSON" in result.output


def test_the_help_needs_nothing_heavy() -> None:
    code = "import sys, shelf_collector.cli; print({'sqlalchemy', 'fastapi', 'uvicorn', 'paho'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30,
                            env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("command", [["audit"], ["audit", "verify"], ["dead-letters"]])
def test_what_only_reads_makes_no_database_and_changes_none(shop_folder: Path, command: list[str]) -> None:
    config = ["--config", str(shop_folder / "collector.toml")]
    run = (lambda: CliRunner().invoke(app, [*command, *config])) if command == ["dead-letters"] else (
        lambda: CliRunner().invoke(audit_app, [*command[1:], *config]))  # fmt: skip
    file = shop_folder / "state" / "collector.sqlite3"
    missing = run()
    assert (missing.exit_code, file.exists()) == (2, False)
    assert "is not there" in " ".join(missing.output.split())
    database = Database(f"sqlite:///{file}")
    database.open()
    database.close()
    assert file.stat().st_mode & 0o077 == 0
    content = file.read_bytes()
    assert run().exit_code == 0
    assert file.read_bytes() == content
    with sqlite3.connect(file) as held:
        held.execute("UPDATE alembic_version SET version_num = '0001'")
    held.close()
    old = run()
    assert old.exit_code == 2
    assert "start the collector" in " ".join(old.output.split())
    file.write_bytes(b"")
    assert run().exit_code == 2


def test_the_audit_tells_node_by_node_and_ends_with_1_when_something_is_lost(shop_folder: Path) -> None:
    setup = load_setup(shop_folder / "collector.toml")
    database = Database(setup.database_url)
    database.open()
    held = give_up(seen(SourceAudit("n", "a"), 9, NOON, is_new=True, retained=False), [(7, 8)], [])
    state = StoreState(sources={("n", "a"): held})
    database.store(Facts(sources={("n", "a")}), state, [])
    database.close()
    config = ["--config", str(shop_folder / "collector.toml")]
    told = CliRunner().invoke(audit_app, [*config, "--json", "--since", "1h"])
    assert told.exit_code == 1
    (node,) = json.loads(told.stdout)["nodes"]
    assert (node["received"], node["lost"], node["missing"]) == (1, 2, 0)
    assert CliRunner().invoke(audit_app, [*config, "--since", "1990-01-01"]).exit_code == 1
    assert CliRunner().invoke(audit_app, [*config, "--since", "9999-01-01"]).exit_code == 0
    assert CliRunner().invoke(audit_app, [*config, "--since", "yesterday"]).exit_code == 2
    assert CliRunner().invoke(audit_app, ["--config", "nowhere.toml"]).exit_code == 2


def test_dead_letters_are_shown_with_the_reason(shop_folder: Path) -> None:
    database = Database(load_setup(shop_folder / "collector.toml").database_url)
    database.open()
    database.store(Facts(), StoreState(), [SetAside("a/topic", b"\xff{", "why it was set aside", NOON)])
    database.close()
    shown = CliRunner().invoke(app, ["dead-letters", "--config", str(shop_folder / "collector.toml"), "--json"])
    assert json.loads(shown.stdout)["problem"] == "why it was set aside"


def test_invite_prints_links_for_the_first_admin_and_for_people(shop_folder: Path) -> None:
    config = ["invite", "--config", str(shop_folder / "collector.toml")]
    first = runner.invoke(app, config)
    assert first.exit_code == 0
    assert re.search(r"^http://127\.0\.0\.1:8080/welcome/[\w-]{43}$", first.output, re.MULTILINE)
    assert "15 minutes" in first.output
    named = runner.invoke(app, [*config, "--name", "Anna", "--role", "admin"])
    assert "24 hours" in named.output
    assert runner.invoke(app, [*config, "--name", "ANNA"]).exit_code == 0, "a new link for the same person"
    for wrong in (["--name", "Ben", "--role", "owner"], ["--name", " Ben"]):
        result = runner.invoke(app, [*config, *wrong])
        assert result.exit_code == 2, wrong
        assert "Ben" in result.output
