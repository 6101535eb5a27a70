"""A product as a display says it in one language: every word ready, what is not known said so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from shelf_collector.core.texts import ALLERGENS, WORDS, money, net_content, number, shown_date
from shelf_contracts.messages import iso_time
from shelf_contracts.products import Allergens, Nutrition, Product, Text, text_in, unit_price, valid_price

KCAL_PER_KJ = 1 / 4.184


@dataclass(frozen=True, slots=True)
class Words:
    """A text and the language it is in, which need not be the one asked for."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class AllergenLine:
    """``contains`` None: not known. ``source`` says who said so and when."""

    contains: tuple[str, ...] | None
    may_contain: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class NutritionRow:
    label: str
    value: str
    is_part: bool


@dataclass(frozen=True, slots=True)
class PackagingLine:
    part: str
    material: str
    sort: str


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of the ingredients; ``is_strong`` marks an allergen."""

    text: str
    is_strong: bool


@dataclass(frozen=True, slots=True)
class ProductCard:
    """Empty strings, empty tuples and None stand for what is not known."""

    gtin: str
    name: Words
    brand: str
    net_content: str
    price: str
    unit_price: str
    price_until: str
    origin: Words | None
    allergens: AllergenLine
    nutrition: tuple[NutritionRow, ...]
    nutrition_per: str
    nutri_score: str
    co2e: str
    packaging: tuple[PackagingLine, ...]
    ingredients: tuple[TextPart, ...]
    ingredients_language: str
    is_off: bool


def product_card(product: Product, language: str, now: datetime) -> ProductCard:
    """The product in a language; a price past its validity is left out."""
    price = valid_price(product.price, now)
    words = WORDS[language]
    per_unit = ""
    if price and product.net_content:
        cents, unit = unit_price(price, product.net_content)
        unit_word = words["piece"] if unit == "piece" else unit
        per_unit = f"{money(cents, price.currency, language)} {words['per']} {unit_word}"
    ingredients = _words(product.ingredients, language)
    return ProductCard(
        gtin=product.gtin,
        name=_words(product.name, language) or Words(product.gtin, language),
        brand=product.brand,
        net_content=net_content(product.net_content, language),
        price=money(price.cents, price.currency, language) if price else "",
        unit_price=per_unit,
        price_until=iso_time(price.valid_until) if price and price.valid_until else "",
        origin=_words(product.origin, language),
        allergens=_allergens(product.allergens, language),
        nutrition=_nutrition(product.nutrition, language),
        nutrition_per=words[f"per_{product.nutrition.per}"] if product.nutrition else "",
        nutri_score=product.nutri_score or "",
        co2e=_co2e(product.co2e_g, language),
        packaging=tuple(
            PackagingLine(text_in(line.part, language), text_in(line.material, language), text_in(line.sort, language))
            for line in product.packaging or []
        ),
        ingredients=emphasised(ingredients.text) if ingredients else (),
        ingredients_language=ingredients.language if ingredients else language,
        is_off=product.source == "off",
    )


def emphasised(text: str) -> tuple[TextPart, ...]:
    """Split an ingredient list at ``_allergens_`` marked as Open Food Facts marks them.

    >>> [(part.text, part.is_strong) for part in emphasised("_wheat_ flour, salt")]
    [('wheat', True), (' flour, salt', False)]
    """
    parts = re.split(r"_([^_]+)_", text)
    return tuple(TextPart(part, index % 2 == 1) for index, part in enumerate(parts) if part)


def _words(text: Text | None, language: str) -> Words | None:
    chosen = text_in(text, language)
    if not text or not chosen:
        return None
    found = next((code for code, words in text.items() if words == chosen), language)
    return Words(chosen, language if text.get(language) == chosen else found)


def _allergens(allergens: Allergens | None, language: str) -> AllergenLine:
    if allergens is None or allergens.needs_review:
        return AllergenLine(None, (), "")
    words, names = WORDS[language], ALLERGENS[language]
    source = words.get(f"source_{allergens.source}", allergens.source)
    return AllergenLine(
        tuple(names[tag] for tag in allergens.contains),
        tuple(names[tag] for tag in allergens.may_contain),
        f"{source}, {words['as_of']} {shown_date(allergens.verified_on, language)}",
    )


def _nutrition(nutrition: Nutrition | None, language: str) -> tuple[NutritionRow, ...]:
    if nutrition is None:
        return ()
    words = WORDS[language]
    rows = []
    if nutrition.energy_kj is not None:
        kcal = round(nutrition.energy_kj * KCAL_PER_KJ)
        rows.append(NutritionRow(words["energy"], f"{round(nutrition.energy_kj)} kJ / {kcal} kcal", False))
    for label, value, is_part in (
        ("fat", nutrition.fat_g, False),
        ("saturates", nutrition.saturates_g, True),
        ("carbohydrate", nutrition.carbohydrate_g, False),
        ("sugars", nutrition.sugars_g, True),
        ("fibre", nutrition.fibre_g, False),
        ("protein", nutrition.protein_g, False),
        ("salt", nutrition.salt_g, False),
    ):
        if value is not None:
            digits = 2 if label == "salt" else 1
            rows.append(NutritionRow(words[label], f"{number(value, language, digits)} g", is_part))
    return tuple(rows)


def _co2e(grams: int | None, language: str) -> str:
    if grams is None:
        return ""
    amount = f"{number(grams / 1000, language, 1)} kg" if grams >= 1000 else f"{grams} g"
    return f"{amount} CO₂e"
