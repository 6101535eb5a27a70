"""Every page at three sizes in a real browser: nothing sticks out, nothing serious for axe, nothing from elsewhere.

With SMARTSHELF_PICTURES naming a folder, a picture of each is kept there, for people to look at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shelf_contracts import envelope, topics
from shelf_contracts.messages import CameraStatus, SeenProduct, Status
from shelf_testing.axe import serious_findings
from shelf_testing.browser import PAGE_SIZES
from tests.collector.builders import NOON, STORE, Node
from tests.collector.live_shop import LiveShop

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PASSWORD = "a long walk in the dunes"
PUBLIC = ("/login", "/welcome/nothing", "/display/zz", "/my/a01")
OF_STAFF = (
    "/",
    "/staff",
    "/staff?view=rounds",
    "/staff/notices",
    "/enrol",
    "/calibrate",
    "/styleguide",
    "/account",
    "/people",
    "/tokens",
    "/log",
)


SIZES = {**PAGE_SIZES, "tablet": (820, 1180)}
"""A tablet as staff hold it: upright."""

_TOO_SMALL = """() => [...document.querySelectorAll("a, button, summary, input, select")].filter((one) =>
  one.checkVisibility({ checkVisibilityCSS: true }) && !one.closest(".unseen, .skip, .swatches")
).map((one) => {
  const [own, label] = [one, one.closest("label") ?? one].map((part) => part.getBoundingClientRect());
  return [one.textContent.trim() || one.name, Math.max(own.width, label.width), Math.max(own.height, label.height)];
}).filter(([, width, height]) => Math.round(width) < 44 || Math.round(height) < 44).map(String)"""
"""What on a page no thumb hits: name, width and height in CSS pixels."""


@pytest.fixture
def strange_products(demo_products: list[str], shop_folder: Path) -> None:
    """The demo's shop with products as they come: nameless but for a number, endless, from right to left."""
    file = shop_folder / "products.json"
    content = json.loads(file.read_text())
    for number, name in enumerate(("Karnemelk" * 33, "بسكويت القمح الكامل مع بذور عباد الشمس", '<b>Zeep</b> & "co"')):
        content["products"][number]["name"] = {"nl": name, "en": name}
        content["products"][number]["backroom"] = ("Koelcel, rek 3", "المخزن", "")[number]
    content["products"][3] = {"gtin": content["products"][3]["gtin"], "name": {"en": "?"}}
    file.write_text(json.dumps(content))


def busy(live: LiveShop) -> None:
    """Something of everything for staff."""
    shop, node = live.shop, Node()
    presence = topics.build("node_status", store=STORE, node="n01")
    camera = topics.build("camera_status", store=STORE, node="n01", camera="c1")
    shop.say_raw(
        (presence, envelope.encode(Status(state="online", session="s", time=NOON))),
        (camera, envelope.encode(CameraStatus(state="moved", bay="a01", since=NOON))),
    )
    slots = [one.slot for one in shop.site.plan.of_bay("a01")]
    other = SeenProduct(
        verdict="known", gtin=shop.site.plan.slots["a01", slots[9]].gtin, confidence=0.9, gallery="a" * 12, since=NOON
    )
    nobody = SeenProduct(verdict="unknown", kind="bottle", confidence=0.9, gallery="a" * 12, since=NOON, looks=9)
    shop.say(*(node.stock(slot, 0) for slot in slots[:4]), node.stock(slots[5], 1))
    shop.say(node.stock(slots[6], 5, seen=other), node.stock(slots[7], 5, seen=nobody), node.event("anomaly", slots[8]))
    shop.wait(16)
    shop.clock.advance(50)
    shop.say_raw((presence, envelope.encode(Status(state="online", session="s", time=shop.clock.now()))))
    shop.site.desk.call("a01", "a01", slots[2], None, "")
    shop.foreman.work(shop.site.desk)


@pytest.mark.parametrize("size", SIZES)
def test_every_page(
    with_login: None, strange_products: None, live: LiveShop, open_page: Callable[..., Page], size: str
) -> None:
    busy(live)
    page = open_page(f"/welcome/{live.shop.site.doorkeeper.make_setup_link()}?lang=en", *SIZES[size])
    bad = look(page, "welcome", size)
    page.get_by_label("Name").fill("Anna")
    page.get_by_label("New password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/")
    gtin = live.shop.site.plan.slots["a01", "s1-05"].gtin
    for path in (*OF_STAFF, *PUBLIC, f"/01/{gtin}", "/01/96385074"):
        answer = page.goto(f"{live.url}{path}{'&' if '?' in path else '?'}lang=en")
        assert answer is not None
        assert answer.status < 500, path
        name = path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-") or "overview"
        bad += look(page, name, size)
        if path in OF_STAFF and path != "/styleguide":
            bad += [f"{name}: too small for a thumb: {one}" for one in page.evaluate(_TOO_SMALL)]
    assert bad == []


def look(page: Page, name: str, size: str) -> list[str]:
    """What sticks out to the right, and what axe finds that is serious."""
    folder = os.environ.get("SMARTSHELF_PICTURES")
    if folder:
        page.wait_for_timeout(400)
        page.screenshot(path=str(Path(folder) / f"{name}-{size}.png"), full_page=not name.startswith("display"))
    sticks_out = [] if page.evaluate("document.documentElement.scrollWidth <= innerWidth") else [f"{name} sticks out"]
    return sticks_out + [f"{name}: {one}" for one in serious_findings(page)]
