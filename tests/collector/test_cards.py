"""What a display says of a product: in three languages, and never more than is known."""

from __future__ import annotations

import re
import string
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shelf_collector.adapters.web.hyphens import word_pieces, words_of
from shelf_collector.core import languages
from shelf_collector.core.cards import product_card
from shelf_collector.core.labels import label_text
from shelf_collector.core.languages import languages_in
from shelf_collector.core.texts import ALLERGENS, ALLERGENS_AFAR, LANGUAGE_NAMES, WORDS
from shelf_contracts.messages import iso_time
from shelf_contracts.products import LANGUAGES, Product
from tests.collector.builders import GTINS, NOON


def product(**facts: Any) -> Product:
    return Product.model_validate({"gtin": GTINS[0], "name": {"nl": "Naam", "en": "Name"}, **facts})


def test_every_language_has_every_word() -> None:
    assert set(WORDS) == set(ALLERGENS) == set(LANGUAGE_NAMES) >= set(LANGUAGES)
    for language in WORDS:
        assert set(WORDS[language]) == set(WORDS["en"])
        assert set(ALLERGENS[language]) == set(ALLERGENS["en"])
        assert len(set(ALLERGENS[language].values())) == len(set(ALLERGENS_AFAR[language].values())) == 14
        # A short word is a part of the long one of the same allergen: nobody is told of another.
        assert all(short in ALLERGENS[language][tag] for tag, short in ALLERGENS_AFAR[language].items()), language
        empty = [key for key, word in WORDS[language].items() if not word and key != "reason_clear"]
        assert not empty
        for key, word in WORDS[language].items():
            places = sorted(re.findall(r"\{\w+\}", word))
            assert places == sorted(re.findall(r"\{\w+\}", WORDS["en"][key])), (language, key)


def test_short_words_for_large_letters_stand_beside_those_of_the_law() -> None:
    facts = {
        "contains": ["en:sesame-seeds", "en:milk"],
        "may_contain": ["en:gluten"],
        "source": "supplier",
        "verified_on": "2026-11-01",
    }
    line = product_card(product(allergens=facts), "en", NOON).allergens
    assert (line.contains, line.may_contain) == (("sesame seeds", "milk"), ("cereals containing gluten",))
    assert (line.contains_afar, line.may_contain_afar) == (("sesame", "milk"), ("gluten",))


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("Melkchocolade", "Melk||cho|co|lade"),
        ("Pure chocolade", "cho|co|lade"),
        ("Kamillethee", "Ka|mil|le||thee"),
        ("Bloedsinaasappel", "Bloed|sinaas|ap|pel"),
        ("Groene thee", ""),
        ("Alcohol-vrij bier", "Al|co|hol-||vrij"),
    ],
)
def test_long_words_are_broken_best_where_words_of_the_shop_meet(name: str, pieces: str) -> None:
    known = words_of(["Pure chocolade", "groene thee 100%", "melk"])
    assert word_pieces(name, "nl", known) == pieces


@pytest.mark.parametrize(
    ("name", "is_tall"), [("زعتر فلسطيني 250غ", True), ("חלב 3%", False), ("Crème brûlée", False), ("น้ำปลา", True)]
)
def test_names_in_tall_scripts_get_lines_farther_apart(name: str, is_tall: bool) -> None:
    card = product_card(product(name={"en": name}), "en", NOON)
    assert card.has_tall_letters is is_tall


def test_a_labels_amount_keeps_its_order_beside_a_brand_from_the_right() -> None:
    card = product_card(product(brand="زيتون", net_content={"amount": 250, "unit": "g"}), "en", NOON)
    assert label_text(card, "en").detail == "\u2068زيتون\u2069 · 250 g"
    assert label_text(product_card(product(brand="Zaytun"), "en", NOON), "en").detail == "Zaytun"


def test_a_language_is_one_file(tmp_path: Path) -> None:
    english = Path(languages.__file__).with_name("en.py").read_text()
    (tmp_path / "fy.py").write_text(english.replace('code="en"', 'code="fy"').replace('"English"', '"Frysk"'))
    assert languages_in([*languages.__path__, str(tmp_path)])["fy"].name == "Frysk"
    (tmp_path / "xx.py").write_text(english)
    with pytest.raises(ValueError, match=r"xx\.py: LANGUAGE\.code must be 'xx'"):
        languages_in([str(tmp_path)])


