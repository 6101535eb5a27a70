"""The whole promise in one browser: an unseen product is enrolled on a phone, seen on the running demo, and undone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from shelf_testing.browser import PAGE_SIZES, open_browser
from shelf_testing.demo import free_port, open_demo

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.slow]

LIVE_WITHIN_S = 60.0


def eventually(find: Callable[[], Any], within_s: float) -> Any:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        found = find()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("did not come about in time")


def test_an_unseen_product_is_enrolled_recognised_within_a_minute_and_undone(tmp_path: Path) -> None:
    from playwright.sync_api import expect

    demo = open_demo(tmp_path / "demo", "--recognise", "--scenario", "calm", "--port", str(free_port()))
    try:
        with httpx.Client(base_url=demo.web, timeout=20) as web, open_browser() as browser:

            def seen(gtin: str) -> list[dict[str, Any]]:
                """What is recognised in the slots where the planogram wants a product."""
                slots = web.get("/api/v1/slots").json()
                return [slot["seen"] for slot in slots if slot["gtin"] == gtin and slot["seen"]]

            def surely_known() -> str:
                slots = web.get("/api/v1/slots").json()
                right = [one for one in slots if one["seen"] and one["seen"]["gtin"] == one["gtin"] and one["count"]]
                return max(right, key=lambda one: one["seen"]["confidence"])["gtin"] if len(right) > 3 else ""

            gtin = eventually(surely_known, 90)
            width, height = PAGE_SIZES["phone"]
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(20_000)
            page.goto(f"{demo.web}/enrol?lang=en")

            # Nobody knows it any more: the node says so, and the page tells where to go.
            row = page.locator("#known .row", has_text=gtin.removeprefix("0"))
            row.get_by_role("button", name="Undo").click()
            expect(row).to_have_count(0)
            eventually(lambda: all(one["gtin"] != gtin for one in seen(gtin)), LIVE_WITHIN_S)

            photos = sorted((demo.folder / "packs" / gtin).glob("*.png"))[:6]
            page.locator("#gtin").fill(gtin.removeprefix("0"))
            page.locator("#photos").set_input_files(photos)
            expect(page.locator('.shot[data-state="ready"]')).to_have_count(len(photos), timeout=40_000)
            expect(page.locator("#kind")).not_to_have_value("")  # what the product's file says
            expect(page.locator("#known .row img").first).to_be_visible()
            expect(page.locator("#alike .no-picture")).to_have_count(0)  # what looks alike stands side by side
            began_s = time.monotonic()
            page.locator("#save").click()
            expect(page.locator("#outcome .what")).to_contain_text("saved", timeout=20_000)
            expect(page.locator("#outcome .how-far")).to_contain_text("know it", timeout=LIVE_WITHIN_S * 1000)
            live_s = time.monotonic() - began_s
            eventually(lambda: any(one["gtin"] == gtin for one in seen(gtin)), LIVE_WITHIN_S - live_s)
            print(f"live on the node after {live_s:.1f} s, recognised after {time.monotonic() - began_s:.1f} s")

            page.locator("#outcome").get_by_role("button", name="Undo").click()
            expect(page.locator("#outcome .what")).to_have_text("Undone.")
            eventually(lambda: all(one["gtin"] != gtin for one in seen(gtin)), LIVE_WITHIN_S)
    finally:
        if demo.process.poll() is None:
            demo.stop()
        assert demo.process.stderr is not None
        demo.process.stderr.close()
