"""Product information: prices by unit, allergens that are never guessed, texts by language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_model
from shelf_contracts.products import (
    Allergens,
    NetContent,
    Price,
    Product,
    ProductFile,
    text_in,
    unit_price,
    valid_price,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_ALLERGENS: dict[str, Any] = {"source": "label", "verified_on": "2026-11-01"}


@pytest.mark.parametrize(
    ("cents", "amount", "unit", "expected"),
    [
        (249, 250, "g", (996, "kg")),
        (199, 1, "kg", (199, "kg")),
        (99, 330, "ml", (300, "l")),
        (150, 75, "cl", (200, "l")),
        (350, 6, "piece", (58, "piece")),
        (25, 2, "kg", (13, "kg")),  # 12.5 is rounded up, not to the even cent
        (35, 2, "kg", (18, "kg")),
        (115, 0.1, "l", (1150, "l")),  # 0.1 as written, not as the nearest binary fraction
        (1, 1000, "g", (1, "kg")),
        (1, 3, "kg", (0, "kg")),
    ],
)
def test_unit_prices(cents: int, amount: float, unit: Any, expected: tuple[int, str]) -> None:
    assert unit_price(Price(cents=cents), NetContent(amount=amount, unit=unit)) == expected


@given(st.integers(1, 10_000_000), st.floats(0.001, 1_000_000), st.sampled_from(["g", "kg", "ml", "cl", "l", "piece"]))
def test_a_unit_price_is_right_to_half_a_cent(cents: int, amount: float, unit: Any) -> None:
    price, base = unit_price(Price(cents=cents), NetContent(amount=amount, unit=unit))
    factor = {"g": 1000, "kg": 1, "ml": 1000, "cl": 100, "l": 1, "piece": 1}[unit]
    assert abs(price - cents * factor / amount) <= 0.5 + 1e-9 * price
    assert base in ("kg", "l", "piece")


@pytest.mark.parametrize("amount", [0, -1, 1e-300, float("nan"), float("inf"), 1e7])
def test_contents_that_cannot_be(amount: float) -> None:
    with pytest.raises(ValidationError):
        NetContent(amount=amount, unit="g")


@pytest.mark.parametrize(
    ("valid_until", "shown"),
    [(None, True), (NOW, True), (NOW + timedelta(seconds=1), True), (NOW - timedelta(seconds=1), False)],
)
def test_a_price_past_its_validity_is_not_shown(valid_until: datetime | None, shown: bool) -> None:
    price = Price(cents=100, valid_until=valid_until)
    assert valid_price(price, NOW) == (price if shown else None)
    assert valid_price(None, NOW) is None


def test_an_allergen_stands_in_one_list() -> None:
    Allergens(contains=["en:milk"], may_contain=["en:nuts"], **_ALLERGENS)
    with pytest.raises(ValidationError, match="en:milk, en:nuts must stand in contains or in may_contain, not in both"):
        Allergens(contains=["en:nuts", "en:milk"], may_contain=["en:milk", "en:nuts"], **_ALLERGENS)


def test_only_the_fourteen_are_allergens_and_the_rest_awaits_review() -> None:
    with pytest.raises(ValidationError, match=r"contains\.0"):
        Allergens(contains=["en:kiwi"], **_ALLERGENS)  # type: ignore[list-item]
    assert Allergens(needs_review=["en:kiwi"], **_ALLERGENS).needs_review == ["en:kiwi"]


def test_allergens_without_source_or_date_are_not_taken() -> None:
    with pytest.raises(ValidationError, match="verified_on"):
        Allergens(contains=["en:milk"], source="label")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="source"):
        Allergens(contains=["en:milk"], source="", verified_on="2026-11-01")  # type: ignore[arg-type]


def test_what_is_not_known_stays_not_known() -> None:
    product = Product(gtin="4006381333931", name={"en": "Beans"})
    assert product.gtin == "04006381333931"
    assert [product.allergens, product.price, product.nutrition, product.co2e_g, product.nutri_score] == [None] * 5
    assert product.packaging is None


@pytest.mark.parametrize(
    ("texts", "language", "expected"),
    [
        ({"nl": "bonen", "en": "beans"}, "nl", "bonen"),
        ({"nl": "bonen", "en": "beans"}, "it", "beans"),
        ({"nl": "bonen"}, "it", "bonen"),
        ({"nl": "", "it": "fagioli"}, "nl", "fagioli"),
        ({"nl": "", "en": ""}, "nl", ""),
        ({}, "nl", ""),
        (None, "nl", ""),
    ],
)
def test_texts_by_language(texts: dict[str, str] | None, language: str, expected: str) -> None:
    assert text_in(texts, language) == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gtin": "4006381333932"}, "products[0].gtin"),
        ({"name": {}}, "products[0].name"),
        ({"name": {"english": "Beans"}}, "products[0].name"),
        ({"price": {"cents": 0}}, "products[0].price.cents"),
        ({"price": {"cents": 1.5}}, "products[0].price.cents"),
        ({"price": {"cents": 100, "currency": "eur"}}, "products[0].price.currency"),
        ({"nutrition": {"salt_g": -1}}, "products[0].nutrition.salt_g"),
        ({"nutri_score": "f"}, "products[0].nutri_score"),
        ({"alergens": None}, "did you mean 'allergens'?"),
        ({"co2e_g": -1}, "products[0].co2e_g"),
    ],
)
def test_a_wrong_product_is_named_with_its_key(
    change: dict[str, Any], says: str, json_file: Callable[..., Path]
) -> None:
    product = {"gtin": "4006381333931", "name": {"en": "Beans"}, **change}
    with pytest.raises(FileProblems) as caught:
        read_model(json_file({"schema": "smartshelf.products.v1", "products": [product]}), ProductFile)
    assert says in str(caught.value)


def test_a_product_that_is_in_the_file_twice_is_named(json_file: Callable[..., Path]) -> None:
    one = {"gtin": "4006381333931", "name": {"en": "Beans"}}
    same = {"gtin": "04006381333931", "name": {"en": "Beans again"}}
    with pytest.raises(FileProblems, match=r"products\[1\].gtin = '04006381333931': is in the file twice"):
        read_model(json_file({"schema": "smartshelf.products.v1", "products": [one, same]}), ProductFile)
