"""Products for the style guide: one of which all is known, one of which nothing is, one that is hard to show."""

from __future__ import annotations

from datetime import datetime, timedelta

from shelf_collector.core.cards import CardRules, ProductCard, product_card
from shelf_collector.core.filters import FILTERS
from shelf_collector.core.origin_map import LAND_PATH, WATER_PATH
from shelf_contracts.messages import iso_time
from shelf_contracts.products import Place, Product

_SHOP = Place(latitude=52.37, longitude=4.9)


def display_samples(language: str, now: datetime) -> dict[str, object]:
    """What ``_styleguide_display.html`` needs."""
    full, bare, hard = _known(now), Product(gtin="09521000274006", name={"en": "Tomatoes"}), _hard()
    rules = CardRules(shop=_SHOP, link_domain="https://shop.example")

    def card(product: Product, others: tuple[Product, ...] = ()) -> ProductCard:
        return product_card(product, language, now, rules, others)

    return {
        "sample_cards": {"known": card(full, (bare, hard)), "bare": card(bare), "hard": card(hard)},
        "filters": FILTERS,
        "land": LAND_PATH,
        "water": WATER_PATH,
    }


def _known(now: datetime) -> Product:
    return Product.model_validate({
        "gtin": "09521000137004",
        "name": {"nl": "Pastasaus met basilicum", "it": "Sugo al basilico", "en": "Tomato sauce with basil"},
        "brand": "Molino Aurora",
        "net_content": {"amount": 340, "unit": "g"},
        "price": {"cents": 279},
        "promotion": {
            "cents": 199, "starts_at": iso_time(now - timedelta(days=2)), "ends_at": iso_time(now + timedelta(days=5)),
        },
        "price_history": [{"cents": 279, "since": iso_time(now - timedelta(days=60))}],
        "origin": {"nl": "Tomaten uit Italië", "it": "Pomodori italiani", "en": "Tomatoes from Italy"},
        "origin_places": [{"latitude": 40.8, "longitude": 14.9}],
        "ingredients": {"en": "Tomatoes 92 %, basil, _celery_, olive oil, salt"},
        "allergens": {
            "contains": ["en:celery"], "may_contain": ["en:nuts"], "source": "supplier",
            "verified_on": (now - timedelta(days=20)).date().isoformat(),
        },
        "nutrition": {
            "energy_kj": 250, "fat_g": 2.1, "saturates_g": 0.3, "carbohydrate_g": 7.2, "sugars_g": 5.8, "salt_g": 0.7,
        },
        "nutri_score": "b",
        "co2e_g": 610,
        "packaging": [
            {"part": {"nl": "Pot", "it": "Vaso", "en": "Jar"}, "material": {"nl": "glas", "it": "vetro", "en": "glass"},
             "sort": {"nl": "glasbak", "it": "raccolta vetro", "en": "bottle bank"}},
        ],
        "vegan": True,
        "season_months": [now.month],
        "recipe": {
            "title": {"en": "Sunday pasta"}, "text": {"en": "Warm the sauce, boil the pasta, serve."}, "minutes": 15,
        },
    })  # fmt: skip


def _hard() -> Product:
    return Product.model_validate({
        "gtin": "09521000411005",
        "name": {"en": "חלב עיזים טרי מהגליל 3%"},
        "brand": "A brand that tells its whole story on the pack, and tells it twice, " * 3,
        "price": {"cents": 9_999_999},
        "allergens": {
            "contains": ["en:milk", "en:sulphur-dioxide-and-sulphites"], "source": "supplier",
            "verified_on": "2020-01-01",
        },
    })  # fmt: skip
