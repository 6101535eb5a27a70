"""Which of the fourteen allergens the stressed words of an ingredient list name.

EU law has a list stress its allergens by the words people use (Regulation (EU) 1169/2011, article 21): "wheat", not
"cereals containing gluten". What is stressed and not listed means that one of the two is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shelf_contracts.products import Allergen, Product

STRESSED = re.compile(r"_([^_]+)_")
"""A stressed part of an ingredient list, marked as Open Food Facts does it."""

# Dutch joins words ("volkorentarwemeel"), so a stem may stand anywhere; one after | only where a word begins, since it
# stands in other words too (oat in goat, fish in shellfish, nuts in coconuts).
_STEMS: Mapping[Allergen, str] = {
    "en:gluten": "wheat barley spelt kamut gluten tarwe gerst rogge frumento segale farro glutin semola malto "
    "| rye oat haver grano orzo avena malt",
    "en:crustaceans": "shrimp prawn lobster garnaal garnalen kreeft gamber granchi crostace crustac schaaldier "
    "| crab krab",
    "en:eggs": "uova uovo dooier tuorlo albume | egg eigeel eieren ei-",
    "en:fish": "tonijn salmon zalm anchov ansjovis acciug makreel mackerel sgombro merluzzo pesce "
    "| fish vis- viss tuna tonno cod-",
    "en:peanuts": "peanut pinda arachid",
    "en:soybeans": "soybean sojabo | soy soja soia",
    "en:milk": "melk lactos lattosio casein yoghurt yogurt joghurt cheese geitenkaas roomkaas smeltkaas "
    "formaggi mozzarella parmigian ricotta "
    "mascarpone | kaas milk whey wei- weip cream room- latte- panna- siero",
    "en:nuts": "almond hazelnut walnut cashew pecan pistach pistacch macadamia amandel hazelno walno paranoo paranot "
    "mandorl nocciol anacard | nuts- nut- noten noci-",
    "en:celery": "celery celeriac selderij selderie sedano",
    "en:mustard": "mustard mosterd senape",
    "en:sesame-seeds": "sesam",
    "en:sulphur-dioxide-and-sulphites": "sulphit sulfit sulfiet solfit zwaveldioxid",
    "en:lupin": "lupin",
    "en:molluscs": "mussel oyster squid octopus mossel oester inktvis weekdier cozz vongol calamar mollus "
    "| clam polp seppi",
}


def _pattern(stems: str) -> re.Pattern[str]:
    anywhere, _, at_start = stems.partition("|")
    words = [re.escape(stem) for stem in anywhere.split()]
    # A stem with a hyphen is a whole word.
    words += [rf"\b{stem[:-1]}\b" if stem.endswith("-") else rf"\b{stem}" for stem in at_start.split()]
    return re.compile("|".join(words), re.IGNORECASE)


_PATTERNS = {allergen: _pattern(stems) for allergen, stems in _STEMS.items()}


def stressed_words(text: str) -> list[str]:
    """What an ingredient list stresses, marked as Open Food Facts does it.

    >>> stressed_words("_wheat_ flour, salt")
    ['wheat']
    """
    return STRESSED.findall(text)


def allergens_named(words: Iterable[str]) -> frozenset[Allergen]:
    """Those of the fourteen that the words surely name, in English, Dutch or Italian; other words name none."""
    return frozenset(
        allergen for word in words for allergen, pattern in _PATTERNS.items() if pattern.search(word) is not None
    )


def stressed_in(product: Product) -> frozenset[Allergen]:
    """The allergens that a product's ingredients name and stress, in any of their languages."""
    return allergens_named(word for text in (product.ingredients or {}).values() for word in stressed_words(text))
