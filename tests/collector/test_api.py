"""The API answers in its models, and every error in one shape."""

from __future__ import annotations

import asyncio
import re

import pytest

from shelf_collector.core.letters import CAP_SHARE_OF_FONT, key_font_mm
from tests.collector.builders import GTINS, Node, at
from tests.collector.conftest import Shop, Web


def test_the_state_at_a_glance(shop: Shop, web: Web) -> None:
    node = Node()
    shop.say(node.stock("s1-01", 6), node.stock("s1-02", 0), node.event("pick", "s1-02", quantity=2))
    shop.wait(5)
    state = web.get("/api/v1/state").json()
    assert state["bays"] == [{"bay": "a01", "name": "Pasta", "osa": 0.5, "fill": 0.5, "coverage": 0.5}]
    assert (state["slots_known"], state["slots_planned"]) == (2, 4)
    assert [alert["id"] for alert in state["alerts"]] == ["a01-s1-02"]
    assert state["alerts"][0]["place"] == {"bay": "a01", "shelf": "1", "slot": "2"}
    assert state["alerts"][0]["name"]["nl"] == "Spaghetti"


def test_a_bay_with_its_slots_in_reading_order(shop: Shop, web: Web) -> None:
    shop.say(Node().stock("s1-03", None, reason="occluded"))
    slots = web.get("/api/v1/bays/a01").json()["slots"]
    assert [slot["slot"] for slot in slots] == ["s1-01", "s1-02", "s1-03", "s1-04"]
    assert [(slot["level"], slot["reason"]) for slot in slots[2:]] == [("unknown", "occluded"), ("unknown", "starting")]
    assert slots[2]["count"] is None


def test_events_are_paged_newest_first(shop: Shop, web: Web) -> None:
    node = Node()
    shop.say(*(node.event("pick", "s1-01", quantity=index, now=at(index)) for index in range(1, 6)), node.stock())
    first = web.get("/api/v1/events?limit=2").json()
    second = web.get(f"/api/v1/events?limit=2&before={first['next_before']}").json()
    third = web.get(f"/api/v1/events?limit=2&before={second['next_before']}").json()
    found = [event["quantity"] for page in (first, second, third) for event in page["events"]]
    assert found == [5, 4, 3, 2, 1]
    assert third["next_before"] is None
    assert web.get("/api/v1/events?slot=s1-02").json()["events"] == []


def test_products_by_any_gtin_length(web: Web) -> None:
    assert web.get(f"/api/v1/products/{GTINS[0][1:]}").json()["brand"] == "Molino Aurora"
    page = web.get("/api/v1/products?limit=2").json()
    assert len(page["products"]) == 2
    rest = web.get(f"/api/v1/products?limit=2&after={page['next_after']}").json()
    assert len(rest["products"]) == 1
    assert rest["next_after"] is None


def test_display_audit_and_nodes(shop: Shop, web: Web) -> None:
    shop.say(Node().event("reach", "s1-01"))
    assert web.get("/api/v1/displays/a01").json()["panels"][0]["slot"] == "s1-01"
    audit = web.get("/api/v1/audit").json()
    assert [source["lost"] for source in audit["sources"]] == [0]
    assert web.get("/api/v1/nodes").json() == []


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("/api/v1/bays/zz", 404, "not_found", "a01"),
        ("/api/v1/slots?bay=zz", 404, "not_found", "a01"),
        ("/api/v1/displays/zz", 404, "not_found", "a01"),
        ("/api/v1/products/4006381333931", 404, "not_found", "04006381333931"),
        ("/api/v1/products/12", 404, "not_found", "digits"),
        ("/api/v1/events?limit=0", 422, "bad_request", "limit"),
        ("/api/v1/events?before=x", 422, "bad_request", "before"),
        ("/api/v1/nothing", 404, "not_found", "nothing at this address"),
        ("/stream?topics=secrets", 422, "bad_request", "secrets"),
        ("/stream?topics=" + ",".join(["alert"] * 17), 422, "bad_request", "at most 16"),
        ("/demo/camera/a01.mjpg", 404, "not_found", "a01"),
    ],
)
def test_errors_have_one_shape(web: Web, path: str, status: int, code: str, said: str) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == code
    assert said in answer.json()["error"]["message"]


def test_the_openapi_document_names_every_path(web: Web) -> None:
    document = web.get("/api/v1/openapi.json").json()
    assert {
        "/api/v1/state", "/api/v1/bays", "/api/v1/bays/{bay}", "/api/v1/slots", "/api/v1/events", "/api/v1/alerts",
        "/api/v1/labels", "/api/v1/products", "/api/v1/products/{gtin}",
        "/api/v1/displays/{display}", "/api/v1/nodes", "/api/v1/audit",
        "/api/v1/rollouts", "/models/{name}/{file}", "/galleries/{revision}",
        "/planograms/{sha256}",
        "/api/v1/enrol", "/api/v1/enrol/photos", "/api/v1/enrol/check", "/api/v1/enrol/seen",
        "/api/v1/enrol/undo", "/api/v1/enrol/remove", "/api/v1/enrol/kind",
        "/api/v1/calibrate/propose", "/api/v1/calibrate/save",
        "/api/v1/calibrate/back",
        "/api/v1/tasks", "/api/v1/tasks/{task}/steps", "/api/v1/log", "/livez", "/readyz", "/stream",
    } == set(document["paths"])  # fmt: skip


