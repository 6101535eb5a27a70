"""The whole line as somebody meets it: `smartshelf demo`, its pages, a broker that dies, Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from shelf_testing.browser import open_browser
from shelf_testing.demo import STOP_WITHIN_S, OpenDemo

pytestmark = pytest.mark.e2e


def eventually(is_true: Callable[[], bool], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if is_true():
            return True
        time.sleep(0.1)
    return False


def audit(web: str) -> dict[str, int]:
    """The collector's books of the node."""
    source: dict[str, int] = httpx.get(f"{web}/api/v1/audit").json()["sources"][0]
    return source


def test_the_slots_are_counted_and_the_pages_are_there(demo: OpenDemo) -> None:
    state = httpx.get(f"{demo.web}/api/v1/state").json()
    assert state["slots_planned"] >= 20
    assert state["slots_known"] >= 0.9 * state["slots_planned"]
    for path in ("/", "/staff", "/display/a01", "/api/v1/openapi.json", "/readyz"):
        assert httpx.get(demo.web + path).status_code == 200, path
    node = httpx.get(f"{demo.web}/api/v1/nodes").json()[0]
    assert (node["state"], node["is_present"]) == ("online", True)


@pytest.mark.browser
def test_a_reach_changes_the_display_in_a_real_browser(demo: OpenDemo) -> None:
    """Nothing is injected: a simulated hand reaches, the camera sees it, and the product comes up on the page."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{demo.web}/display/a01?lang=en")
        page.wait_for_selector("#panels > *", timeout=60_000)
        shown = page.inner_text("#panels")
        products = httpx.get(f"{demo.web}/api/v1/products", params={"limit": 100}).json()["products"]
        assert any(product["name"]["en"] in shown for product in products)
        assert all(url.startswith(demo.web) or url.startswith("data:") for url in requested)


def test_a_broker_that_is_killed_loses_nothing(demo: OpenDemo) -> None:
    before = audit(demo.web)
    demo.child("nats-server").kill()
    assert eventually(lambda: audit(demo.web)["last"] > before["last"] + 3, within_s=45)
    after = audit(demo.web)
    assert after["lost"] == 0
    assert after["applied"] == after["last"] - after["first"] + 1


def test_ctrl_c_stops_everything_and_leaves_no_process(demo: OpenDemo) -> None:
    code, took_s, left = demo.stop()
    assert left == []
    assert took_s <= STOP_WITHIN_S
    assert code == 0
