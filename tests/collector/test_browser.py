"""The pages in a real browser: a reach changes the display, nothing overflows, nothing leaves for another host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shelf_collector.ports import Delivery
from shelf_contracts import topics
from shelf_contracts.messages import GalleryHealth, NodeHealth, SeenProduct
from tests.collector.builders import GTINS, NOON, STORE, Node, eventually
from tests.collector.live_shop import LiveShop, wait_for_panels

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

SIZES = {"full-hd": (1920, 1080), "tablet": (1280, 800), "portrait": (1080, 1920), "phone": (390, 844)}


def test_a_reach_changes_the_display_and_two_hands_show_two(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    assert page.get_by_role("heading", name="Reach for a product").is_visible()
    node = Node()

    live.say(node.event("reach", "s1-02"))
    wait_for_panels(page, 1)
    assert page.locator("#panels .panel .key").all_inner_texts() == ["Spaghetti"]
    assert page.locator("#panels").get_by_text("not available – see pack").first.is_visible()
    assert not page.get_by_role("heading", name="Reach for a product").is_visible()
    assert page.get_attribute("#display", "data-captured-at") == "2026-11-22T12:00:00.000Z"

    live.say(node.event("reach", "s1-01"))
    wait_for_panels(page, 2)
    assert page.locator("#panels .panel .key").all_inner_texts() == ["Fusilli", "Spaghetti"], "in the shelf's own order"
    left, right = (panel.bounding_box() for panel in page.locator("#panels .panel").all())
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert page.locator("#panels").get_by_role("img", name="Nutri-Score A").is_visible()

    live.shop.clock.advance(10)
    wait_for_panels(page, 0)
    assert page.get_by_role("heading", name="Reach for a product").is_visible()


def test_a_product_nobody_ever_named_says_so(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=nl")
    live.say(Node().event("reach", "s1-09", gtin="09521009999993"))
    wait_for_panels(page, 1)
    assert page.locator("#panels").get_by_text("Van dit product hebben we hier geen gegevens.").is_visible()


def test_a_page_opened_late_shows_what_is_shown(live: LiveShop, open_page: Callable[..., Page]) -> None:
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(open_page("/display/a01"), 1)


def test_a_single_panel_stands_on_the_side_of_the_hand(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01")
    node, sides = Node(), []
    for slot in ("s1-01", "s1-03"):
        live.say(node.event("reach", slot, now=live.shop.clock.now()))
        wait_for_panels(page, 1)
        box = page.locator("#panels .panel").bounding_box()
        assert box is not None
        sides.append(box["x"] + box["width"] / 2)
        live.shop.clock.advance(10)
        wait_for_panels(page, 0)
    assert sides[0] < 960 < sides[1]


def test_a_price_disappears_when_its_time_is_over(
    live: LiveShop, open_page: Callable[..., Page], shop_folder: Path
) -> None:
    page = open_page("/display/a01?lang=en")
    page.evaluate(
        """(gtin) => {
            const panel = document.querySelector(`template[data-product="${gtin}"]`).content.firstElementChild;
            panel.dataset.priceUntil = "2020-01-01T00:00:00Z";
        }""",
        GTINS[0],
    )
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(page, 1)
    assert page.locator("#panels .panel .price").count() == 0
    assert page.locator("#panels").get_by_text("price: see shelf label").is_visible()


def test_without_the_collector_the_page_stays_and_says_how_old_it_is(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    # Not wait_for_function: to it the promise of a no is a yes.
    kept = "async () => !!(await caches.match(location.href)) && !!(await caches.match('/static/display.js'))"
    eventually(lambda: page.evaluate(kept))
    page.clock.install()
    live.stop()
    page.wait_for_selector('#display[data-stream="down"]')
    assert not page.locator("#link-state").is_visible()
    page.clock.run_for(12_000)
    assert page.locator("#link-state").inner_text().startswith("data from ")
    page.reload()
    assert page.get_by_role("heading", name="Reach for a product").is_visible(), "kept by the service worker"
    page.locator("#link-state", has_text="data from ").wait_for()


def test_my_filter_lights_up_what_fits_and_is_forgotten(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    page.clock.install()
    chip = page.get_by_role("button", name="No gluten")
    chip.focus()
    page.keyboard.press("Enter")
    assert chip.get_attribute("aria-pressed") == "true"
    verdicts = page.locator(".slot").evaluate_all("all => all.map((one) => one.dataset.verdict)")
    assert verdicts == ["no", "unknown", "unknown", "unknown"], "what nobody verified does not fit either"
    assert page.locator("#fit-list").get_by_text("Contains gluten").is_visible()
    live.say(Node().event("reach", "s1-01"))
    wait_for_panels(page, 1)
    assert page.locator("#panels").get_by_text("Does not fit: Contains gluten").is_visible()
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.clock.run_for(95_000)
    page.wait_for_selector('.chip[data-filter="no_gluten"][aria-pressed="false"]')
    assert page.locator(".slot[data-verdict]").count() == 0


def test_my_filter_on_a_phone(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/my/a01?lang=en", 390, 844)
    page.get_by_role("button", name="No gluten").click()
    assert page.locator(".my-product .my-why").first.inner_text() == "Not certain: not known – see pack"
    assert page.locator("[data-verdict=no] .my-why").inner_text() == "Does not fit: Contains gluten"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_touch_and_a_key_open_a_product_and_escape_closes_it(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    page.get_by_role("button", name="Fusilli").click()
    wait_for_panels(page, 1)
    page.keyboard.press("Escape")
    wait_for_panels(page, 0)
    page.get_by_role("button", name="Spaghetti").focus()
    page.keyboard.press("Enter")
    wait_for_panels(page, 1)
    assert page.locator("#panels .key").inner_text() == "Spaghetti"
    page.locator("#panels .more").press("Enter")
    page.locator("#whole").get_by_role("heading", name="Ingredients").wait_for()
    page.keyboard.press("Escape")
    page.locator("#whole").wait_for(state="hidden")
    wait_for_panels(page, 1)


def test_when_it_may_be_either_no_allergens_are_shown(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    live.say(Node().event("reach", "s1-01", gtin=GTINS[1]))
    wait_for_panels(page, 1)
    assert page.get_by_role("heading", name="Is it one of these?").is_visible()
    assert not page.locator("#panels").get_by_text("gluten").is_visible()
    page.get_by_role("button", name="Fusilli Molino").click()
    page.locator("#panels .allergen", has_text="gluten").wait_for()


def test_a_call_for_help_reaches_staff_and_the_answer_the_display(
    live: LiveShop, open_page: Callable[..., Page]
) -> None:
    display, staff = open_page("/display/a01?lang=en"), open_page("/staff?lang=en", 390, 844)
    display.wait_for_selector('#display[data-stream="up"]')
    staff.wait_for_selector('#connection[data-state="connected"]')
    display.locator("#ask").dblclick()
    display.get_by_text("A colleague has been told").wait_for()
    staff.get_by_role("button", name="I am going").click()
    display.get_by_text("A colleague is on the way").wait_for()
    # What is tapped while the list moves does not count.
    staff.locator("#cards:not([data-settled=no])").get_by_role("button", name="Helped").click()
    staff.get_by_text("Nothing to do right now.").wait_for()
    display.get_by_text("Ask a colleague").wait_for()


def test_text_has_contrast_where_it_stands(live: LiveShop, open_page: Callable[..., Page]) -> None:
    """WCAG 2.2, 1.4.3, computed by the browser from what is really drawn."""
    page = open_page("/display/a01?lang=en")
    page.wait_for_selector('#display[data-stream="up"]')
    page.get_by_role("button", name="No gluten").click()
    assert page.evaluate(_WEAK_TEXT) == []
    live.say(Node().event("reach", "s1-01"), Node("n02").event("reach", "s1-03"))
    wait_for_panels(page, 2)
    assert page.evaluate(_WEAK_TEXT) == []


_WEAK_TEXT = r"""() => {
    const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const colour = (text) => text.match(/[\d.]+/g).map(Number);
    const ground = (part) => {
        for (let one = part; one; one = one.parentElement) {
            const found = colour(getComputedStyle(one).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    const hidden = "svg, .unseen, #measure";
    const seen = (part) => part.checkVisibility({ visibilityProperty: true }) && !part.closest(hidden);
    const own = (part) => [...part.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    return [...document.querySelectorAll("body *")].filter((part) => seen(part) && own(part)).flatMap((part) => {
        const style = getComputedStyle(part);
        const [high, low] = [light(colour(style.color)), light(ground(part))].sort((a, b) => b - a);
        const contrast = (high + 0.05) / (low + 0.05);
        const px = parseFloat(style.fontSize);
        const least = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
        return contrast < least ? [`${part.className} ${part.textContent.slice(0, 30)} ${contrast.toFixed(2)}`] : [];
    });
}"""


def test_staff_see_alerts_come_and_go(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/staff?lang=en", 390, 844)
    page.wait_for_selector('#connection[data-state="connected"]')
    assert page.get_by_text("Nothing to do right now.").is_visible()
    node = Node()
    live.say(node.stock("s1-02", 0))
    live.shop.clock.advance(1)
    page.wait_for_timeout(600)  # so that the keeper looks at the slot before the dwell is over
    live.shop.clock.advance(5)
    page.wait_for_selector(".card.critical", timeout=5000)
    assert page.locator(".card h2").inner_text() == "Spaghetti"
    assert page.locator(".card .where").inner_text() == "Bay a01 · shelf 1 · slot 2"
    page.locator("#announce", has_text="New alert").wait_for(state="attached")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
    live.say(node.stock("s1-02", 6, now=live.shop.clock.advance(1)))
    page.wait_for_timeout(600)
    live.shop.clock.advance(4)
    page.wait_for_selector(".empty", timeout=5000)
    page.locator("#announce", has_text="Solved").wait_for(state="attached")


def test_staff_see_what_is_odd_at_the_shelves(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/staff?lang=en", 390, 844)
    page.wait_for_selector('#connection[data-state="connected"]')
    assert page.locator(".odd").count() == 0
    node = Node()
    counted = {"cause": "count", "count_before": 6, "count_after": 4, "quantity": 2}
    live.say(node.event("pick", "s1-01", quantity=1), node.event("anomaly", "s1-01", **counted))
    live.say(node.event("anomaly", "s1-02", cause="fallen", quantity=1))
    page.locator(".card", has_text="something lies on its side").wait_for()
    page.wait_for_selector(".odd [data-odd='1']")
    assert page.locator(".odd .block").all_inner_texts() == ["seen now: 4; by the books: 6"], "the other is a task"
    assert "slot 1" in page.locator(".odd li").last.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
    assert page.evaluate(_WEAK_TEXT) == []
    live.say(node.event("anomaly", "s1-01", **{**counted, "count_after": 3}))
    page.locator(".odd .block", has_text="seen now: 3; by the books: 6").wait_for()
    assert page.locator(".odd li").count() == 1, "one line a slot, the newest"


def test_the_overview_is_live(live: LiveShop, open_page: Callable[..., Page]) -> None:
    page = open_page("/?lang=en", 1440, 900)
    page.wait_for_selector('#connection[data-state="connected"]')
    live.say(Node().stock("s1-01", 4))
    page.locator(".bay-picture .count", has_text="4/6").wait_for(timeout=5000)
    live.say(Node("n02").event("pick", "s1-01", quantity=1))
    page.get_by_text("picked").wait_for(timeout=5000)


def test_the_way_in_by_keyboard_and_on_a_phone(
    with_login: None, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    """The first admin comes in by the printed link, invites somebody, leaves, and comes back by name and password."""
    said: list[str] = []
    page = open_page(f"/welcome/{live.shop.site.doorkeeper.make_setup_link()}?lang=en", 390, 844)
    page.on("console", lambda message: said.append(message.text))
    page.wait_for_selector("#name:focus")  # a key pressed before the page has put the cursor there would be lost
    page.keyboard.type("Anna")
    page.keyboard.press("Tab")
    page.keyboard.type("a long walk in the dunes")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/")
    page.wait_for_selector('#connection[data-state="connected"]')
    for path in ("/account", "/people", "/tokens", "/log", "/staff", "/"):
        page.goto(f"{live.url}{path}?lang=nl" if path != "/" else live.url)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} sticks out on a phone"
        assert page.locator("h1").count() == 1, path
        unnamed = page.locator("input:not([type=hidden]):not([aria-hidden]), select, button").evaluate_all(
            "all => all.filter((one) => !(one.labels?.length || one.textContent.trim())).map((one) => one.outerHTML)"
        )
        assert unnamed == [], path
        assert page.locator("main").count() == 1, path
    page.goto(f"{live.url}/people?lang=en")
    page.get_by_label("Name").fill("Ben")
    page.get_by_role("radio", name="Staff").press("Enter")
    page.get_by_role("heading", name="Link for Ben").wait_for()
    assert "/welcome/" in page.locator("output").inner_text()
    page.goto(f"{live.url}/account?lang=en")
    page.get_by_role("button", name="Log out").press("Enter")
    page.wait_for_url("**/login")
    page.goto(f"{live.url}/staff?lang=en")
    assert page.url == f"{live.url}/login?next=%2Fstaff%3Flang%3Den&lang=en"
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.get_by_label("Password").fill("a long walk in the dunes")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/staff?lang=en")
    assert not [text for text in said if "Content Security Policy" in text]


def test_an_open_page_leads_to_the_login_when_the_session_ends(
    with_login: None, live: LiveShop, open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shelf_collector.adapters import hub
    from shelf_collector.adapters.web import pages

    monkeypatch.setattr(pages, "_LOOK_AT_SESSION_S", 0.1)
    monkeypatch.setattr(hub, "PING_S", 0.2)
    page = open_page(f"/welcome/{live.shop.site.doorkeeper.make_setup_link()}?lang=en")
    page.get_by_label("Name").fill("Anna")
    page.get_by_label("New password").fill("a long walk in the dunes")
    page.keyboard.press("Enter")
    page.wait_for_selector('#connection[data-state="connected"]')
    live.shop.clock.advance(13 * 3600)
    page.wait_for_url("**/login?next=*", timeout=15_000)


WHAT_STICKS_OUT = """() => [...document.querySelectorAll("#panels .panel")].flatMap((panel) => {
    const frame = panel.getBoundingClientRect();
    const shown = (part) => part.getClientRects().length && !part.parentElement.closest("svg");
    const parts = [...panel.querySelectorAll("*")].filter(shown);
    return parts.filter((part) => {
        const box = part.getBoundingClientRect();
        return box.right > frame.right + 1 || box.bottom > frame.bottom + 1 || box.left < frame.left - 1;
    }).map((part) => panel.dataset.gtin + " " + part.className + " " + part.textContent.slice(0, 30));
})"""


@pytest.mark.parametrize(
    ("size", "language"), [("full-hd", "nl"), ("tablet", "it"), ("portrait", "en"), ("phone", "nl")]
)
def test_nothing_overflows(
    demo_products: list[str], live: LiveShop, open_page: Callable[..., Page], size: str, language: str
) -> None:
    page = open_page(f"/display/a01?lang={language}", *SIZES[size])
    page.wait_for_selector('#display[data-stream="up"]')
    node = Node()
    groups = [demo_products[i : i + 3] for i in range(0, 40, 13)] + [["s1-03"], ["s1-25", "s1-03"], ["s1-05"]]
    groups = groups[2:5] if size == "phone" else groups
    for group in groups:
        for slot in group:
            live.say(node.event("reach", slot, now=live.shop.clock.now()))
        wait_for_panels(page, len(group))
        assert page.evaluate(WHAT_STICKS_OUT) == []
        key_px = page.evaluate("parseFloat(getComputedStyle(document.querySelector('#panels .key')).fontSize)")
        text_px = page.evaluate("parseFloat(getComputedStyle(document.querySelector('#panels .panel')).fontSize)")
        assert text_px >= 11
        if size == "full-hd" and group == ["s1-05"]:
            assert key_px * 0.7 * 25.4 / 96 >= 24.4, "capitals of 24.4 mm are read from 2 m"
        live.shop.clock.advance(10)
        wait_for_panels(page, 0)


# -- products enrolled by sight ----------------------------------------------------------------------------------------


def photo_of(colour: tuple[int, int, int], name: str = "photo.png") -> dict[str, Any]:
    """A picture of one colour (blue, green, red) with some grain, as a browser takes files."""
    import cv2
    import numpy as np

    grain = np.random.default_rng(len(name)).integers(0, 20, (400, 300, 3))
    picture = (np.full((400, 300, 3), colour) + grain).clip(0, 255).astype(np.uint8)
    return {"name": name, "mimeType": "image/png", "buffer": cv2.imencode(".png", picture)[1].tobytes()}


RED, GREEN = (20, 20, 200), (20, 200, 20)


def test_a_product_is_enrolled_on_a_phone_and_undone(live: LiveShop, open_page: Callable[..., Page]) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=15_000)
    unknown = SeenProduct(
        verdict="unknown", confidence=0.9, gallery="a" * 12, since=NOON, looks=12, embedding="ADwAAA=="
    )
    live.say(Node().stock("s1-02", 3, seen=unknown))
    page = open_page("/enrol?lang=nl", 390, 844)
    expect(page.locator("#unknown .row")).to_contain_text("12 keer gezien")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    # What stands there is named without a photo, and that is taken back.
    row = page.locator("#unknown .row")
    row.locator("summary").click()
    expect(row.locator("input")).to_have_value("Spaghetti")
    row.get_by_role("button", name="Opslaan").click()
    expect(page.locator("#outcome .what")).to_have_text("Spaghetti is opgeslagen.")
    assert live.shop.bus.newest("gallery/offer")["photos"] == 1
    page.locator("#outcome").get_by_role("button", name="Ongedaan maken").click()
    expect(page.locator("#outcome .what")).to_have_text("Ongedaan gemaakt.")
    save = page.locator("#save")
    expect(save).to_be_disabled()

    field = page.locator("#gtin")
    field.fill("8712345678907")
    expect(page.locator("#gtin-name")).to_contain_text("klopt niet")
    field.fill("Fusilli")
    expect(page.locator("#gtin-name")).to_contain_text(GTINS[0].removeprefix("0"))

    page.locator("#photos").set_input_files([photo_of(RED), photo_of(RED, "another.png")])
    expect(page.locator('.shot[data-state="ready"]')).to_have_count(2)
    boxes = page.locator(".shot").first.get_by_role("radio")
    expect(boxes).to_have_count(2)
    expect(boxes.nth(0)).to_have_attribute("aria-checked", "true")
    boxes.nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(boxes.nth(1)).to_have_attribute("aria-checked", "true")
    expect(boxes.nth(1)).to_be_focused()
    boxes.nth(0).click(position={"x": 5, "y": 5})
    expect(boxes.nth(0)).to_have_attribute("aria-checked", "true")
    for size in page.evaluate("() => [...document.querySelectorAll('button, .button')].filter(b => b.offsetParent && "
                              "!b.matches('.box')).map(b => b.getBoundingClientRect().height)"):  # fmt: skip
        assert size >= 44, "a finger must hit it"
    # The crop is corrected by a finger, and by the keyboard; the corner stays where it was let go.
    corner = page.locator(".shot").first.get_by_role("button", name="Hoek van de uitsnede: rechtsonder")
    corner.evaluate("one => one.scrollIntoView({block: 'center'})")
    at, area = corner.bounding_box(), page.locator(".shot .boxes").first.bounding_box()
    assert at is not None
    assert area is not None
    page.mouse.move(at["x"] + 22, at["y"] + 22)
    page.mouse.down()
    page.mouse.move(at["x"] + 22 - area["width"] * 0.1, at["y"] + 22 - area["height"] * 0.2, steps=4)
    page.mouse.up()
    expect(boxes.nth(0)).to_have_attribute("aria-checked", "false")
    corner.focus()
    page.keyboard.press("Shift+ArrowUp")
    page.locator(".shot").nth(1).get_by_role("button", name="Foto weglaten").click()
    expect(page.locator(".shot")).to_have_count(1)
    save.click()
    expect(page.locator("#outcome .what")).to_have_text("Fusilli is opgeslagen.")
    enrolling = live.shop.site.enrolling
    assert enrolling is not None
    assert enrolling.worker.boxes[-1] == pytest.approx((0.2, 0.1, 0.5, 0.65), abs=0.01)
    offered = live.shop.bus.newest("gallery/offer")
    assert (offered["products"], offered["photos"]) == (1, 1)
    health = NodeHealth(
        node="n01", session="s", time=NOON, uptime_s=1, rss_mb=1, outbox_messages=0,
        gallery=GalleryHealth(revision=offered["revision"], products=1, photos=1),
    )  # fmt: skip
    topic = topics.build("node_health", store=STORE, node="n01")
    live.shop.keeper.deliver(Delivery(topic, health.model_dump_json().encode(), False, live.shop.clock.now()))
    expect(page.locator("#outcome .how-far")).to_contain_text("Alle camera's kennen het")

    def with_a_broken_picture(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        content["look_alikes"] = [{**one, "thumbnail": "/static/style.css"} for one in content["look_alikes"]]
        route.fulfill(response=answer, json=content)

    page.route("**/api/v1/enrol/check", with_a_broken_picture)
    field.fill(GTINS[1].removeprefix("0"))
    page.locator("#photos").set_input_files([photo_of(GREEN)])
    expect(page.locator("#alike")).to_contain_text("93% gelijk")
    expect(page.locator("#alike figure").nth(1)).to_contain_text("Fusilli")
    expect(page.locator("#alike .no-picture")).to_have_text("geen afbeelding bewaard")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    save.click()
    expect(page.locator("#outcome .what")).to_have_text("Spaghetti is opgeslagen.")
    expect(page.locator("#known .row")).to_have_count(2)
    page.locator("#outcome").get_by_role("button", name="Ongedaan maken").click()
    expect(page.locator("#outcome .what")).to_have_text("Ongedaan gemaakt.")
    expect(page.locator("#known .row")).to_have_count(1)

    # In a grey picture is no product: only what somebody draws by hand can be saved.
    field.fill(GTINS[1].removeprefix("0"))
    page.locator("#photos").set_input_files([photo_of((120, 120, 120))])
    expect(page.locator('.shot[data-state="ready"]')).to_have_count(1)
    expect(page.locator(".shot-warnings")).to_contain_text("sleep de hoeken")
    expect(save).to_be_disabled()
    page.locator(".shot").get_by_role("button", name="Hoek van de uitsnede: rechtsonder").focus()
    page.keyboard.press("Shift+ArrowUp")
    expect(save).to_be_enabled()
    page.locator(".shot").get_by_role("button", name="Foto weglaten").click()

    page.locator("#photos").set_input_files([{"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"\x00 nothing"}])
    expect(page.locator('.shot[data-state="refused"]')).to_contain_text("must be a JPEG")