def test_health(shop: Shop, web: Web) -> None:
    assert web.get("/livez").status_code == 503, "the keeper's thread was not started"
    shop.keeper.start()
    try:
        assert web.get("/livez").status_code == 200
        assert web.get("/readyz").status_code == 200
        shop.bus.is_connected = False
        answer = web.get("/readyz")
        assert answer.status_code == 503
        assert "broker" in answer.json()["text"]
    finally:
        shop.keeper.stop()


@pytest.mark.parametrize("path", ["/", "/staff", "/display/a01", "/static/display.js", "/api/v1/state"])
def test_every_answer_forbids_foreign_content(web: Web, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'; script-src 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_display_page_says_what_is_not_known(web: Web) -> None:
    page = web.get("/display/a01?lang=en").text
    fusilli, spaghetti = (page[page.index(f'data-product="{gtin}"') :].split("</template>")[0] for gtin in GTINS[:2])
    assert "<strong>wheat</strong>" in fusilli
    assert "cereals containing gluten" in fusilli
    assert 'May contain <strong class="allergen">soybeans</strong>' in fusilli
    assert "supplier, as of 1 Nov 2026" in fusilli
    assert "not available – see pack" in spaghetti
    assert "None of the 14" not in spaghetti
    planned = page[page.index(f'data-product="{GTINS[3]}"') :].split("</template>")[0]
    assert ">P3</h2>" in planned, "the planogram's name, and nothing else"
    assert "not available – see pack" in planned
    assert "None of the 14" not in planned


@pytest.mark.parametrize(("asked", "language"), [("", "nl"), ("?lang=it", "it"), ("?lang=xx", "nl")])
def test_the_display_speaks_its_languages(web: Web, asked: str, language: str) -> None:
    page = web.get(f"/display/a01{asked}").text
    assert f'<html lang="{language}">' in page
    for code, own_name in (("nl", "Nederlands"), ("it", "Italiano"), ("en", "English")):
        assert re.search(rf'<a href="\?lang={code}" lang="{code}"[^>]*>{own_name}</a>', page)


@pytest.mark.parametrize(("accepts", "language"), [("it-IT,it;q=0.9", "it"), ("fr,nl;q=0.5", "nl"), ("fr", "en")])
def test_staff_hear_their_own_language(web: Web, accepts: str, language: str) -> None:
    page = web.get("/staff", **{"accept-language": accepts}).text
    assert f'<html lang="{language}">' in page


def test_an_unknown_display_says_which_exist(web: Web) -> None:
    answer = web.get("/display/zz%3Cb%3E?lang=en")
    assert answer.status_code == 404
    assert "/display/a01" in answer.text
    assert "<b>" not in answer.text


def test_the_staff_list(shop: Shop, web: Web) -> None:
    assert "Nothing to do right now." in web.get("/staff?lang=en").text
    shop.say(Node().stock("s1-02", 0))
    shop.wait(5)
    cards = web.get("/staff/cards?lang=en").text
    for said in (
        "Out of stock",
        "Spaghetti",
        "Bay a01 · shelf 1 · slot 2",
        "<strong>4</strong> pieces to bring",
        "loss not known",
    ):
        assert said in cards


def test_the_overview_draws_every_slot(shop: Shop, web: Web) -> None:
    shop.say(Node().stock("s1-01", 6), Node("n02").event("pick", "s1-01", quantity=1))
    page = web.get("/?lang=en").text
    assert page.count('<span class="count">') == 4
    assert "no report yet" in page
    assert "picked" in page


@pytest.mark.parametrize(("distance_m", "least_cap_mm"), [(0.5, 6.1), (1.0, 12.2), (2.0, 24.4), (3.0, 36.6)])
def test_capitals_are_high_enough_for_the_distance(distance_m: float, least_cap_mm: float) -> None:
    assert key_font_mm(distance_m) * CAP_SHARE_OF_FONT == pytest.approx(least_cap_mm, rel=0.01)


def test_a_stream_begins_with_the_present_state_and_goes_on(shop: Shop) -> None:
    shop.say(Node().stock("s1-01", 6))

    async def read() -> list[str]:
        shop.hub.attach(asyncio.get_running_loop())
        site = shop.site
        wanted = ["slot/a01/s1-01", "display/a01"]

        def snapshot() -> list:  # type: ignore[type-arg]
            with site.memory() as (memory, now):
                return site.viewer.snapshot(wanted, memory, now)

        found = []
        stream = site.hub.stream(wanted, "", snapshot)
        async for text in stream:
            found.append(text)
            if len(found) == 3:
                shop.say(Node("n02").event("reach", "s1-01"))
            if len(found) == 4:
                shop.hub.close()
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    retry, display, slot, reach = asyncio.run(read())
    assert retry == "retry: 3000\n\n"
    assert "event: display" in display
    assert '"count":6' in slot
    assert '"captured_at":"2026-11-22T12:00:00.000Z"' in reach
