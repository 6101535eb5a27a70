"""Open Food Facts: nothing guessed, everything that does not fit is said with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.adapters.off_file import layout_of, read_off_file
from shelf_collector.core.off import Import, read_rows
from shelf_contracts.errors import FileProblems
from shelf_testing.real_data import real_data
from tests.collector.builders import NOON

GOOD = "4006381333931"


def export(**row: str) -> Import:
    rows = [(7, {"code": GOOD, "product_name": "Crackers", **row})]
    return read_rows(rows, layout="off-tsv", language="nl", fetched_at=NOON)


def test_a_full_row() -> None:
    found = export(
        brands="Merk",
        quantity="250 g",
        origins="Nederland",
        ingredients_text="_tarwe_, zout",
        allergens="en:gluten,en:milk",
        traces_tags="en:nuts,en:milk",
        nutriscore_grade="b",
        last_modified_t="1774461913",
        **{"energy-kj_100g": "1780", "fat_100g": "13", "salt_100g": "1.4", "fiber_100g": "9.8"},
    )
    assert found.problems == ()
    product = found.products[0]
    assert (product.gtin, product.source, product.fetched_at) == ("0" + GOOD, "off", NOON)
    assert product.net_content is not None
    assert (product.net_content.amount, product.net_content.unit) == (250, "g")
    assert product.allergens is not None
    assert product.allergens.contains == ["en:gluten", "en:milk"]
    assert product.allergens.may_contain == ["en:nuts"], "what it contains it cannot also perhaps contain"
    assert product.allergens.verified_on.isoformat() == "2026-03-25"
    assert product.nutrition is not None
    assert (product.nutrition.energy_kj, product.nutrition.fibre_g) == (1780, 9.8)
    assert product.nutri_score == "b"
    assert product.price is None


@pytest.mark.parametrize("row", [{}, {"allergens": ""}, {"allergens": "", "traces_tags": "en:nuts"}])
def test_an_empty_allergen_column_is_unknown_not_free_of(row: dict[str, str]) -> None:
    assert export(**row).products[0].allergens is None


def test_tags_outside_the_fourteen_are_kept_for_review() -> None:
    allergens = export(allergens="en:milk,de:Weizenprotein", traces_tags="fr:avoine").products[0].allergens
    assert allergens is not None
    assert allergens.contains == ["en:milk"]
    assert allergens.needs_review == ["de:Weizenprotein", "fr:avoine"]


@pytest.mark.parametrize(
    ("row", "key", "said"),
    [
        ({"code": ""}, "code", "digits"),
        ({"code": "4006381333932"}, "code", "check digit"),
        ({"code": "123"}, "code", "8, 12, 13 or 14"),
        ({"code": "2000000000015"}, "code", "each shop"),
        ({"product_name": "  "}, "product_name", "empty"),
    ],
)
def test_rows_that_are_skipped(row: dict[str, str], key: str, said: str) -> None:
    found = export(**row)
    assert found.products == ()
    assert found.skipped == 1
    assert found.problems[0].line == 7
    assert found.problems[0].problem.key == key
    assert said in found.problems[0].problem.allowed


@pytest.mark.parametrize(
    ("column", "value"), [("fat_100g", "346"), ("salt_100g", "-1"), ("fat_100g", "nan"), ("fat_100g", "much")]
)
def test_impossible_values_are_left_out_and_said(column: str, value: str) -> None:
    found = export(**{column: value, "proteins_100g": "5"})
    assert found.skipped == 0
    assert found.problems[0].problem.key == column
    nutrition = found.products[0].nutrition
    assert nutrition is not None
    assert (nutrition.fat_g, nutrition.salt_g, nutrition.protein_g) == (None, None, 5)


@pytest.mark.parametrize("grade", ["unknown", "not-applicable", ""])
def test_no_score_is_no_problem(grade: str) -> None:
    found = export(nutriscore_grade=grade)
    assert found.products[0].nutri_score is None
    assert found.problems == ()


def test_an_odd_score_is_said() -> None:
    assert export(nutriscore_grade="z").problems[0].problem.key == "nutriscore_grade"


@pytest.mark.parametrize(
    ("text", "amount", "unit", "per"),
    [("330 ml", 330, "ml", "100ml"), ("1,5L", 1.5, "l", "100ml"), ("0.5 kg", 0.5, "kg", "100g")],
)
def test_quantities(text: str, amount: float, unit: str, per: str) -> None:
    product = export(quantity=text, fat_100g="1").products[0]
    assert product.net_content is not None
    assert product.nutrition is not None
    assert (product.net_content.amount, product.net_content.unit, product.nutrition.per) == (amount, unit, per)


@pytest.mark.parametrize("text", ["6 x 330 ml", "about 250 g", "0 g", "250"])
def test_quantities_that_are_not_guessed(text: str) -> None:
    assert export(quantity=text).products[0].net_content is None


def test_energy_in_kcal_is_converted_when_there_is_no_other() -> None:
    nutrition = export(**{"energy-kcal_100g": "100"}).products[0].nutrition
    assert nutrition is not None
    assert nutrition.energy_kj == 418.4


def test_a_gtin_that_comes_twice_is_taken_once() -> None:
    row = {"code": GOOD, "product_name": "x"}
    found = read_rows([(2, row), (3, row)], layout="off-tsv", language="nl", fetched_at=NOON)
    assert (len(found.products), found.problems[0].line, found.skipped) == (1, 3, 1)


@given(st.dictionaries(st.sampled_from(["code", "product_name", "allergens", "fat_100g", "quantity"]), st.text()))
def test_no_row_makes_it_fall(row: dict[str, Any]) -> None:
    found = read_rows([(2, row)], layout="off-tsv", language="nl", fetched_at=NOON)
    assert len(found.products) + found.skipped >= 1


TSV = f'code\tproduct_name\tallergens\n{GOOD}\t"Quoted" name\ten:milk\n123\tx\t\n'
CSV = f'barcode_id,product_name,ingredients,fat_amount,salt\n{GOOD},Crackers,"tarwe, zout",13,1.4\n'


def test_files_are_recognised_and_read(tmp_path: Path) -> None:
    for name, text, layout in (("a", TSV, "off-tsv"), ("b", CSV, "off-csv"), ("c", '{"schema": 1}', "smartshelf")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert layout_of(tmp_path / name) == layout
    export_file = read_off_file(tmp_path / "a", "off-tsv", "en")
    assert export_file.products[0].name == {"en": '"Quoted" name'}
    assert export_file.problems[0].line == 3
    extract = read_off_file(tmp_path / "b", "off-csv", "nl")
    assert extract.products[0].ingredients == {"nl": "tarwe, zout"}
    assert extract.products[0].allergens is None


@pytest.mark.parametrize("content", [b"gtin;name\n", b"\xff\xfe\x00", b""])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileProblems):
        layout_of(tmp_path / "x")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileProblems, match="No such file"):
        layout_of(tmp_path / "x")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "layout", "most_skipped", "at_least"),
    [
        ("off_nl.csv", "off-csv", 0, 4845),
        ("off_it.csv", "off-csv", 10, 7850),
        ("off_export_sample.tsv", "off-tsv", 40, 960),
    ],
)
def test_the_real_files(name: str, layout: str, most_skipped: int, at_least: int) -> None:
    path = real_data("open-food-facts", name)
    assert layout_of(path) == layout
    found = read_off_file(path, "off-tsv" if layout == "off-tsv" else "off-csv", "nl")
    assert found.skipped <= most_skipped
    assert len(found.products) >= at_least
    assert all(product.source == "off" for product in found.products)
    if layout == "off-tsv":
        known = [product.allergens for product in found.products if product.allergens]
        assert 150 <= len(known) <= 180
        assert any(allergens.needs_review for allergens in known)
    else:
        assert not any(product.allergens for product in found.products)
