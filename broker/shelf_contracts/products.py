"""Product information as a shopper may need it, in the words of EU food and price law.

What is not known stays None and is shown as not known; allergens are never guessed. Texts are given by language
(``{"nl": ..., "it": ..., "en": ...}``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shelf_contracts.ids import Gtin
from shelf_contracts.messages import UtcTime

LANGUAGES = ("nl", "it", "en")

Text = dict[Annotated[str, Field(pattern=r"^[a-z]{2}$")], str]
Per100 = Annotated[float, Field(ge=0.0, le=10_000.0)]

Allergen = Literal[
    "en:gluten", "en:crustaceans", "en:eggs", "en:fish", "en:peanuts", "en:soybeans", "en:milk", "en:nuts", "en:celery",
    "en:mustard", "en:sesame-seeds", "en:sulphur-dioxide-and-sulphites", "en:lupin", "en:molluscs",
]  # fmt: skip
"""The fourteen of Annex II of Regulation (EU) 1169/2011, by their Open Food Facts tags."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetContent(_Facts):
    """What is in the pack, as on the pack: 250 g, 1 l, 6 pieces."""

    amount: Annotated[float, Field(ge=0.001, le=1_000_000)]
    unit: Literal["g", "kg", "ml", "cl", "l", "piece"]


_MINOR_DIGITS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
         "XPF"), 0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip


def minor_digits(currency: str) -> int:
    """How many decimals an amount of this currency has (ISO 4217); two where the standard says nothing else.

    >>> minor_digits("EUR"), minor_digits("JPY"), minor_digits("KWD")
    (2, 0, 3)
    """
    return _MINOR_DIGITS.get(currency, 2)


class Price(_Facts):
    """Selling price with VAT, and until when it is true.

    Every ``cents`` of this schema counts the currency's smallest unit (ISO 4217): 249 is 2.49 euro, 249 yen, or 0.249
    Kuwaiti dinar.
    """

    cents: Annotated[int, Field(gt=0, le=10_000_000)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    valid_until: UtcTime | None = None


class PriceSince(_Facts):
    """A step of the price history: what the product cost from a moment on, reduced or not."""

    cents: Annotated[int, Field(gt=0, le=10_000_000)]
    since: UtcTime


class Promotion(_Facts):
    """A lower price for a while. It is shown as a reduction only with the lowest price of the 30 days before it."""

    cents: Annotated[int, Field(gt=0, le=10_000_000)]
    starts_at: UtcTime
    ends_at: UtcTime

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Promotion:
        if self.starts_at >= self.ends_at:
            raise ValueError("starts_at must be before ends_at")
        return self


class Allergens(_Facts):
    """What the pack contains and may contain. A product whose allergens are not known has none of this object."""

    contains: list[Allergen] = []
    may_contain: list[Allergen] = []
    needs_review: list[str] = []
    """Tags outside the fourteen that an importer met; while any is here the list is not complete and is not shown."""
    source: Annotated[str, Field(min_length=1, max_length=100)]
    verified_on: date

    @model_validator(mode="after")
    def _one_list_each(self) -> Allergens:
        both = sorted(set(self.contains) & set(self.may_contain))
        if both:
            raise ValueError(f"{', '.join(both)} must stand in contains or in may_contain, not in both")
        return self


class Nutrition(_Facts):
    """Per 100 g or 100 ml: energy in kJ, the rest in g. None: not known."""

    per: Literal["100g", "100ml"] = "100g"
    energy_kj: Per100 | None = None
    fat_g: Per100 | None = None
    saturates_g: Per100 | None = None
    carbohydrate_g: Per100 | None = None
    sugars_g: Per100 | None = None
    fibre_g: Per100 | None = None
    protein_g: Per100 | None = None
    salt_g: Per100 | None = None


class Packaging(_Facts):
    """One part of the pack and how to sort it."""

    part: Text
    material: Text
    sort: Text


class Place(_Facts):
    """A point of the map of origin, in degrees; coarse: a region, not a farm."""

    latitude: Annotated[float, Field(ge=-60.0, le=80.0)]
    longitude: Annotated[float, Field(ge=-180.0, le=180.0)]


class Recipe(_Facts):
    """A dish in a few lines. ``uses`` are other products of the shop that go into it."""

    title: Text
    text: Text
    minutes: Annotated[int, Field(ge=1, le=1440)]
    serves: Annotated[int, Field(ge=1, le=50)] = 2
    uses: Annotated[list[Gtin], Field(max_length=8)] = []


Month = Annotated[int, Field(ge=1, le=12)]


class Product(_Facts):
    """One product. ``gtin`` and a name are all that is needed; what is not known is left out."""

    gtin: Gtin
    name: Annotated[Text, Field(min_length=1)]
    short_name: Text | None = None
    """What is read from afar instead of a long name; the whole name stands below it. Nobody else shortens a name."""
    brand: Annotated[str, Field(max_length=300)] = ""
    category: Text | None = None
    net_content: NetContent | None = None
    price: Price | None = None
    """The price without any promotion."""
    promotion: Promotion | None = None
    price_history: Annotated[list[PriceSince], Field(max_length=400)] = []
    """What it cost, reduced or not, for at least the 30 days before a promotion; without it none is announced."""
    origin: Text | None = None
    origin_places: Annotated[list[Place], Field(max_length=4)] = []
    ingredients: Text | None = None
    allergens: Allergens | None = None
    nutrition: Nutrition | None = None
    nutri_score: Literal["a", "b", "c", "d", "e"] | None = None
    co2e_g: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Greenhouse gases of the whole pack in grams of CO2 equivalent."""
    packaging: list[Packaging] | None = None
    vegan: bool | None = None
    """Nothing of animals in it, as its maker says; None: nobody said."""
    season_months: Annotated[list[Month], Field(max_length=12)] = []
    """Months in which its main ingredient is harvested here."""
    recipe: Recipe | None = None
    alternatives: Annotated[list[Gtin], Field(max_length=8)] = []
    """What to offer when it is out of stock, best first; empty: others of its category."""
    backroom: Annotated[str, Field(max_length=60)] = ""
    """Where staff find it to restock: "cold store, rack 3"; empty: not known. Shoppers are never told."""
    source: Annotated[str, Field(max_length=100)] = "shop"
    fetched_at: UtcTime | None = None


class ProductFile(_Facts):
    """A shop's products in one JSON file."""

    schema_name: Annotated[Literal["smartshelf.products.v1"], Field(alias="schema")]
    products: list[Product]

    @model_validator(mode="after")
    def _each_once(self) -> ProductFile:
        seen: set[str] = set()
        for index, product in enumerate(self.products):
            if product.gtin in seen:
                raise ValueError(f"products[{index}].gtin = {product.gtin!r}: is in the file twice")
            seen.add(product.gtin)
        return self


def text_in(text: Text | None, language: str) -> str:
    """The text in a language, else English, else any; empty when there is none but blanks.

    >>> text_in({"nl": " ", "it": "acqua"}, "nl")
    'acqua'
    """
    texts = text or {}
    return next((one for one in (texts.get(language), texts.get("en"), *texts.values()) if one and one.strip()), "")


_PER_BASE: dict[str, tuple[int, str]] = {
    "g": (1000, "kg"),
    "kg": (1, "kg"),
    "ml": (1000, "l"),
    "cl": (100, "l"),
    "l": (1, "l"),
    "piece": (1, "piece"),
}


def unit_price(price: Price | Offer, content: NetContent) -> tuple[int, str]:
    """Price in cents for one kg, litre or piece (Directive 98/6/EC), rounded to the cent (half up), and that unit.

    >>> unit_price(Price(cents=249), NetContent(amount=250, unit="g"))
    (996, 'kg')
    """
    factor, unit = _PER_BASE[content.unit]
    exact = Decimal(price.cents) * factor / Decimal(str(content.amount))
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP)), unit


