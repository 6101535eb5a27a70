"""My filter: does a product suit somebody who eats no nuts, no milk, nothing of animals, little salt? Never a guess.

Nothing here knows anybody: a page asks for every answer at once and remembers the choice itself, for one visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shelf_collector.core.stressed import stressed_in
from shelf_contracts.products import Allergen, Product

Verdict = Literal["fits", "no", "unknown"]

LOW_SALT_G = 0.3
"""Per 100 g or 100 ml: 0.12 g of sodium, the limit of the claim "low salt" in Regulation (EC) 1924/2006."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One filter's word on a product.

    Attributes:
        reason: a key of the pages' words for why not: ``contains``, ``may_contain``, ``not_vegan``, ``too_salty``,
            ``not_known``; empty when it fits.
        allergens: which ones stand in the way.
    """

    filter: str
    verdict: Verdict
    reason: str = ""
    allergens: tuple[Allergen, ...] = ()


_WITHOUT: dict[str, tuple[Allergen, ...]] = {
    "no_nuts": ("en:nuts", "en:peanuts"),
    "no_gluten": ("en:gluten",),
    "no_milk": ("en:milk",),
}
_OF_ANIMALS: tuple[Allergen, ...] = ("en:milk", "en:eggs", "en:fish", "en:crustaceans", "en:molluscs")

FILTERS = (*_WITHOUT, "vegan", "low_salt")
"""In the order in which they are offered; ``filter_<name>`` is the word of each."""


def answers(product: Product) -> tuple[Answer, ...]:
    """Every filter's answer, in the order of ``FILTERS``."""
    return (*(_without(name, product) for name in _WITHOUT), _vegan(product), _low_salt(product))


def _without(name: str, product: Product) -> Answer:
    facts = product.allergens
    unwanted = _WITHOUT[name]
    if facts is not None:
        # What is said to be in it is in it, even while the rest of the list waits for a review.
        for reason, listed in (("contains", facts.contains), ("may_contain", facts.may_contain)):
            found = tuple(tag for tag in unwanted if tag in listed)
            if found:
                return Answer(name, "no", reason, found)
    if facts is None or facts.needs_review:
        return Answer(name, "unknown", "not_known")
    return Answer(name, "fits")


def _vegan(product: Product) -> Answer:
    facts = product.allergens
    found = tuple(tag for tag in _OF_ANIMALS if facts is not None and tag in facts.contains)
    if found:
        return Answer("vegan", "no", "contains", found)
    is_waiting = facts is not None and bool(facts.needs_review)
    may_be = is_waiting or not stressed_in(product).isdisjoint(_OF_ANIMALS)
    if product.vegan is None or (product.vegan and may_be):
        return Answer("vegan", "unknown", "not_known")
    return Answer("vegan", "fits") if product.vegan else Answer("vegan", "no", "not_vegan")


def _low_salt(product: Product) -> Answer:
    salt_g = product.nutrition.salt_g if product.nutrition else None
    if salt_g is None:
        return Answer("low_salt", "unknown", "not_known")
    return Answer("low_salt", "fits") if salt_g <= LOW_SALT_G else Answer("low_salt", "no", "too_salty")
