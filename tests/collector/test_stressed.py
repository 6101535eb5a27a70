"""What an ingredient list stresses, and what follows where it and the listed allergens disagree."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shelf_collector.core.cards import CardRules, allergen_doubt
from shelf_collector.core.filters import answers
from shelf_collector.core.stressed import allergens_named, stressed_words
from shelf_contracts.products import Product

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("wheat flour", ["en:gluten"]),
        ("volkorentarwemeel", ["en:gluten"]),
        ("farina di frumento", ["en:gluten"]),
        ("goat milk", ["en:milk"]),
        ("volle melkpoeder", ["en:milk"]),
        ("latte scremato", ["en:milk"]),
        ("geitenkaas", ["en:milk"]),
        ("lattuga", []),
        ("shellfish", []),
        ("coconut", []),
        ("nutmeg", []),
        ("hazelnuts", ["en:nuts"]),
        ("hazelnoten", ["en:nuts"]),
        ("pindakaas", ["en:peanuts"]),
        ("sojalecithine", ["en:soybeans"]),
        ("uova", ["en:eggs"]),
        ("tonijn", ["en:fish"]),
        ("inktvis", ["en:molluscs"]),
        ("gamberi", ["en:crustaceans"]),
        ("sulfiet", ["en:sulphur-dioxide-and-sulphites"]),
        ("sugar", []),
    ],
)
def test_words_that_name_an_allergen(words: str, named: list[str]) -> None:
    assert sorted(allergens_named([words])) == named


def product(ingredients: str, **more: object) -> Product:
    return Product.model_validate(
        {"gtin": "8712345678906", "name": {"en": "Thing"}, "ingredients": {"en": ingredients}, **more}
    )


def listed(contains: list[str], may_contain: list[str] | None = None) -> dict[str, object]:
    return {"contains": contains, "may_contain": may_contain or [], "source": "supplier", "verified_on": "2026-11-01"}


@pytest.mark.parametrize(
    ("ingredients", "contains", "may_contain", "doubt"),
    [
        ("sugar, _milk_ powder, _hazelnuts_", ["en:nuts"], [], "not_listed"),
        ("_wheat_ flour", [], ["en:milk"], "not_listed"),
        ("_milk_, _hazelnuts_", ["en:nuts", "en:milk"], [], None),
        ("sugar. May contain _milk_", ["en:nuts"], ["en:milk"], None),
        ("_quark_", [], [], "none_listed"),
        ("_quark_", ["en:milk"], [], None),
        ("milk", [], [], None),
    ],
)
def test_what_is_stressed_and_not_listed_is_shown_to_nobody_as_safe(
    ingredients: str, contains: list[str], may_contain: list[str], doubt: str | None
) -> None:
    known = product(ingredients, allergens=listed(contains, may_contain))
    assert allergen_doubt(known, NOW, CardRules()) == doubt


@pytest.mark.parametrize(
    ("ingredients", "allergens", "verdict"),
    [
        ("oats, _milk_", None, "unknown"),
        ("oats, _latte_", listed([]), "unknown"),
        ("oats", {**listed([]), "needs_review": ["en:honey"]}, "unknown"),
        ("oats", listed(["en:milk"]), "no"),
        ("_oats_", listed(["en:gluten"]), "fits"),
    ],
)
def test_vegan_is_not_believed_against_the_ingredients(
    ingredients: str, allergens: dict[str, object] | None, verdict: str
) -> None:
    known = product(ingredients, vegan=True, **({} if allergens is None else {"allergens": allergens}))
    assert {answer.filter: answer.verdict for answer in answers(known)}["vegan"] == verdict


def test_stressed_words_are_those_between_underlines() -> None:
    assert stressed_words("_a b_, c, _d_") == ["a b", "d"]
