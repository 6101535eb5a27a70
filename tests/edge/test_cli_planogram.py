"""``smartshelf edge planogram``: in from a table and from Azure's shape, out again, and what is said of bad files."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_edge.cli import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "bottles" / "planogram.json"


def run(*arguments: object) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["planogram", *map(str, arguments)])
    return answer.exit_code, answer.output


def test_a_table_becomes_a_planogram(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("shelf;product;width_mm;height_mm\n1;beans;80;110\n1;peas;60;90\n")
    code, told = run("import", tmp_path / "plan.csv", "--store", "s", "--bay", "a01", "--out", tmp_path / "p.json")
    assert code == 0, told
    assert [position.id for position in read_model(tmp_path / "p.json", Planogram).positions] == ["s1-01", "s1-02"]
    code, told = run("check", tmp_path / "p.json")
    assert (code, "1 shelves, 2 slots, 2 products. Cameras: none yet" in told) == (0, True)


def test_out_to_azure_and_back(tmp_path: Path) -> None:
    assert run("export", EXAMPLE, "--out", tmp_path / "azure.json")[0] == 0
    assert set(json.loads((tmp_path / "azure.json").read_text())) == {"planogram"}
    code, told = run("import", tmp_path / "azure.json", "--store", "s", "--bay", "b", "--out", tmp_path / "p.json")
    assert code == 0, told
    assert "note: its slots are one item deep" in told
    before, after = read_model(EXAMPLE, Planogram), read_model(tmp_path / "p.json", Planogram)
    assert [product.name for product in after.products] == [product.name for product in before.products]


def test_slots_that_lie_on_one_another_in_the_picture_are_told(tmp_path: Path) -> None:
    plan = json.loads(EXAMPLE.read_text())
    slots = plan["views"][0]["slots"]
    plan["views"][0]["slots"] = dict.fromkeys(slots, next(iter(slots.values())))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    code, told = run("check", tmp_path / "plan.json")
    assert (code, told.count("must be a place of its own")) == (2, len(slots) - 1), told


def test_bad_files_end_with_2_and_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("shelf,product,width_mm,height_mm\n1,beans,wide,110\n")
    (tmp_path / "plan.json").write_text('{"planogram": {"width": 1}}')
    for name, says in (("plan.csv", "line 2, width_mm = 'wide'"), ("plan.json", "planogram.height = (missing)")):
        code, told = run("import", tmp_path / name, "--store", "s", "--bay", "b", "--out", tmp_path / "p.json")
        assert code == 2
        assert says in told
    (tmp_path / "plan.csv").write_text("shelf,product,width_mm,height_mm,facings_h\n1,beans,400,110,3\n")
    code, told = run("import", tmp_path / "plan.csv", "--store", "s", "--bay", "b", "--out", tmp_path / "p.json")
    assert (code, "must lie within the bay's 1000 mm; width_mm is that of one item" in told) == (2, True), told
    (tmp_path / "plan.csv").write_text("shelf,product,width_mm,height_mm\n1,beans,400,110\n")
    code, told = run("import", tmp_path / "plan.csv", "--store", "S 1", "--bay", "b", "--out", tmp_path / "p.json")
    assert (code, "'S 1': must be 1 to 32 lower-case letters, digits and hyphens" in told) == (2, True), told
    assert not (tmp_path / "p.json").exists()
    code, told = run("check", tmp_path / "plan.json")
    assert (code, "products = (missing)" in told) == (2, True)