def test_every_word_a_template_asks_for_exists() -> None:
    from shelf_collector.adapters.web import pages

    folder = pages.STATIC.parent / "templates"
    asked = {
        word
        for path in folder.glob("*.html")
        for word in re.findall(r"(?<![a-z_])words\.([a-z_0-9]+)\b", path.read_text())
    }
    assert asked - {"get"} <= set(WORDS["en"])
    assert len(asked) > 30


def test_nothing_known_is_said_to_be_unknown() -> None:
    card = product_card(product(), "nl", NOON)
    assert card.allergens.contains is None
    assert (card.price, card.unit_price, card.origin, card.nutrition, card.nutri_score) == ("", "", None, (), "")


ALLERGEN_FACTS = {"contains": ["en:milk"], "may_contain": ["en:nuts"], "source": "off", "verified_on": "2026-10-02"}


@pytest.mark.parametrize(
    ("language", "contains", "may_contain", "source"),
    [
        ("nl", "melk", "noten", "Open Food Facts, stand 2 okt 2026"),
        ("it", "latte", "frutta a guscio", "Open Food Facts, al 2 ott 2026"),
        ("en", "milk", "nuts", "Open Food Facts, as of 2 Oct 2026"),
    ],
)
def test_allergens_in_words_with_source_and_date(language: str, contains: str, may_contain: str, source: str) -> None:
    line = product_card(product(allergens=ALLERGEN_FACTS), language, NOON).allergens
    assert (line.contains, line.may_contain, line.source) == ((contains,), (may_contain,), source)


@pytest.mark.parametrize(
    ("facts", "ingredients", "is_shown"),
    [
        ({"contains": []}, "water, salt", True),
        ({"contains": []}, "_milk_, salt", False),
        ({"contains": [], "may_contain": ["en:milk"]}, "salt, traces of _milk_", True),
        ({"contains": ["en:milk"]}, "_milk_, salt", True),
        ({"contains": [], "verified_on": (NOON + timedelta(days=1)).date().isoformat()}, "", True),
        ({"contains": [], "verified_on": (NOON + timedelta(days=2)).date().isoformat()}, "", False),
        ({"contains": [], "verified_on": "2020-01-01"}, "", False),
    ],
)
def test_allergens_that_nobody_vouches_for_are_not_known(
    facts: dict[str, Any], ingredients: str, is_shown: bool
) -> None:
    allergens = {"source": "supplier", "verified_on": NOON.date().isoformat(), **facts}
    card = product_card(product(allergens=allergens, ingredients={"nl": ingredients or "water"}), "en", NOON)
    assert (card.allergens.contains is not None) == is_shown
    verdicts = {line.filter: line.verdict for line in card.filters}
    assert (verdicts["no_nuts"] == "unknown") == (not is_shown)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("nl", "gecontroleerd op 3 mrt 2022: te lang geleden om te tonen"),
        ("it", "verificati il 3 mar 2022: troppo tempo fa per mostrarli"),
        ("en", "checked on 3 Mar 2022: too long ago to show"),
    ],
)
def test_allergens_verified_too_long_ago_are_not_shown_and_that_is_said(language: str, source: str) -> None:
    line = product_card(product(allergens={**ALLERGEN_FACTS, "verified_on": "2022-03-03"}), language, NOON).allergens
    assert (line.contains, line.may_contain, line.contains_afar, line.source) == (None, (), (), source)


def test_allergens_with_a_tag_to_review_are_not_known() -> None:
    facts = {**ALLERGEN_FACTS, "needs_review": ["nl:tarwe"]}
    assert product_card(product(allergens=facts), "nl", NOON).allergens.contains is None


def test_none_of_the_fourteen_is_not_the_same_as_unknown() -> None:
    facts = {**ALLERGEN_FACTS, "contains": [], "may_contain": []}
    assert product_card(product(allergens=facts), "nl", NOON).allergens.contains == ()


