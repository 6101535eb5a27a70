"""What shoppers read on a display from afar and beside one another, in a real browser."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shelf_collector.core.views import ProductsView, Screen
from shelf_contracts.ids import gtin_check_digit
from shelf_contracts.messages import iso_time
from shelf_contracts.products import Price
from tests.collector.builders import GTINS, NOON, Node, planogram
from tests.collector.live_shop import LiveShop, wait_for_panels
from tests.collector.test_browser import WHAT_STICKS_OUT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SIZES = {"full-hd": (1920, 1080), "tablet": (1280, 800), "portrait": (800, 1280), "tall": (1080, 1920)}
WARNINGS_CUT = """() => [...document.querySelectorAll('#panels .panel:not(.is-leaving)')].flatMap((panel) => {
  const frame = panel.getBoundingClientRect();
  const shown = [...panel.querySelectorAll('.fact-allergens > *')].filter((one) => one.getClientRects().length);
  if (panel.querySelector('.fact-allergens') && shown.length < 2) return ['nothing is said'];
  return shown.filter((one) => {
    const at = one.getBoundingClientRect();
    return at.bottom > frame.bottom + 1 || at.right > frame.right + 1 || at.left < frame.left - 1;
  }).map((one) => one.textContent);
})"""
UNDER_THE_BUTTON = """() => [...document.querySelectorAll('#panels .panel')].flatMap((panel) => {
  const button = panel.querySelector('.more svg')?.getBoundingClientRect();
  if (!button) return [];
  const ink = document.createRange();
  return [...panel.querySelectorAll('.key, .brand, .price strong, .fact-allergens > *')].filter((part) => {
    if (!part.getClientRects().length || getComputedStyle(part).clipPath !== 'none') return false;
    ink.selectNodeContents(part);
    return [...ink.getClientRects()].some((at) =>
      at.right > button.left && at.left < button.right && at.bottom > button.top
      && at.top + at.height * 0.2 < button.bottom); // above a line's capitals is nothing
  }).map((part) => part.textContent);
})"""
VERIFIED = {"source": "supplier", "verified_on": "2026-11-01"}


def change_products(shop_folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = shop_folder / "products.json"
    content = json.loads(path.read_text())
    change(content["products"])
    path.write_text(json.dumps(content))


def open_display(open_page: Callable[..., Page], size: str = "full-hd", language: str = "en") -> Page:
    page = open_page(f"/display/a01?lang={language}", *SIZES[size])
    page.wait_for_selector('#display[data-stream="up"]')
    page.wait_for_function("document.fonts.status === 'loaded'")
    return page


# -- at rest -------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_offers(demo_products: list[str], shop_folder: Path) -> None:
    """Before ``live``: more offers than there is room for, and something in season."""

    def change(products: list[dict[str, Any]]) -> None:
        for product in products[:9]:
            product["price"] = {"cents": 499}
            product["price_history"] = [{"cents": 499, "since": iso_time(NOON - timedelta(days=90))}]
            product["promotion"] = {
                "cents": 399, "starts_at": iso_time(NOON - timedelta(days=1)),
                "ends_at": iso_time(NOON + timedelta(days=5)),
            }  # fmt: skip
        for product in products[:3]:
            product["season_months"] = list(range(1, 13))

    change_products(shop_folder, change)


CUT = """() => {
    const place = document.querySelector("#offers").getBoundingClientRect();
    const parts = [...document.querySelectorAll("#offers :is(li, h2)")].filter((one) => one.getClientRects().length);
    return parts.filter((part) => {
        const box = part.getBoundingClientRect();
        return box.bottom > place.bottom + 1 || box.right > place.right + 1;
    }).map((part) => part.textContent.trim().slice(0, 20));
}"""


@pytest.mark.parametrize("size", SIZES)
def test_at_rest_offers_are_whole_and_the_season_is_seen(
    many_offers: None, live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_display(open_page, size)
    assert page.evaluate(CUT) == []
    assert page.locator(".offer-list li:visible").count() >= 2
    assert page.locator(".season-list li:visible").count() >= 1
    page.set_viewport_size({"width": 1920, "height": 360})
    page.wait_for_function("() => document.querySelectorAll('.offer-list li:not([hidden])').length <= 3")
    assert page.evaluate(CUT) == []
    assert page.locator(".season-list li:visible").count() >= 1


def test_when_the_last_offer_is_over_nothing_announces_offers(
    many_offers: None, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    assert page.get_by_role("heading", name="Offers").is_visible()
    page.clock.install(time=NOON + timedelta(days=6))
    page.reload()
    page.locator(".season-list").wait_for()
    page.clock.run_for(2_000)
    page.get_by_role("heading", name="Offers").wait_for(state="hidden")


def test_each_answer_of_the_filter_has_a_line(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page, "tablet")
    page.get_by_role("button", name="No nuts").click()
    cut = page.evaluate(CUT.replace("#offers", "#fit-list"))
    assert cut == []
    assert page.locator("#fit-list li:visible").count() == len(demo_products)


# -- allergens -------------------------------------------------------------------------------------------------------


@pytest.fixture
def traces(shop_folder: Path) -> None:
    """Before ``live``: the first product contains and may contain, the second only may, the third is free of all."""

    def change(products: list[dict[str, Any]]) -> None:
        products[1]["allergens"] = {"may_contain": ["en:milk"], **VERIFIED}
        products[2]["allergens"] = VERIFIED

    change_products(shop_folder, change)


@pytest.mark.parametrize("path", ["/display/a01", "/my/a01"])
def test_a_trace_is_as_large_as_what_is_contained_and_nothing_calms_above_it(
    traces: None, live: LiveShop, open_page: Callable[..., Page], path: str
) -> None:
    page = open_page(f"{path}?lang=en")
    if path.startswith("/my"):
        for product in page.locator(".my-product summary").all():
            product.click()
    else:
        page.wait_for_selector('#display[data-stream="up"]')
        node = Node()
        live.say(*(node.event("reach", f"s1-0{number}") for number in (1, 2, 3)))
        wait_for_panels(page, 3)
    panels = page.locator("#panels .panel, .my-product .panel")
    sizes = (
        panels.nth(0)
        .locator(".fact-allergens .lead")
        .evaluate_all(
            """all => all.map((one) =>
            [one.textContent.trim(), getComputedStyle(one).fontSize, !!one.querySelector("strong")])"""
        )
    )
    gluten = "cereals containing gluten" if path.startswith("/my") else "gluten"  # the law's words where one reads near
    assert [text for text, _, _ in sizes] == [f"Contains {gluten}", "May contain soybeans"]
    assert sizes[0][1:] == sizes[1][1:]
    assert panels.nth(1).locator(".fact-allergens .lead").all_inner_texts() == ["May contain milk"]
    assert panels.nth(2).locator(".fact-allergens .lead").all_inner_texts() == ["None of the 14 regulated allergens"]


# -- two people at one display ---------------------------------------------------------------------------------------


def test_who_reads_goes_on_reading_while_others_reach(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_display(open_page)
    page.clock.install()
    node = Node()
    live.say(node.event("reach", "s1-01"))
    wait_for_panels(page, 1)
    page.locator("#panels .more").click()
    whole = page.locator("#whole[open]")
    whole.get_by_role("heading", name="Ingredients").wait_for()
    live.say(node.event("reach", "s1-03"))
    page.locator("#panels .key", has_text="Wholegrain crackers").wait_for()
    assert whole.is_visible()
    assert whole.locator(".key").inner_text() == "Fusilli"
    beside, reading = page.locator("#panels .panel").bounding_box(), whole.bounding_box()
    assert beside is not None
    assert reading is not None
    foot = page.locator(".kiosk-foot").bounding_box()
    assert foot is not None
    assert reading["y"] + reading["height"] <= foot["y"] + 1, "what is under the display can be touched all the same"
    assert reading["x"] + reading["width"] <= beside["x"] or beside["x"] + beside["width"] <= reading["x"]
    page.clock.run_for(50_000)
    assert whole.is_visible()
    page.clock.run_for(15_000)
    page.locator("#whole").wait_for(state="hidden")


READABLE = """() => {
    const lines = (node, from, to) => {
        const range = document.createRange();
        range.setStart(node, from);
        range.setEnd(node, to);
        return [...range.getClientRects()];
    };
    const texts = (place) => {
        const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
        const found = [];
        while (walker.nextNode()) if (walker.currentNode.data.trim()) found.push(walker.currentNode);
        return found.filter((node) => node.parentElement.getClientRects().length);
    };
    const before = (one, other) => one.right <= other.left + 1 || one.bottom <= other.top + 1;
    const apart = (one, other) => before(one, other) || before(other, one);
    const box = (part) => part.getBoundingClientRect();
    const whole = document.querySelector("#whole");
    const places = [...document.querySelectorAll("#panels .panel")];
    const faults = [];
    for (const place of [...places, whole]) {
        const key = place.querySelector(".key");
        const said = key.textContent;
        const ink = document.createRange();
        ink.selectNodeContents(key);
        if (box(ink).right > box(place).right - 4) faults.push(said + ": the name is cut");
        const warning = place.querySelector(".fact-allergens");
        if (!apart(box(ink), box(warning))) faults.push(said + ": the name covers allergens");
        // A name's long word may be broken where a dictionary says, which is marked; a warning's never.
        const unmarked = key.textContent.includes("\\u00ad") ? [] : [key];
        for (const node of [...unmarked, ...place.querySelectorAll(".fact-allergens .lead")].flatMap(texts)) {
            for (const { 0: word, index } of node.data.matchAll(/[\\p{L}'’]+/gu)) {
                const rows = new Set(lines(node, index, index + word.length).map((one) => Math.round(one.top)));
                if (rows.size > 1) faults.push(said + ": broken: " + word);
            }
        }
    }
    for (const place of places) {
        const said = place.querySelector(".key").textContent;
        if (!apart(box(place), box(whole))) faults.push(said + ": under what is read");
        const facts = [...place.querySelectorAll(".column > .fact")].filter((one) => one.getClientRects().length);
        if (!facts.length) faults.push(said + ": nothing but allergens");
        const bottom = Math.max(...[...place.querySelectorAll(".panel-head, .fact")].map((one) => box(one).bottom));
        if ((box(place).bottom - bottom) / box(place).height > 0.35) faults.push(said + ": mostly blank");
    }
    return faults;
}"""


@pytest.mark.parametrize("size", SIZES)
def test_while_somebody_reads_the_other_panels_stay_readable(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_display(open_page, size, "nl")
    node = Node()
    for index in (2, 3, 5):
        live.say(node.event("reach", demo_products[index], now=live.shop.clock.now()))
    wait_for_panels(page, 3)
    page.locator("#panels .more").first.click()
    wait_for_panels(page, 2)
    assert page.locator("#whole .key").inner_text().startswith("Biologische meergranenontbijtvlokken")
    assert page.evaluate(READABLE) == []
    assert page.evaluate(WHAT_STICKS_OUT) == []


def test_a_tap_and_a_reach_show_side_by_side(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_display(open_page)
    page.get_by_role("button", name="Spaghetti").click()
    wait_for_panels(page, 1)
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(page, 2)
    assert page.locator("#panels .key").all_inner_texts() == ["Fusilli", "Spaghetti"]


def test_another_language_keeps_the_filter_and_the_display_comes_home(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    page.clock.install()
    page.get_by_role("button", name="No gluten").click()
    page.get_by_role("link", name="Italiano").click()
    page.wait_for_selector('html[lang="it"] .chip[data-filter="no_gluten"][aria-pressed="true"]')
    assert page.locator('.slot[data-verdict="no"]').count() == 1
    assert "#" not in page.url
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.wait_for_selector('#display[data-stream="up"]')
    page.clock.run_for(95_000)
    page.wait_for_selector('html[lang="en"] .chip[data-filter="no_gluten"][aria-pressed="false"]')
    phone = open_page("/my/a01?lang=en", 390, 844)
    phone.get_by_role("button", name="No gluten").click()
    phone.get_by_role("link", name="Nederlands").click()
    phone.wait_for_selector('html[lang="nl"] .my-product[data-verdict="no"]')


def test_what_somebody_reads_stays_open_in_another_language(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_display(open_page)
    page.get_by_role("button", name="Fusilli").click()
    wait_for_panels(page, 1)
    page.locator("#panels .more").click()
    page.locator("#whole[open]").get_by_text("Allergens").wait_for()
    page.get_by_role("link", name="Italiano").click()
    page.locator('html[lang="it"] #whole[open]').get_by_text("Allergeni").wait_for()
    assert "#" not in page.url


def test_marks_of_the_filter_do_not_cover_one_another(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    page.get_by_role("button", name="No nuts").click()
    marks = page.locator(".slot .mark circle").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map(({ left, right }) => [left, right])"
    )
    assert len(marks) == len(demo_products)
    marks.sort()
    assert all(one[1] <= other[0] + 0.5 for one, other in itertools.pairwise(marks))


def test_another_language_waits_on_the_page_until_the_collector_is_back(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    page.get_by_role("button", name="No gluten").click()
    live.stop()
    page.wait_for_selector('#display[data-stream="down"]')
    page.get_by_role("link", name="Italiano").click()
    page.get_by_text("Italiano, appena torna il collegamento").wait_for()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("#language-state").get_attribute("lang") == "it"
    page.get_by_role("link", name="English").click()
    page.locator("#language-state").wait_for(state="hidden")
    page.get_by_role("link", name="Italiano").click()
    page.locator("#language-state").wait_for()
    live.again()
    page.wait_for_selector('html[lang="it"] .chip[data-filter="no_gluten"][aria-pressed="true"]')
    page.locator("#language-state").wait_for(state="hidden")


# -- products --------------------------------------------------------------------------------------------------------


def test_what_only_the_planogram_knows_has_its_name_and_nothing_invented(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    live.say(Node().event("reach", "s1-04"))
    wait_for_panels(page, 1)
    panel = page.locator("#panels .panel")
    assert panel.locator(".key").inner_text() == "P3"
    assert panel.locator(".key").get_attribute("lang") == "", "a planogram does not say in which language"
    assert panel.get_by_text("price: see shelf label").is_visible()
    said = panel.locator(".fact-allergens").inner_text()
    assert said.split("\n")[-1] == "not available – see pack"
    assert panel.locator(".nutri, .co2e, .map").count() == 0


def test_no_letter_of_the_nutri_score_covers_another(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/styleguide?lang=en")
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll(".nutri")].flatMap((score) => {
            const boxes = [...score.querySelectorAll("rect")].map((one) => one.getBoundingClientRect());
            boxes.sort((a, b) => a.left - b.left);
            return boxes.slice(1).filter((one, i) => one.left < boxes[i].right - 0.5).map(() => score.ariaLabel);
        })"""
    )
    assert overlaps == []
    assert page.locator(".nutri").count() >= 5


# -- letters ----------------------------------------------------------------------------------------------------------

AFAR_PX = 131.9
"""Capitals of 0.7 degrees from the display's two metres (EN 301 549, 5.1.4)."""

PANELS = """() => [...document.querySelectorAll("#panels .panel")].map((panel) => {
    const card = document.querySelector(`template[data-product="${panel.dataset.gtin}"]`).content;
    const frame = panel.getBoundingClientRect();
    const parts = [...panel.querySelectorAll(".panel-head, .fact")].filter((one) => one.getClientRects().length);
    const bottom = Math.max(...parts.map((one) => one.getBoundingClientRect().bottom));
    const seen = (selector) => [...panel.querySelectorAll(selector)].some((one) => one.getClientRects().length);
    const px = (selector) => parseFloat(getComputedStyle(panel.querySelector(selector)).fontSize);
    return {
        name: panel.querySelector(".key").textContent,
        keyPx: px(".key"),
        pricePx: px(".price strong"),
        warningPx: px(".fact-allergens :is(.lead, .unknown)"),
        blank: (frame.bottom - bottom) / frame.height,
        missing: [".map", ".fact-packaging", ".fact-ingredients"].filter((one) => card.querySelector(one))
            .filter((one) => !seen(one)),
    };
})"""


@pytest.mark.parametrize("size", SIZES)
def test_side_by_side_each_name_is_as_large_as_it_can_be_and_what_fits_is_there(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_display(open_page, size, "nl")
    node, wide_of_the_mark, names = Node(), [], set[str]()
    for group in [demo_products[i : i + 3] for i in range(3, 36, 8)] + [demo_products[7:9]]:
        live.say(*(node.event("reach", slot, now=live.shop.clock.now()) for slot in group))
        wait_for_panels(page, len(group))
        panels = page.evaluate(PANELS)
        if size == "full-hd":
            assert min(min(panel["keyPx"], panel["pricePx"]) for panel in panels) >= AFAR_PX, panels
            assert min(panel["warningPx"] for panel in panels) >= 0.34 * AFAR_PX, panels
            assert sum(panel["warningPx"] >= 0.49 * AFAR_PX for panel in panels) >= len(panels) - 1, panels
        if size == "portrait" and len(panels) == 3:
            assert min(panel["keyPx"] for panel in panels) >= 60, "three above one another: price and allergens beside"
        assert page.evaluate(WHAT_STICKS_OUT) == []
        names |= {panel["name"].replace("\u00ad", "-") for panel in panels}
        wide_of_the_mark += [panel for panel in panels if panel["missing"] and panel["blank"] > 0.2]
        live.shop.clock.advance(11)
        wait_for_panels(page, 0)
    assert wide_of_the_mark == []
    assert not [name for name in names if "--" in name]
    if size == "full-hd":
        assert names >= {"Boter-koekjes", "Tomaten-blokjes"}, "broken where two words meet"


SMALL_OR_UNTOLD = """() => {
    const seen = (part) => part.getClientRects().length > 0;
    const faults = [];
    for (const part of document.querySelectorAll("#panels .panel *, #whole *, #rest *")) {
        const says = [...part.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
        if (!says || !seen(part) || part.closest("svg")) continue;
        const px = parseFloat(getComputedStyle(part).fontSize);
        if (px < 11) faults.push(`${px} px: ${part.textContent.trim().slice(0, 30)}`);
    }
    for (const panel of document.querySelectorAll("#panels .panel")) {
        const card = document.querySelector(`template[data-product="${panel.dataset.gtin}"]`).content;
        const line = panel.querySelector(".fact-rest");
        const told = line && seen(line) ? line.textContent : "";
        if (panel.querySelector(".key").textContent.includes("-\u00ad")) faults.push("a second hyphen after one's own");
        for (const kind of ["origin", "nutrition", "packaging", "ingredients"]) {
            const part = card.querySelector(`.fact-${kind}`);
            if (!part || [...panel.querySelectorAll(`.fact-${kind}`)].some(seen)) continue;
            const word = part.querySelector("h3").firstChild.data.trim();
            const name = panel.querySelector(".key").textContent;
            if (!told.includes(word)) faults.push(`${name}: ${word} is left out untold`);
        }
    }
    return faults;
}"""


@pytest.mark.parametrize("size", [(390, 844), (844, 390), (800, 480), (480, 800), (1280, 800)])
def test_allergens_are_whole_or_not_listed_at_all_on_small_screens_too(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page], size: tuple[int, int]
) -> None:
    page = open_page("/display/a01?lang=nl", *size)
    page.wait_for_selector('#display[data-stream="up"]')
    node = Node()
    for count, index in enumerate((2, 3, 5), start=1):
        live.say(node.event("reach", demo_products[index], now=live.shop.clock.now()))
        wait_for_panels(page, count)
        assert page.evaluate(WARNINGS_CUT) == []
        assert page.evaluate(WHAT_STICKS_OUT) == []
        assert page.evaluate(UNDER_THE_BUTTON) == []
    assert page.locator("#panels .allergen:visible").count() > 0, "small, but told"


@pytest.mark.parametrize("size", SIZES)
def test_no_letters_are_too_small_and_what_is_left_out_is_told(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_display(open_page, size, "nl")
    assert page.evaluate(SMALL_OR_UNTOLD) == []
    node = Node()
    for count, index in enumerate((2, 3, 5), start=1):
        live.say(node.event("reach", demo_products[index], now=live.shop.clock.now()))
        wait_for_panels(page, count)
        assert page.evaluate(SMALL_OR_UNTOLD) == []
        assert page.evaluate(WHAT_STICKS_OUT) == []
    page.locator("#panels .more").first.click()
    wait_for_panels(page, 2)
    assert page.evaluate(SMALL_OR_UNTOLD) == []


def test_name_price_and_allergens_are_read_from_afar(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page]
) -> None:
    """EN 301 549, 5.1.4: capitals of 0.7 degrees, so 24.4 mm from the display's 2 m; here with the longest list."""
    page = open_display(open_page, language="nl")
    live.say(Node().event("reach", demo_products[4]))
    wait_for_panels(page, 1)
    assert page.locator("#panels .lead").all_inner_texts()[:2] == [
        "Bevat gluten, noten",
        "Kan bevatten pinda's, melk, sesam",
    ]
    panel = page.locator("#panels .panel")
    assert all(
        panel.locator(f".fact-{part}").is_visible() for part in ("origin", "climate", "nutrition", "ingredients")
    )
    capital_mm = {
        part: page.evaluate(
            """(selector) => {
                const probe = document.querySelector(selector).cloneNode();  // 1cap is a capital's height
                probe.style.cssText = `position: absolute; height: 1cap; padding: 0; min-height: 0`;
                document.querySelector(selector).after(probe);
                const height = probe.getBoundingClientRect().height;
                probe.remove();
                return height * 25.4 / 96;
            }""",
            f"#panels {selector}",
        )
        for part, selector in (
            ("name", ".key"),
            ("price", ".price strong"),
            ("allergens", ".fact-allergens .lead"),
        )
    }
    assert capital_mm["name"] >= 24.3, capital_mm
    assert capital_mm["price"] >= 24.3, capital_mm
    assert capital_mm["allergens"] >= 24.3, capital_mm


# -- what is not in stock, not certain, no longer true ----------------------------------------------------------------


@pytest.fixture
def alternatives(shop_folder: Path) -> None:
    """Before ``live``: two products to take instead of the first."""

    def change(products: list[dict[str, Any]]) -> None:
        products[0]["alternatives"] = [GTINS[1], GTINS[2]]

    change_products(shop_folder, change)


def test_what_is_sold_out_names_only_what_is_there(
    alternatives: None, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    node = Node()
    live.say(node.stock("s1-01", 0), node.stock("s1-02", 4), node.stock("s1-03", 0), node.event("reach", "s1-01"))
    wait_for_panels(page, 1)
    panel = page.locator("#panels .panel")
    assert panel.locator(".instead").get_by_role("heading").inner_text() == "Sold out. How about"
    assert panel.locator(".instead li:visible").all_inner_texts() == ["Spaghetti €1.29"]
    assert page.evaluate(WHAT_STICKS_OUT) == []
    live.shop.clock.advance(11)
    wait_for_panels(page, 0)
    live.say(node.stock("s1-02", 0, now=live.shop.clock.now()))
    live.say(node.event("reach", "s1-01", now=live.shop.clock.now()))
    wait_for_panels(page, 1)
    assert not page.locator("#panels .instead").is_visible(), "nothing is offered that is not there either"


@pytest.fixture
def two_bays(shop_folder: Path) -> str:
    """Before ``live``: a second bay with a product that a display over the first knows nothing of; returns its GTIN."""
    gtin = "09521000685000"
    gtin = next(f"{gtin[:-1]}{digit}" for digit in range(10) if gtin_check_digit(gtin[:-1]) == digit)
    plan = planogram("a02").model_dump_json(by_alias=True).replace(GTINS[0], gtin)
    (shop_folder / "a02.json").write_text(plan)
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text().replace('["a01.json"]', '["a01.json", "a02.json"]'))

    def change(products: list[dict[str, Any]]) -> None:
        products.append(
            {"gtin": gtin, "name": {"en": "Peanut butter"}, "allergens": {"contains": ["en:peanuts"]} | VERIFIED}
        )

    change_products(shop_folder, change)
    return gtin


def test_a_candidate_from_another_bay_has_its_name_and_no_allergens_are_told_of_either(
    two_bays: str, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    live.say(Node().event("reach", "s1-01", gtin=two_bays))
    page.locator("#panels .is-either").wait_for()
    buttons = page.locator("#panels .choices-either button")
    assert [text.split("\n")[0] for text in buttons.all_inner_texts()] == ["Fusilli", "Peanut butter"]
    assert page.locator("#panels .allergen").count() == 0
    buttons.nth(1).click()
    page.locator("#panels .key", has_text="Peanut butter").wait_for()
    assert page.locator("#panels").get_by_text("We have no information about this product here.").is_visible()
    assert page.locator("#panels .allergen").count() == 0


@pytest.fixture
def ending_price(shop_folder: Path) -> None:
    """Before ``live``: a price that is true until half a minute after New Year's noon."""

    def change(products: list[dict[str, Any]]) -> None:
        products[0]["price"]["valid_until"] = "2030-01-01T12:00:30Z"

    change_products(shop_folder, change)


@pytest.mark.parametrize("path", ["/display/a01", "/my/a01", f"/01/{GTINS[0]}"])
def test_a_price_goes_when_its_time_is_over_wherever_it_stands(
    ending_price: None, live: LiveShop, open_page: Callable[..., Page], path: str
) -> None:
    page = open_page(f"{path}?lang=en")
    page.clock.install(time="2030-01-01T12:00:00Z")
    page.reload()
    if path.startswith("/display"):
        page.wait_for_selector('#display[data-stream="up"]')
        live.say(Node().event("reach", "s1-01"))
        wait_for_panels(page, 1)
        page.locator("#panels .more").click()
    if path.startswith("/my"):
        page.locator(".my-product summary").first.click()
    places = page.get_by_text("€1.39").locator("visible=true").count()
    assert places >= 1
    page.clock.run_for(31_000)
    page.wait_for_function("() => !document.body.innerText.includes('€1.39')")
    assert page.get_by_text("price: see shelf label").locator("visible=true").count() >= 1


def test_a_changed_products_file_changes_the_panel_somebody_stands_before(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    page.get_by_role("button", name="Spaghetti").click()
    page.locator("#panels strong", has_text="€1.29").wait_for()
    products = live.shop.setup.products
    dearer = [one.model_copy(update={"price": Price(cents=555)}) for one in products]
    live.shop.database.replace_shop_products(dearer)
    live.shop.clock.advance(6)  # cards are shared for five seconds
    live.shop.hub.show(Screen("products", ProductsView(read_at=live.shop.clock.now())))
    page.locator("#panels strong", has_text="€5.55").wait_for()


def test_away_for_minutes_it_says_how_old_it_is_and_comes_back_up_to_date(
    live: LiveShop, open_page: Callable[..., Page], shop_folder: Path
) -> None:
    page = open_display(open_page)
    page.clock.install()
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(page, 1)
    live.stop()
    page.wait_for_selector('#display[data-stream="down"]')
    page.clock.run_for(12_000)
    assert page.locator("#link-state").inner_text().startswith("data from ")
    page.clock.run_for(5 * 60_000)
    wait_for_panels(page, 0)
    assert page.locator("#link-state").is_visible()
    page.get_by_role("button", name="Spaghetti").click()
    wait_for_panels(page, 1)
    page.keyboard.press("Escape")
    wait_for_panels(page, 0)

    def change(products: list[dict[str, Any]]) -> None:
        products[1]["price"] = {"cents": 555}

    change_products(shop_folder, change)
    live.again()
    page.clock.run_for(10_000)
    page.wait_for_selector('#display[data-stream="up"]')
    page.clock.run_for(2_000)
    page.locator("#link-state").wait_for(state="hidden")
    page.wait_for_function(
        f"""() => document.querySelector('template[data-product="{GTINS[1]}"]').content.textContent.includes("€5.55")"""
    )
    live.say(Node("n02").event("reach", "s1-02", now=live.shop.clock.now()))
    page.locator("#panels strong", has_text="€5.55").wait_for()


# -- keyboard and screen reader ---------------------------------------------------------------------------------------

FOCUSED = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"


def test_everything_on_a_display_is_reached_by_keys_and_said_to_a_reader(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_display(open_page)
    reached = []
    for _ in range(15):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
        if reached[-1] == "English":
            break
    assert reached == [
        "Fusilli", "Spaghetti", "Wholegrain crackers", "P3", "No nuts", "No gluten", "No milk", "Vegan", "Low salt",
        "Ask a colleague", "Nederlands", "Italiano", "English",
    ]  # fmt: skip
    page.get_by_role("button", name="Fusilli").focus()
    page.keyboard.press("Enter")
    wait_for_panels(page, 1)
    said = page.get_by_role("status").filter(has_text="Fusilli")
    assert said.inner_text() == "Fusilli. €1.39. Contains gluten. May contain soybeans"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Everything about this product: Fusilli"
    page.keyboard.press("Enter")
    page.locator("#whole[open]").wait_for()
    assert page.evaluate(FOCUSED) == "Close"
    page.keyboard.press("Escape")
    page.locator("#whole").wait_for(state="hidden")
    assert page.evaluate(FOCUSED) == "Everything about this product: Fusilli"
    page.keyboard.press("Escape")
    wait_for_panels(page, 0)
    page.wait_for_function("() => document.activeElement.matches('.slot')")
    assert page.evaluate(FOCUSED) == "Fusilli"
    page.wait_for_function("() => document.getElementById('said').textContent === ''")
