"""The demo shop's product data is whole, and its allergens agree with what its ingredients say."""

from __future__ import annotations

import json
import re

import pytest

from shelf_contracts.files import read_model
from shelf_contracts.products import LANGUAGES, Allergen, Product, ProductFile
from shelf_contracts.shipped import demo_shop_folder

PRODUCTS = read_model(demo_shop_folder() / "products.json", ProductFile).products
PACKS = json.loads((demo_shop_folder() / "packs.json").read_text())["packs"]

# Beginnings of the words that name an allergen in an ingredient list, in each language.
WORDS: dict[Allergen, dict[str, tuple[str, ...]]] = {
    "en:gluten": {
        "nl": ("tarwe", "haver", "gerst", "rogge", "spelt"),
        "it": ("frumento", "grano", "avena", "orzo", "segale", "farro"),
        "en": ("wheat", "oat", "barley", "rye", "spelt"),
    },
    "en:milk": {
        "nl": ("melk", "boter", "wei"),
        "it": ("latte", "burro"),
        "en": ("milk", "butter", "whey"),
    },
    "en:eggs": {"nl": ("ei",), "it": ("uov",), "en": ("egg",)},
    "en:nuts": {"nl": ("hazelno", "amandel"), "it": ("nocciol", "mandorl"), "en": ("hazelnut", "almond")},
    "en:peanuts": {"nl": ("pinda",), "it": ("arachid",), "en": ("peanut",)},
    "en:soybeans": {"nl": ("soja",), "it": ("soia",), "en": ("soy",)},
    "en:sesame-seeds": {"nl": ("sesam",), "it": ("sesamo",), "en": ("sesame",)},
    "en:mustard": {"nl": ("mosterd",), "it": ("senape",), "en": ("mustard",)},
    "en:celery": {"nl": ("selderij",), "it": ("sedano",), "en": ("celery",)},
    "en:fish": {"nl": ("tonijn", "makreel"), "it": ("tonno", "sgombro"), "en": ("tuna", "mackerel")},
    "en:sulphur-dioxide-and-sulphites": {"nl": ("sulfiet",), "it": ("solfit",), "en": ("sulphite",)},
}
# Words that only sound like one.
HARMLESS = {
    "nl": ("cacaoboter", "kokosmelk", "zonnebloempitten", "weinig", "eiwit"),
    "it": ("burro di cacao",),
    "en": ("cocoa butter", "coconut milk"),
}


def allergens_named(text: str, language: str, *, marked: bool) -> set[Allergen]:
    """The allergens that a list names; with ``marked`` only where it marks them."""
    plain = text.lower()
    for harmless in HARMLESS[language]:
        plain = plain.replace(harmless, "")
    words = re.findall(r"_([^_]+)_", plain) if marked else re.findall(r"[^\W\d]+", plain.replace("_", " "))
    return {
        tag
        for tag, beginnings in WORDS.items()
        if any(word.startswith(beginning) for word in words for beginning in beginnings[language])
    }


def test_every_pack_is_described_under_its_own_name() -> None:
    described = {product.gtin: product for product in PRODUCTS}
    assert len(PACKS) == len(PRODUCTS) == 40
    for pack in PACKS:
        product = described[pack["gtin"]]
        assert (product.name["en"], product.brand) == (pack["name"], pack["brand"])
        assert product.net_content is not None
        unit = "pieces" if product.net_content.unit == "piece" else product.net_content.unit
        assert f"{product.net_content.amount:g} {unit}" == pack["net_content"]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name["en"])
def test_texts_are_there_in_every_language(product: Product) -> None:
    for line in product.packaging or []:
        for text in (line.part, line.material, line.sort):
            assert set(text) == set(LANGUAGES)
    for words in (product.name, product.category, product.origin, product.ingredients):
        assert words is None or set(words) == set(LANGUAGES)
    assert product.source == "shop"


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name["en"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_allergens_agree_with_the_ingredients(product: Product, language: str) -> None:
    if product.allergens is None or product.ingredients is None:
        # What nobody verified may name nothing that is an allergen.
        text = (product.ingredients or {}).get(language, "")
        assert not allergens_named(text, language, marked=False)
        return
    assert (product.allergens.source, product.allergens.verified_on.isoformat()) == ("supplier", "2026-11-01")
    text = product.ingredients[language]
    assert allergens_named(text, language, marked=True) == set(product.allergens.contains)
    assert allergens_named(text, language, marked=False) <= set(product.allergens.contains)


def test_some_facts_are_missing_on_purpose() -> None:
    for field in ("allergens", "origin", "ingredients", "nutrition", "nutri_score", "co2e_g"):
        missing = sum(getattr(product, field) is None for product in PRODUCTS)
        assert 1 <= missing <= 6, field


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name["en"])
def test_figures_are_believable(product: Product) -> None:
    assert product.price is not None
    assert 40 <= product.price.cents <= 1000
    facts = product.nutrition
    if facts is None or facts.energy_kj is None:
        return
    grams = [facts.fat_g or 0, facts.carbohydrate_g or 0, facts.fibre_g or 0, facts.protein_g or 0, facts.salt_g or 0]
    assert sum(grams) <= 101
    computed_kj = 37 * grams[0] + 17 * grams[1] + 8 * grams[2] + 17 * grams[3]
    assert facts.energy_kj == pytest.approx(computed_kj, rel=0.12, abs=25)
    assert (facts.saturates_g or 0) <= grams[0]
    assert (facts.sugars_g or 0) <= grams[1]