@pytest.mark.parametrize(("hours_left", "is_shown"), [(1, True), (-1, False)])
def test_a_price_past_its_time_is_left_out(hours_left: int, is_shown: bool) -> None:
    until = iso_time(NOON + timedelta(hours=hours_left))
    facts = {"price": {"cents": 249, "valid_until": until}, "net_content": {"amount": 250, "unit": "g"}}
    card = product_card(product(**facts), "nl", NOON)
    assert (card.price, card.unit_price) == (("€ 2,49", "€ 9,96 per kg") if is_shown else ("", ""))


@pytest.mark.parametrize(
    ("content", "language", "shown", "unit_price"),
    [
        ({"amount": 20, "unit": "piece"}, "nl", "20 stuks", "€ 0,10 per stuk"),
        ({"amount": 1, "unit": "piece"}, "it", "1 pezzo", "2,00 € al pezzo"),
        ({"amount": 33, "unit": "cl"}, "en", "33 cl", "€6.06 per l"),
        ({"amount": 1.5, "unit": "l"}, "nl", "1,5 l", "€ 1,33 per l"),
    ],
)
def test_net_content_and_unit_price(content: dict[str, Any], language: str, shown: str, unit_price: str) -> None:
    card = product_card(product(price={"cents": 200}, net_content=content), language, NOON)
    assert (card.net_content, card.unit_price) == (shown, unit_price)


def test_a_text_in_another_language_says_which() -> None:
    card = product_card(product(ingredients={"en": "salt"}), "it", NOON)
    assert (card.name.text, card.name.language, card.ingredients_language) == ("Name", "en", "en")


def test_nutrition_rows_in_the_order_of_the_law() -> None:
    facts = {"energy_kj": 1498, "fat_g": 1.4, "saturates_g": 0.3, "carbohydrate_g": 71, "sugars_g": 3.2}
    card = product_card(product(nutrition={**facts, "protein_g": 12.5, "salt_g": 0.01}), "nl", NOON)
    assert [(row.label, row.value) for row in card.nutrition] == [
        ("Energie", "1498 kJ / 358 kcal"),
        ("Vet", "1,4 g"),
        ("waarvan verzadigd", "0,3 g"),
        ("Koolhydraten", "71 g"),
        ("waarvan suikers", "3,2 g"),
        ("Eiwitten", "12,5 g"),
        ("Zout", "0,01 g"),
    ]


@pytest.mark.parametrize(("grams", "shown"), [(0, "0 g CO₂e"), (690, "690 g CO₂e"), (1650, "1,6 kg CO₂e")])
def test_climate(grams: int, shown: str) -> None:
    assert product_card(product(co2e_g=grams), "nl", NOON).co2e == shown


def test_texts_are_plain() -> None:
    for words in WORDS.values():
        for text in words.values():
            assert not set(re.sub(r"\{\w+\}", "", text)) & set("<>{}" + string.whitespace.replace(" ", ""))


def test_a_blank_name_is_a_number_and_nothing_costs_zero() -> None:
    blank = {"name": {"nl": " ", "en": ""}, "price": {"cents": 1}}
    heavy = product(**blank, net_content={"amount": 1_000_000, "unit": "kg"})
    light = product(**blank, net_content={"amount": 0.001, "unit": "g"})
    for one in (heavy, light):
        card = product_card(one, "en", NOON)
        assert (card.name.text, card.price, card.unit_price) == (GTINS[0], "€0.01", "")
    assert product_card(light, "en", NOON).net_content == "", "0 g would be wrong"


def test_a_price_of_nothing_is_refused_and_says_where() -> None:
    with pytest.raises(ValidationError, match=r"price\.cents"):
        product(price={"cents": 0})


@pytest.mark.parametrize(
    ("currency", "language", "price", "per_kilo"),
    [
        ("EUR", "nl", "€ 1,50", "€ 3,00 per kg"),
        ("JPY", "en", "JPY 150", "JPY 300 per kg"),
        ("KWD", "en", "KWD 0.150", "KWD 0.300 per kg"),
        ("KRW", "it", "150 KRW", "300 KRW al kg"),
        ("CLF", "en", "CLF 0.0150", "CLF 0.0300 per kg"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_currency(
    currency: str, language: str, price: str, per_kilo: str
) -> None:
    facts = {"price": {"cents": 150, "currency": currency}, "net_content": {"amount": 500, "unit": "g"}}
    card = product_card(product(**facts), language, NOON)
    assert (card.price, card.unit_price) == (price, per_kilo)
