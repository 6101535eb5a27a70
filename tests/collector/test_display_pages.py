"""Every page that shoppers see, in every state, on phone, tablet and display: open to all people, asking only us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shelf_testing.axe import serious_findings
from shelf_testing.browser import PAGE_SIZES
from tests.collector.builders import GTINS, Node
from tests.collector.live_shop import LiveShop

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def whole_shop(shop_folder: Path) -> None:
    """Before ``live``: a shop that says everything a page can show, closed at night."""
    config = shop_folder / "collector.toml"
    config.write_text(
        config.read_text().replace("demo.open_to_this_computer = true\n", "")
        + '[http]\npublic_address = "http://shelf.shop.example:8080"\n'
        + '[shop]\nlink_domain = "https://shop.example"\nlatitude = 52.37\nlongitude = 4.9\n'
        + 'opens = "08:00"\ncloses = "22:00"\n'
    )


def wait_for_panels(page: Page, count: int) -> None:
    page.wait_for_selector(f'#display[data-panels="{count}"]')


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_axe_finds_nothing_serious_in_any_state_of_a_display(
    whole_shop: None, live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    found: dict[str, list[str]] = {}
    page = open_page("/display/a01?lang=en", *PAGE_SIZES[size])
    page.clock.install(time="2026-11-22T12:00:00")
    page.reload()
    page.wait_for_selector('#display[data-stream="up"]')
    found["at rest"] = serious_findings(page)
    page.get_by_role("button", name="No gluten").click()
    found["my filter"] = serious_findings(page)
    node = Node()
    live.say(node.event("reach", "s1-01"))
    wait_for_panels(page, 1)
    found["one product that does not fit"] = serious_findings(page)
    live.say(node.event("reach", "s1-04"))
    wait_for_panels(page, 2)
    found["two, one of them not described"] = serious_findings(page)
    live.say(node.stock("s1-02", 0), node.stock("s1-01", 5), node.event("reach", "s1-02"))
    wait_for_panels(page, 3)
    found["three, one out of stock"] = serious_findings(page)
    page.locator("#panels .more").first.click()
    page.locator("#whole[open]").wait_for()
    found["everything about one"] = serious_findings(page)
    page.keyboard.press("Escape")
    live.shop.clock.advance(11)
    wait_for_panels(page, 0)
    live.say(node.event("reach", "s1-01", gtin=GTINS[1], now=live.shop.clock.now()))
    page.locator("#panels .is-either").wait_for()
    found["it may be either"] = serious_findings(page)
    live.shop.clock.advance(11)
    wait_for_panels(page, 0)
    page.locator("#ask").click()
    page.locator('#ask[data-state="asked"]').wait_for()
    live.stop()
    page.wait_for_selector('#display[data-stream="down"]')
    page.clock.run_for(12_000)
    page.locator("#link-state").wait_for()
    found["without the network"] = serious_findings(page)
    page.clock.set_system_time("2026-11-22T23:30:00")
    page.clock.run_for(120_000)
    page.locator("#night").wait_for()
    found["at night"] = serious_findings(page)
    assert {state: lines for state, lines in found.items() if lines} == {}
    assert len(found) == 9


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_axe_finds_nothing_serious_beside_the_displays(
    whole_shop: None, live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    page = open_page("/my/a01?lang=it", *PAGE_SIZES[size])
    found = {"my filter on a phone": serious_findings(page)}
    page.locator(".chip[data-filter=no_gluten]").click()
    page.locator(".my-product summary").first.click()
    found["my filter, one open"] = serious_findings(page)
    for name, path in {
        "an unknown display": "/display/z99?lang=nl",
        "an unknown display on a phone": "/my/z99?lang=nl",
        "a product": f"/01/{GTINS[0]}?lang=en",
        "a product nobody knows": "/01/nonsense?lang=en",
    }.items():
        page.goto(live.url + path)
        found[name] = serious_findings(page)
    assert {state: lines for state, lines in found.items() if lines} == {}


def test_axe_would_find_something(live: LiveShop, open_page: Callable[..., Page]) -> None:
    """The tests above can fail: a picture without words and letters without contrast are named with their place."""
    page = open_page("/display/a01?lang=en")
    page.evaluate(
        """() => {
            const line = document.createElement("p");
            line.innerHTML = "<img width=8 height=8 src=/static/icon.svg><span id=pale>hardly there</span>";
            line.lastChild.style.color = "#cccccc";
            document.querySelector(".rest-words").append(line);
        }"""
    )
    found = serious_findings(page)
    assert len(found) == 2
    assert "color-contrast" in found[0]
    assert "#pale" in found[0]
    assert "image-alt" in found[1]