def valid_price(price: Price | None, now: datetime) -> Price | None:
    """The price, unless it is past its validity."""
    if price is None or (price.valid_until is not None and price.valid_until < now):
        return None
    return price


REFERENCE_DAYS = 30
"""How far back the prior price of a reduction looks (Directive 98/6/EC, Article 6a)."""


def prior_price(history: Sequence[PriceSince], starts_at: datetime) -> int | None:
    """The lowest price in cents of the 30 days before a reduction; None when the history is shorter than that.

    >>> from datetime import UTC
    >>> steps = [PriceSince(cents=279, since=datetime(2026, 1, 1, tzinfo=UTC)),
    ...          PriceSince(cents=249, since=datetime(2026, 10, 20, tzinfo=UTC))]
    >>> prior_price(steps, datetime(2026, 11, 1, tzinfo=UTC)), prior_price(steps[1:], datetime(2026, 11, 1, tzinfo=UTC))
    (249, None)
    """
    begin = starts_at - timedelta(days=REFERENCE_DAYS)
    steps = sorted((step for step in history if step.since < starts_at), key=lambda step: step.since)
    before = [step for step in steps if step.since <= begin]
    if not before:
        return None
    return min(step.cents for step in steps[len(before) - 1 :])


@dataclass(frozen=True, slots=True)
class Offer:
    """A price as it may be shown.

    Attributes:
        cents: what is paid now.
        prior_cents: the lowest price of the 30 days before, when it may be announced as a reduction; else None.
        until: when the price shown stops being true; None: not said.
    """

    cents: int
    currency: str
    prior_cents: int | None
    until: datetime | None


def offer_now(product: Product, now: datetime) -> Offer | None:
    """What is paid now, and whether it may be called a reduction: only against a known, higher prior price."""
    price = valid_price(product.price, now)
    if price is None:
        return None
    promotion = product.promotion
    if promotion is None or now >= promotion.ends_at:
        return Offer(price.cents, price.currency, None, price.valid_until)
    if now < promotion.starts_at:
        until = min(filter(None, (price.valid_until, promotion.starts_at)))
        return Offer(price.cents, price.currency, None, until)
    until = min(filter(None, (price.valid_until, promotion.ends_at)))
    prior = prior_price(product.price_history, promotion.starts_at)
    is_reduction = prior is not None and promotion.cents < prior
    return Offer(promotion.cents, price.currency, prior if is_reduction else None, until)
