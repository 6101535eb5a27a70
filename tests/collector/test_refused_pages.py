"""An address that leads nowhere: a page for somebody in a browser, JSON for a program; and axe on every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from shelf_collector.core.access import Role
from shelf_testing.axe import findings
from tests.collector.builders import GTINS, Node
from tests.collector.conftest import Shop
from tests.collector.live_shop import LiveShop
from tests.collector.test_staff_app import log_in
from tests.collector.visitors import Visitor, add_person, logged_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "nl"}
PROGRAM = {"Accept": "application/json"}
SCRIPT = {**BROWSER, "Sec-Fetch-Mode": "cors"}


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/display/a01/?lang=it", "/display/a01?lang=it"),
        ("/my/a01/", "/my/a01"),
        ("/staff/", "/staff"),
        ("/staff//", "/staff"),
        ("/login/?next=%2Fstaff", "/login?next=%2Fstaff"),
    ],
)
def test_a_slash_too_many_leads_a_browser_to_the_page(
    locked_folder: object, shop: Shop, path: str, leads_to: str
) -> None:
    answer = Visitor(shop).get(path, **BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (307, leads_to)
    for headers in (PROGRAM, SCRIPT, {}):
        said = Visitor(shop).get(path, **headers)
        assert said.status_code == 404
        assert f"did you mean {leads_to.partition('?')[0]}?" in said.json()["error"]["message"]


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example", "/%2Fevil.example/", "/static/x/", "/nowhere/"])
def test_no_slash_leads_to_another_place(shop: Shop, path: str) -> None:
    base = "http://127.0.0.1:8080"  # written out: a path that begins with two slashes would be taken for a host
    assert Visitor(shop, base=base).get(base + path, **BROWSER).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nowhere", 404, "Op dit adres is niets"),
        ("/display", 404, "/display/a01"),
        ("/staff/tasks/1/claim", 404, "Op dit adres is niets"),
        ("/logout", 405, "Op dit adres is niets"),
        ("/models/no/model.onnx", 404, "Op dit adres is niets"),
        ("/stream?topics=nonsense", 422, "Dat lukte niet"),
        ("/nowhere/<script>alert(1)</script>", 404, "&lt;script&gt;"),
    ],
)
def test_a_browser_gets_a_page_and_a_program_json(
    locked_folder: object, shop: Shop, path: str, status: int, said: str
) -> None:
    answer = Visitor(shop).get(path, **BROWSER)
    assert "html" in answer.headers["content-type"], path
    assert answer.status_code in {status, 405}
    assert said in answer.text
    assert "<script>" not in answer.text
    assert 'href="/staff?lang=nl"' in answer.text
    for headers in (PROGRAM, SCRIPT):
        same = Visitor(shop).get(path, **headers)
        assert same.status_code == answer.status_code
        assert same.json()["error"]["code"]


def test_the_api_answers_json_whoever_asks(shop: Shop) -> None:
    for path in ("/api/v1/nothing", "/api/v1/displays/zz", "/api/v1/state/"):
        answer = Visitor(shop, base="http://127.0.0.1:8080").get(path, **BROWSER)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


def test_a_form_that_waited_too_long_says_so_on_a_page(locked_folder: object, shop: Shop) -> None:
    anna = logged_in(shop, "Anna", Role.STAFF)
    answer = anna.ask("POST", "/staff/tasks/1/claim", data={"mark": "old"}, headers=BROWSER)
    assert answer.status_code == 403
    assert "Dat mag niet" in answer.text
    assert "load it again" in answer.text


def test_who_may_not_ask_at_all_is_told_nothing_of_the_shop(shop: Shop) -> None:
    stranger = Visitor(shop, base="http://evil.example")
    for path in ("/nowhere", "/display/a01/"):
        assert "Proefwinkel" not in stranger.get(path, **BROWSER).text
        assert stranger.get(path, **BROWSER).headers["content-type"] == "application/json"


PAGES = (
    "/staff", "/staff?view=rounds", "/staff/notices", "/", "/account", "/people", "/tokens", "/log", "/enrol",
    "/calibrate", "/styleguide", "/my/a01", f"/01/{GTINS[0]}", "/01/5", "/display/zz", "/display/a01", "/nowhere",
    "/offline",
)  # fmt: skip


@pytest.mark.browser
def test_axe_finds_nothing_of_any_weight_on_any_page(
    with_login: None, live: LiveShop, open_page: Callable[..., Page]
) -> None:
    add_person(live.shop, "Anna", Role.ADMIN)
    node = Node()
    live.shop.say(node.stock("s1-01", 0), node.stock("s1-02", 0))
    live.shop.wait(6)
    page = open_page("/staff?lang=en", 390, 844)
    found = {"/login": findings(page)}
    log_in(page, "Anna")
    for path in PAGES:
        page.goto(f"{live.url}{path}{'&' if '?' in path else '?'}lang=en")
        found[path] = findings(page)
    live.say(Node(sequence=9).event("reach", "s1-01", now=live.shop.clock.now()))
    page.goto(f"{live.url}/display/a01?lang=en")
    page.locator("main .panel, .panel").first.wait_for()
    found["a panel on the display"] = findings(page)
    assert {path: lines for path, lines in found.items() if lines} == {}
