"""The commands: what they print and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from shelf_collector.cli import app
from tests.collector.test_off import TSV

runner = CliRunner()


def test_check_says_what_is_there(shop_folder: Path) -> None:
    result = runner.invoke(app, ["check", "--config", str(shop_folder / "collector.toml")])
    assert result.exit_code == 0
    assert "1 bays, 4 slots, 3 products, 1 displays: all fine" in result.output
    assert "no product file describes 09521000548008" in result.output


def test_check_ends_with_2_and_every_problem(shop_folder: Path) -> None:
    (shop_folder / "a01.json").write_text("{}")
    (shop_folder / "products.json").write_text("[]")
    for command in (["check"], ["run"], ["audit"], ["import-products", "x"]):
        result = runner.invoke(app, [*command, "--config", str(shop_folder / "collector.toml")])
        assert result.exit_code == 2, command
        assert "a01.json: positions = (missing)" in result.output
        assert "products.json" in result.output


def test_import_and_audit(shop_folder: Path) -> None:
    config, source = str(shop_folder / "collector.toml"), shop_folder / "off.tsv"
    source.write_text(TSV)
    result = runner.invoke(app, ["import-products", "--config", config, str(source)])
    assert result.exit_code == 0
    assert "off.tsv:3: code = '123': a GTIN has 8, 12, 13 or 14 digits, not 3" in result.output
    assert "1 products imported, 1 rows skipped" in result.output
    result = runner.invoke(app, ["audit", "--config", config, "--json"])
    assert json.loads(result.output) == {"sources": [], "set_aside": 0}
    assert runner.invoke(app, ["audit", "--config", config]).exit_code == 0


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
