"""A products file in which something is wrong: nothing else is lost, and nothing that is not certain is shown."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shelf_collector.app import build
from shelf_collector.cli import app
from shelf_collector.config import SetupProblems, load_setup
from shelf_collector.core.product_faults import in_both, read_products, without_promises
from shelf_collector.product_files import ProductWatch, ShopProducts, log_faults, read_shop_products
from shelf_contracts.errors import FileProblems
from shelf_contracts.files import parse_model
from shelf_contracts.products import Product, ProductFile
from tests.collector.builders import GTINS, NOON
from tests.collector.conftest import FakeClock

WHOLE: dict[str, Any] = {
    "gtin": GTINS[0],
    "name": {"nl": "Koekjes", "en": "Biscuits"},
    "brand": "Aurora",
    "price": {"cents": 249},
    "promotion": {"cents": 199, "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z"},
    "price_history": [{"cents": 249, "since": "2026-01-01T00:00:00Z"}],
    "allergens": {"contains": ["en:milk"], "may_contain": ["en:nuts"], "source": "shop", "verified_on": "2026-11-01"},
    "nutrition": {"fat_g": 12.5, "salt_g": 0.4},
    "vegan": False,
    "origin": {"en": "Italy"},
}
OTHER = {"gtin": GTINS[1], "name": {"en": "Tea"}, "price": {"cents": 399}}
ALLERGENS, PRICES = {"allergens", "vegan"}, {"price", "promotion"}


def written(*products: object, **more: object) -> bytes:
    return json.dumps({"schema": "smartshelf.products.v1", "products": products, **more}).encode()


def facts_of(product: Product) -> set[str]:
    return set(product.model_dump(exclude_defaults=True))


@pytest.mark.parametrize(
    ("change", "key", "gone"),
    [
        ({"price": {"cents": 0}}, "price.cents", PRICES),
        ({"price": {"cents": 249, "curency": "EUR"}}, "price.curency", PRICES),
        ({"price": 2.49}, "price", PRICES),
        ({"promotion": {**WHOLE["promotion"], "cents": -1}}, "promotion.cents", PRICES),
        ({"promotoin": {"cents": 100}}, "promotoin", PRICES),
        ({"prijs": 100}, "prijs", PRICES),
        ({"price_history": [{"cents": 0}]}, "price_history[0].cents", {"price_history"}),
        ({"price_histori": []}, "price_histori", {"price_history"}),
        ({"allergens": {**WHOLE["allergens"], "may_contain": ["en:milk"]}}, "allergens", ALLERGENS),
        ({"allergens": {**WHOLE["allergens"], "contains": ["milk"]}}, "allergens.contains[0]", ALLERGENS),
        ({"allergens": {**WHOLE["allergens"], "traces": ["en:soybeans"]}}, "allergens.traces", ALLERGENS),
        ({"allergens": {"contains": ["en:milk"]}}, "allergens.source", ALLERGENS),
        ({"may_contain": ["en:soybeans"]}, "may_contain", ALLERGENS),
        ({"alergens": None}, "alergens", ALLERGENS),
        ({"kan_bevatten": ["en:soybeans"]}, "kan_bevatten", ALLERGENS),
        ({"vegan": "perhaps"}, "vegan", {"vegan"}),
        ({"nutrition": {"fat_g": 12.5, "salt_g": -1}}, "nutrition.salt_g", set()),
        ({"nutrition": {"fat_g": 12.5, "salt_g": 0.4, "per": "100 g"}}, "nutrition.per", {"nutrition"}),
        ({"origin": {"en": "Italy", "english": "Italy"}}, "origin.english", set()),
        ({"origin": {"en": 39}}, "origin.en", {"origin"}),
        ({"colour": "red"}, "colour", set()),
        ({"brand": "x" * 301}, "brand", {"brand"}),
        ({"packaging": "box"}, "packaging", set()),
        ({"recipe": {"title": {}}}, "recipe.text", set()),
        ({"season_months": [13]}, "season_months[0]", set()),
    ],
)
def test_a_fault_takes_away_what_it_casts_doubt_on_and_nothing_else(
    change: dict[str, Any], key: str, gone: set[str]
) -> None:
    found = read_products(written({**WHOLE, **change}, OTHER))
    spoiled, other = found.products
    assert other == Product.model_validate(OTHER), "no other product is touched"
    assert facts_of(spoiled) == set(WHOLE) - gone
    assert any(fault.problem.key.startswith(f"products[0].{key}") for fault in found.faults), found.faults
    assert {fault.gtin for fault in found.faults} == {GTINS[0]}


def test_of_a_spoiled_nutrient_or_language_the_others_stay() -> None:
    found = read_products(written({**WHOLE, "nutrition": {"fat_g": 12.5, "salt_g": -1}, "name": {"nl": 5, "en": "B"}}))
    (product,) = found.products
    assert product.nutrition is not None
    assert (product.nutrition.fat_g, product.nutrition.salt_g) == (12.5, None)
    assert product.name == {"en": "B"}


@pytest.mark.parametrize("name", [{}, {"english": "Biscuits"}, None, "Biscuits", {"en": None}])
def test_without_a_name_it_has_the_planograms_or_its_number(name: object) -> None:
    entry = written({**WHOLE, "name": name})
    assert read_products(entry, lambda gtin: f"planned {gtin}").products[0].name == {"en": f"planned {GTINS[0]}"}
    assert read_products(entry).products[0].name == {"en": GTINS[0]}
    assert read_products(entry).products[0].allergens is not None


@pytest.mark.parametrize(
    "entry", [None, 5, "x", [], {}, {"name": {"en": "x"}}, {**WHOLE, "gtin": "123"}, {**WHOLE, "gtin": 5}]
)
def test_what_cannot_be_told_apart_is_left_out_and_named(entry: object) -> None:
    found = read_products(written(entry, OTHER))
    assert [product.gtin for product in found.products] == [GTINS[1]]
    assert found.faults
    assert all(fault.problem.key.startswith("products[0]") for fault in found.faults)


@pytest.mark.parametrize(
    ("old", "new", "gone", "said"),
    [
        ('"price": {"cents": 249}', '"price": {"cents": 249}, "price": {"cents": 1}', PRICES, "in one object twice"),
        ('"cents": 249}', '"cents": 249, "cents": 1}', PRICES, "'cents' stands in one object twice"),
        ('"salt_g": 0.4', '"salt_g": NaN', set(), "NaN: is not a JSON number"),
        ('{"cents": 249}', '{"cents": ' + "9" * 5000 + "}", PRICES, "too long"),
        ('"Aurora"', '"Caf\xe9"', {"brand"}, "brand"),
        ('"Biscuits"', '"Caf\xe9"', set(), "name.en = 'Caf?': must be text in UTF-8"),
        ('"Biscuits"', '"\\ud800"', set(), "name.en = '?': must be text in UTF-8"),
        ('"Aurora"', "[" * 40 + "]" * 40, {"brand"}, "nested deeper"),
    ],
)  # fmt: skip
def test_what_json_forbids_spoils_one_field_of_one_product(old: str, new: str, gone: set[str], said: str) -> None:
    text = written(WHOLE, OTHER).decode()
    assert old in text
    found = read_products(text.replace(old, new).encode("latin-1"))
    assert [product.gtin for product in found.products] == GTINS[:2]
    assert facts_of(found.products[0]) == set(WHOLE) - gone
    assert said in " ".join(map(str, found.faults))
    assert found.products[0].model_dump_json().isascii()


def test_a_byte_order_mark_is_no_fault() -> None:
    found = read_products(b"\xef\xbb\xbf" + written(WHOLE))
    assert (len(found.products), found.faults) == (1, ())


def test_of_a_product_that_stands_there_twice_only_what_both_say_is_shown() -> None:
    other = {
        **WHOLE,
        "price": {"cents": 999},
        "allergens": {**WHOLE["allergens"], "contains": []},
        "name": {"en": "Biscuits"},
    }
    found = read_products(written(WHOLE, other))
    (product,) = found.products
    assert facts_of(product) == set(WHOLE) - PRICES - ALLERGENS
    assert product.name == {"en": "Biscuits"}
    (fault,) = found.faults
    assert str(fault.problem) == f"products[1].gtin = '{GTINS[0]}': is in the file twice"
    assert read_products(written(WHOLE, WHOLE)).products == (Product.model_validate(WHOLE),)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"\x00\xff", b'{"products": []}', b'{"schema": "smartshelf.products.v2", "products": []}',
     b'{"schema": "smartshelf.products.v1", "products": {}}', b"[" * 100_000],
)  # fmt: skip
def test_a_file_that_says_nothing_is_told_and_takes_nothing_with_it(raw: bytes, tmp_path: Path) -> None:
    found = read_products(raw)
    assert found.is_unread
    assert found.faults
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(written(OTHER))
    bad.write_bytes(raw)
    shop = read_shop_products([bad, good, tmp_path / "gone.json"], lambda _: "")
    assert [product.gtin for product in shop.products] == [GTINS[1]]
    assert [one.file.name for one in shop.faulty] == ["bad.json", "gone.json"]
    former = {
        one.gtin: one for one in (Product.model_validate(WHOLE), Product.model_validate({**OTHER, "brand": "old"}))
    }
    kept = {product.gtin: product for product in shop.with_former(former).products}
    assert facts_of(kept[GTINS[0]]) == set(WHOLE) - PRICES - ALLERGENS, "what it was, without what a shop answers for"
    assert kept[GTINS[1]].brand == "", "what a readable file says goes before what was"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*Product.model_fields, "prise", "allergen", "x"])


@given(st.dictionaries(FIELDS, JSON, max_size=4), st.sampled_from(["contains", "may_contain", "cents", "salt_g"]), JSON)
def test_whatever_stands_there_nothing_is_shown_that_the_strict_reader_refuses(
    change: dict[str, Any], inner: str, value: Any
) -> None:
    entry = json.loads(json.dumps(WHOLE))
    for field in ("allergens", "price", "nutrition"):
        if inner in entry[field]:
            entry[field][inner] = value
    raw = written({**entry, **change}, OTHER)
    found = read_products(raw)
    try:
        strict = parse_model(Path("p.json"), raw, ProductFile)
    except FileProblems:
        assert found.faults
    else:
        assert not found.faults
        assert list(found.products) == strict.products
    for product in found.products:
        again = Product.model_validate(product.model_dump(mode="json"))
        assert again == product
        if product.gtin == GTINS[0]:
            for field in ("price", "allergens"):
                said = (
                    Product.model_validate({**OTHER, field: {**entry, **change}[field]})
                    if getattr(product, field)
                    else None
                )
                assert said is None or getattr(said, field) == getattr(product, field), (
                    "never another than what is written"
                )


def test_two_products_agree_or_say_nothing() -> None:
    one, other = Product.model_validate(WHOLE), Product.model_validate({**WHOLE, "name": {"it": "Biscotti"}})
    both, differing = in_both(one, other, lambda _: "")
    assert (differing, both.name) == (("name",), {"en": GTINS[0]})
    assert in_both(one, one) == (one, ())
    assert without_promises(one).price is None


# -- the whole collector ----------------------------------------------------------------------------------------------


def spoil(shop_folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = shop_folder / "products.json"
    content = json.loads(path.read_text())
    change(content["products"])
    path.write_text(json.dumps(content))


def two_faults(products: list[dict[str, Any]]) -> None:
    products[0]["allergens"]["may_contain"] = ["en:gluten"]
    products[1]["price"] = {"cents": 0}


def test_the_check_ends_with_2_where_a_start_goes_on(shop_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil(shop_folder, two_faults)
    config = shop_folder / "collector.toml"
    checked = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert checked.exit_code == 2
    assert "products.json: products[1].price.cents = 0: Input should be greater than 0" in checked.output
    assert "products.json: products[0].allergens = " in checked.output
    with pytest.raises(SetupProblems):
        load_setup(config)
    setup = load_setup(config, despite_products=True)
    assert [(one.allergens, one.price) for one in setup.products][:2] == [(None, setup.products[0].price), (None, None)]
    with caplog.at_level(logging.ERROR):
        log_faults(setup.shop_products)
    assert f"{shop_folder / 'products.json'}: products[1].price.cents = 0" in caplog.text
    assert f"left out of {GTINS[0]}: allergens" in caplog.text


def test_a_changed_file_is_taken_when_it_stands_still_and_its_faults_are_told(tmp_path: Path) -> None:
    file, clock = tmp_path / "products.json", FakeClock()
    file.write_bytes(written(WHOLE, OTHER))
    taken: list[ShopProducts] = []
    watch = ProductWatch([file], lambda _: "", read_shop_products([file], lambda _: ""), taken.append, clock)
    assert not watch.look()
    assert watch.conditions() == {}
    file.write_bytes(written({**WHOLE, "price": {"cents": 0}}, OTHER))
    assert not watch.look(), "it may still be written"
    assert watch.look()
    assert [product.price is None for product in taken[-1].products] == [True, False]
    (condition,) = watch.conditions().values()
    assert (condition.key, condition.kind, condition.since) == ("products/products.json", "products", NOON)
    assert "products[0].price.cents = 0" in condition.detail
    clock.advance(60)
    file.unlink()
    assert [watch.look(), watch.look(), watch.look()] == [False, True, False]
    assert taken[-1].has_unread
    assert watch.conditions()["products/products.json"].since == NOON
    file.write_bytes(written(WHOLE, OTHER))
    assert [watch.look(), watch.look()] == [False, True]
    assert watch.conditions() == {}


def test_faults_without_number_have_room_on_a_task(tmp_path: Path) -> None:
    file = tmp_path / "products.json"
    file.write_bytes(written(*({**WHOLE, "gtin": "1" * 90} for _ in range(500))))
    (faulty,) = read_shop_products([file], lambda _: "").faulty
    assert len(faulty.faults) == 500
    assert len(faulty.summary) <= 300
    assert faulty.summary.splitlines()[-1].startswith("+ 49")


def test_a_store_with_two_faults_opens_and_staff_are_told(shop_folder: Path) -> None:
    spoil(shop_folder, two_faults)
    collector = build(load_setup(shop_folder / "collector.toml", despite_products=True), FakeClock())
    site = collector.site
    try:
        site.desk.settle()
        page = asyncio.run(asked(collector.web, "/staff?lang=en"))
        assert "Product data to correct" in page
        assert "products[1].price.cents = 0" in page
        page = asyncio.run(asked(collector.web, "/my/a01?lang=en"))
        assert "Fusilli" in page
        assert "Spaghetti" in page
        assert "€1.39" in page
        assert "€0.00" not in page
        assert "cereals containing gluten" not in page
    finally:
        site.doorkeeper.accounts.close()
        site.database.close()


async def asked(web: FastAPI, path: str) -> str:
    transport = httpx.ASGITransport(web)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get(path)).text
