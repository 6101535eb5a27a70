"""A product as a display says it in one language: every word ready, what is not known said so."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shelf_collector.core.filters import Answer, Verdict, answers
from shelf_collector.core.origin_map import OriginMap, origin_map
from shelf_collector.core.stressed import STRESSED, stressed_in, stressed_words
from shelf_collector.core.texts import ALLERGENS, ALLERGENS_AFAR, WORDS, money, net_content, number, shown_date
from shelf_contracts.messages import iso_time
from shelf_contracts.products import (
    Allergens,
    Nutrition,
    Place,
    Product,
    Recipe,
    Text,
    offer_now,
    text_in,
    unit_price,
)

KCAL_PER_KJ = 1 / 4.184
_TALL_SCRIPTS = {"ARABIC", "SYRIAC", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "DEVANAGARI", "BENGALI", "TAMIL"}
_LONGEST_NAME = 110
_LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Words:
    """A text and the language it is in, which need not be the one asked for."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class AllergenLine:
    """``contains`` None: not known. ``source`` says who said so and when, or since when nobody vouches for them.

    ``contains_afar`` and ``may_contain_afar`` are the same allergens in words short enough for the largest letters.
    """

    contains: tuple[str, ...] | None
    may_contain: tuple[str, ...]
    source: str
    contains_afar: tuple[str, ...] = ()
    may_contain_afar: tuple[str, ...] = ()


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
class RecipeCard:
    """``effort`` is time and portions in words."""

    title: Words
    text: str
    effort: str


@dataclass(frozen=True, slots=True)
class FilterLine:
    """What one filter says of the product: ``why`` is a sentence, empty when it fits."""

    filter: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class OtherProduct:
    """Something to take instead."""

    gtin: str
    name: Words
    price: str
    price_until: str


@dataclass(frozen=True, slots=True)
class CardRules:
    """What a shop has decided about its cards.

    Attributes:
        shop: where the shop is, for the map; None: not said.
        allergens_days: allergens verified longer ago than this are not shown.
        link_domain: ``https://`` and the public domain that answers GS1 Digital Links; empty: no QR code.
    """

    shop: Place | None = None
    allergens_days: int = 730
    link_domain: str = ""


@dataclass(frozen=True, slots=True)
class ProductCard:
    """Empty strings, empty tuples and None stand for what is not known."""

    gtin: str
    name: Words
    short_name: str
    """What is read from afar when it is not the whole name: the shop's word, or the name without the brand above it."""
    brand: str
    net_content: str
    price: str
    unit_price: str
    price_until: str
    prior_price: str
    """The lowest price of the 30 days before; only then is the price announced as an offer."""
    saving: str
    offer_until: str
    origin: Words | None
    map: OriginMap | None
    allergens: AllergenLine
    nutrition: tuple[NutritionRow, ...]
    nutrition_per: str
    nutri_score: str
    co2e: str
    packaging: tuple[PackagingLine, ...]
    ingredients: tuple[TextPart, ...]
    ingredients_language: str
    recipe: RecipeCard | None
    others: tuple[OtherProduct, ...]
    filters: tuple[FilterLine, ...]
    is_in_season: bool
    link: str
    is_off: bool

    @property
    def has_long_name(self) -> bool:
        """A name that no letters could show whole from afar, or with a word that must be broken: it is cut."""
        return len(self.name.text) > _LONGEST_NAME or max(map(len, self.name.text.split()), default=0) > _LONGEST_WORD

    @property
    def has_tall_letters(self) -> bool:
        """Whether the name is in a script whose letters reach far above and below the line, as Arabic or Thai."""
        return any(unicodedata.name(letter, "").split(" ")[0] in _TALL_SCRIPTS for letter in self.name.text)

    @property
    def large_name(self) -> str:
        """What is read from afar."""
        return self.short_name or self.name.text


def product_card(
    product: Product, language: str, now: datetime, rules: CardRules | None = None, others: Iterable[Product] = ()
) -> ProductCard:
    """The product in a language; a price past its validity and allergens that nobody vouches for are left out.

    Args:
        others: products to offer when this one is out of stock.
    """
    rules = rules or CardRules()
    words = WORDS[language]
    name = _words(product.name, language) or Words(product.gtin, language)
    offer = offer_now(product, now)
    is_reduced = offer is not None and offer.prior_cents is not None
    per_unit = ""
    content = net_content(product.net_content, language)
    cents, unit = unit_price(offer, product.net_content) if offer and product.net_content else (0, "")
    if offer and content and cents > 0:
        unit_word = words["piece"] if unit == "piece" else unit
        per_unit = f"{money(cents, offer.currency, language)} {words['per']} {unit_word}"
    ingredients = _words(product.ingredients, language)
    doubt = allergen_doubt(product, now, rules)
    known = product if doubt in (None, "to_review") else product.model_copy(update={"allergens": None})
    prior_price, saving = "", ""
    if offer and offer.prior_cents is not None:
        prior_price = money(offer.prior_cents, offer.currency, language)
        # Rounded down: never more than is saved, and computed on the lowest price (CJEU C-330/23).
        saving = f"{(offer.prior_cents - offer.cents) * 100 // offer.prior_cents} %"
    return ProductCard(
        gtin=product.gtin,
        name=name,
        short_name=_short_name(product, name),
        brand=product.brand,
        net_content=content,
        price=money(offer.cents, offer.currency, language) if offer else "",
        unit_price=per_unit,
        price_until=iso_time(offer.until) if offer and offer.until else "",
        prior_price=prior_price,
        saving=saving,
        offer_until=shown_date(offer.until.date(), language) if offer and offer.until and is_reduced else "",
        origin=_words(product.origin, language),
        map=origin_map(product.origin_places, rules.shop),
        allergens=_allergens(product.allergens, doubt, language),
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
        recipe=_recipe(product.recipe, language),
        others=tuple(_other(one, language, now) for one in others),
        filters=tuple(FilterLine(one.filter, one.verdict, _why(one, language)) for one in answers(known)),
        is_in_season=now.month in product.season_months,
        link=f"{rules.link_domain}/01/{product.gtin}" if rules.link_domain else "",
        is_off=product.source == "off",
    )


