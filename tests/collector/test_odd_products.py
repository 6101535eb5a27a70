"""Products as no shop would want them: shown sensibly, nothing sticks out, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shelf_contracts.ids import gtin_check_digit
from shelf_testing.axe import serious_findings
from shelf_testing.browser import PAGE_SIZES
from tests.collector.builders import Node, planogram
from tests.collector.live_shop import LiveShop, wait_for_panels
from tests.collector.test_browser import WHAT_STICKS_OUT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

ALLERGENS = [
    "en:gluten", "en:crustaceans", "en:eggs", "en:fish", "en:peanuts", "en:soybeans", "en:milk", "en:nuts",
    "en:celery", "en:mustard", "en:sesame-seeds", "en:sulphur-dioxide-and-sulphites", "en:lupin", "en:molluscs",
]  # fmt: skip
SENTENCE = (
    "Slow-baked crackers with sunflower seeds, rosemary from the hills and a little sea salt in a paper wrapper, "
)
RIGHT_TO_LEFT = {
    "name": {"en": "חלב עיזים טרי מהגליל 3%"},
    "brand": "משק יעקבס",
    "origin": {"en": "ישראל, גליל עליון"},
    "ingredients": {"en": "_חלב_ עיזים מפוסטר"},
    "recipe": {"title": {"en": "فطيرة الجبن"}, "text": {"en": "اخلط الجبن مع الزعتر ثم اخبز 20 دقيقة."}, "minutes": 20},
    "net_content": {"amount": 1, "unit": "l"},
    "price": {"cents": 399},
}
ODD: dict[str, dict[str, Any]] = {
    "only a name": {"name": {"en": "Water"}},
    "an empty name": {"name": {"en": "", "nl": " "}, "price": {"cents": 99}},
    "300 characters": {"name": {"en": (SENTENCE * 3)[:300]}, "brand": SENTENCE * 2, "price": {"cents": 275}},
    "300 characters in a word": {"name": {"en": "Donaudampfschifffahrt" * 14 + "gesel"}, "price": {"cents": 10}},
    "right to left": RIGHT_TO_LEFT,
    "dear, and full of everything": {
        "name": {"en": "Fourteen of fourteen"},
        "price": {"cents": 9_999_999},
        "net_content": {"amount": 0.001, "unit": "g"},
        "allergens": {"contains": ALLERGENS, "source": "s" * 100, "verified_on": "2026-11-01"},
        "ingredients": {"en": ("_wheat_, _milk_, " * 200).strip()},
        "nutrition": {"energy_kj": 10_000, "salt_g": 0},
        "co2e_g": 1_000_000,
        "origin": {"en": "the whole world " * 12},
        "packaging": [{"part": {"en": "box " * 20}, "material": {"en": "x" * 90}, "sort": {"en": "bin"}}] * 4,
        "recipe": {"title": {"en": "Soup " * 40}, "text": {"en": "Cook. " * 300}, "minutes": 1440, "serves": 50},
    },
    "nearly free": {"name": {"en": "Bag"}, "price": {"cents": 1}, "net_content": {"amount": 1_000_000, "unit": "kg"}},
    "signs": {"name": {"en": "Z̷̡͔̈ą̶͗l̸̰͝g̷̣̈o̴̺͘ 🧀🧀 <b>&amp;</b> \u202eabc\u202c"}, "price": {"cents": 150}},
}
SLOT = {name: f"s1-{number + 1:02d}" for number, name in enumerate(ODD)}


def gtin_of(number: int) -> str:
    body = f"0952100{number:06d}"
    return body + str(gtin_check_digit(body))


@pytest.fixture
def odd_shop(shop_folder: Path) -> None:
    """Before ``live``: one shelf of them."""
    gtins = [gtin_of(900 + number) for number in range(len(ODD))]
    products = [{"gtin": gtin, **facts} for gtin, facts in zip(gtins, ODD.values(), strict=True)]
    content = {"schema": "smartshelf.products.v1", "products": products}
    (shop_folder / "products.json").write_text(json.dumps(content))
    plan = json.loads(planogram().model_dump_json(by_alias=True))
    plan["products"] = [{"id": gtin, "gtin": gtin, "w": 80, "h": 200} for gtin in gtins]
    plan["positions"] = [
        {"id": slot, "productId": gtin, "fixtureId": "s1", "x": 100 * i, "y": 100, "w": 90, "h": 200,
         "facings": {"h": 1, "v": 1, "d": 6}, "capacity": 6}
        for i, (slot, gtin) in enumerate(zip(SLOT.values(), gtins, strict=True))
    ]  # fmt: skip
    (shop_folder / "a01.json").write_text(json.dumps(plan))


def shown(page: Page, count: int) -> list[str]:
    """The names on the panels, once so many are up."""
    page.wait_for_selector(f'#display[data-panels="{count}"]')
    assert page.evaluate(WHAT_STICKS_OUT) == []
    sizes = page.locator("#panels .panel").evaluate_all(
        "all => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 11, "small, but to be read with a hand at the shelf"
    return page.locator("#panels .panel .key").all_inner_texts()


AS_SEEN = """() => {
  const panels = [...document.querySelectorAll('#panels .panel')];
  const panel = panels.find((one) => one.querySelector('.key').textContent.includes('חלב'));
  const seen = (part) => {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    const letters = [];
    while (walker.nextNode()) [...walker.currentNode.data].forEach((letter, at) => {
      const range = document.createRange();
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, at + 1);
      const { left, width } = range.getBoundingClientRect();
      if (width) letters.push([left, letter]);
    });
    return letters.sort((one, other) => one[0] - other[0]).map(([, letter]) => letter).join('');
  };
  return ['.brand bdi:last-of-type', '.price strong', '.unit-price'].map((one) => seen(panel.querySelector(one)));
}"""
"""How a reader's eye meets the letters, from left to right."""


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_every_odd_product_stands_on_the_display_with_a_name(
    odd_shop: None, live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_page("/display/a01?lang=en", *PAGE_SIZES[size])
    page.wait_for_selector('#display[data-stream="up"]')
    node, names = Node(), list(SLOT)
    # On a phone one at a time: three panels have no room there, and a phone has its own page, /my.
    groups = [names[:3], names[3:6], names[6:]] if size != "phone" else [[name] for name in names]
    for group in groups:
        for name in group:
            live.say(node.event("reach", SLOT[name], now=live.shop.clock.now()))
        found = shown(page, len(group))
        assert all(one.strip() for one in found)
        if "an empty name" in group:
            assert any(one.strip() == gtin_of(901) for one in found), "better a number than nothing"
        assert "€0.00" not in page.locator("#panels").inner_text()
        if "right to left" in group:
            assert page.evaluate(AS_SEEN) == ["1 l", "€3.99", "€3.99 per l"]
            page.evaluate("() => { document.documentElement.dir = 'rtl'; }")
            assert page.evaluate(AS_SEEN) == ["1 l", "€3.99", "€3.99 per l"], "and where the page runs from the right"
            page.evaluate("() => { document.documentElement.dir = ''; }")
        live.shop.clock.advance(11)
        page.wait_for_selector('#display[data-panels="0"]')
    page.get_by_role("button", name="No gluten").click()
    assert serious_findings(page) == []


def test_odd_products_on_a_phone(odd_shop: None, live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/my/a01?lang=en", *PAGE_SIZES["phone"])
    page.get_by_role("button", name="No gluten").click()
    for product in page.locator(".my-product").all():
        product.locator("summary").click()
        name, frame = product.locator(".my-name").bounding_box(), product.bounding_box()
        assert name is not None
        assert frame is not None
        assert name["x"] + name["width"] <= frame["x"] + frame["width"], "wrapped, not cut at the edge"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []


def test_a_double_tap_is_one_tap(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    chip = page.get_by_role("button", name="No gluten")
    chip.dblclick()
    assert chip.get_attribute("aria-pressed") == "true"
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(page, 1)
    page.locator("#panels .fact-origin h3").dblclick()
    page.locator("#whole[open]").wait_for()
    page.locator("#whole .close").dblclick()
    page.locator("#whole").wait_for(state="hidden")
    phone = open_page("/my/a01?lang=en", *PAGE_SIZES["phone"])
    chip = phone.get_by_role("button", name="No gluten")
    chip.dblclick()
    assert chip.get_attribute("aria-pressed") == "true"