_MOST_OTHERS = 3
_ACROSS_THE_DATE_LINE = timedelta(days=1)


def others_of(product: Product, products: Iterable[Product]) -> list[Product]:
    """What to offer instead: what the shop named, else others of the category; three at most."""
    by_gtin = {one.gtin: one for one in products if one.gtin != product.gtin}
    named = [by_gtin[gtin] for gtin in product.alternatives if gtin in by_gtin]
    if not product.alternatives and product.category:
        named = [one for one in by_gtin.values() if one.category == product.category]
    return named[:_MOST_OTHERS]


def _other(product: Product, language: str, now: datetime) -> OtherProduct:
    offer = offer_now(product, now)
    price = money(offer.cents, offer.currency, language) if offer else ""
    until = iso_time(offer.until) if offer and offer.until else ""
    return OtherProduct(product.gtin, _words(product.name, language) or Words(product.gtin, language), price, until)


def _short_name(product: Product, name: Words) -> str:
    given = (product.short_name or {}).get(name.language, "").strip()
    if given:
        return given if given != name.text else ""
    begins = f"{product.brand} ".casefold()
    is_branded = bool(product.brand) and name.text.casefold().startswith(begins)
    return name.text[len(begins) :].strip() if is_branded else ""


def _why(answer: Answer, language: str) -> str:
    if answer.verdict == "fits":
        return ""
    words, names = WORDS[language], ALLERGENS_AFAR[language]
    if answer.allergens:
        return f"{words[answer.reason]} {', '.join(names[tag] for tag in answer.allergens)}"
    return words[f"why_{answer.reason}"]


def _recipe(recipe: Recipe | None, language: str) -> RecipeCard | None:
    title = _words(recipe.title, language) if recipe else None
    if recipe is None or title is None:
        return None
    words = WORDS[language]
    effort = f"{recipe.minutes} {words['minutes']} · {words['serves'].replace('{n}', str(recipe.serves))}"
    return RecipeCard(title, text_in(recipe.text, language), effort)


def emphasised(text: str) -> tuple[TextPart, ...]:
    """Split an ingredient list at ``_allergens_`` marked as Open Food Facts marks them.

    >>> [(part.text, part.is_strong) for part in emphasised("_wheat_ flour, salt")]
    [('wheat', True), (' flour, salt', False)]
    """
    parts = STRESSED.split(text)
    return tuple(TextPart(part, index % 2 == 1) for index, part in enumerate(parts) if part)


def _words(text: Text | None, language: str) -> Words | None:
    chosen = text_in(text, language)
    if not text or not chosen:
        return None
    found = next((code for code, words in text.items() if words == chosen), language)
    return Words(chosen, language if text.get(language) == chosen else found)


AllergenDoubt = Literal["too_old", "to_come", "none_listed", "not_listed", "to_review"]


def allergen_doubt(product: Product, now: datetime, rules: CardRules) -> AllergenDoubt | None:
    """Why a display shows "not available" although allergens were given; None when it shows them, or none were given.

    Verified too long ago, or on a day that is still to come (a mistyped year would never age); none listed although the
    ingredients stress some, or one not listed that they stress: one of the two is wrong, and nobody guesses which; tags
    that somebody has to look at.
    """
    facts = product.allergens
    if facts is None:
        return None
    age = now.date() - facts.verified_on
    if age > timedelta(days=rules.allergens_days):
        return "too_old"
    if age < -_ACROSS_THE_DATE_LINE:
        return "to_come"
    if not facts.contains and not facts.may_contain and any(map(stressed_words, (product.ingredients or {}).values())):
        return "none_listed"
    if stressed_in(product) - {*facts.contains, *facts.may_contain}:
        return "not_listed"
    return "to_review" if facts.needs_review else None


def _allergens(allergens: Allergens | None, doubt: AllergenDoubt | None, language: str) -> AllergenLine:
    """Those that somebody vouches for; of those verified too long ago, only when that was."""
    if allergens is None or doubt is not None:
        since = shown_date(allergens.verified_on, language) if allergens and doubt == "too_old" else ""
        return AllergenLine(None, (), WORDS[language]["allergens_too_old"].replace("{date}", since) if since else "")
    words, names, afar = WORDS[language], ALLERGENS[language], ALLERGENS_AFAR[language]
    source = words.get(f"source_{allergens.source}", allergens.source)
    return AllergenLine(
        tuple(names[tag] for tag in allergens.contains),
        tuple(names[tag] for tag in allergens.may_contain),
        f"{source}, {words['as_of']} {shown_date(allergens.verified_on, language)}",
        tuple(afar[tag] for tag in allergens.contains),
        tuple(afar[tag] for tag in allergens.may_contain),
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
