"""What shoppers are told: offers, maps, filters, help, and what is never said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_collector.adapters.task_list import TaskList
from shelf_collector.core.access import Principal, Role
from shelf_collector.core.cards import CardRules, others_of, product_card
from shelf_collector.core.filters import FILTERS, answers
from shelf_collector.core.origin_map import origin_map
from shelf_collector.core.tasks import TaskRefused
from shelf_collector.taskdesk import TaskDesk
from shelf_contracts.messages import iso_time
from shelf_contracts.products import Place, PriceSince, Product, offer_now, prior_price
from tests.collector.builders import GTINS, NOON, Node
from tests.collector.conftest import Shop, Web

ANNA = Principal("person", "Anna", Role.STAFF)
BEN = Principal("person", "Ben", Role.STAFF)


def product(**facts: Any) -> Product:
    return Product.model_validate({"gtin": GTINS[0], "name": {"en": "Name"}, **facts})


def promoted(history: list[tuple[int, int]], starts_days: float = -1) -> Product:
    """249 cents, reduced to 199 for a week; ``history`` in (days before the start, cents)."""
    start = NOON + timedelta(days=starts_days)
    return product(
        price={"cents": 249},
        promotion={"cents": 199, "starts_at": iso_time(start), "ends_at": iso_time(start + timedelta(days=7))},
        price_history=[{"cents": c, "since": iso_time(start - timedelta(days=d))} for d, c in history],
    )


@pytest.mark.parametrize(
    ("history", "prior"),
    [
        ([(60, 249)], 249),
        ([(60, 249), (20, 229)], 229),  # the lowest of the thirty days counts, not the last
        ([(60, 189), (40, 249)], 249),  # what was lower before the thirty days does not
        ([(30, 249)], 249),
        ([(29, 249)], None),  # too short
        ([], None),
        ([(60, 199)], None),  # it is no reduction
        ([(60, 149), (10, 249)], None),
    ],
)
def test_a_reduction_is_announced_against_the_lowest_price_of_thirty_days_or_not_at_all(
    history: list[tuple[int, int]], prior: int | None
) -> None:
    offer = offer_now(promoted(history), NOON)
    assert offer is not None
    assert (offer.cents, offer.prior_cents) == (199, prior), "what is paid is shown in any case"
    card = product_card(promoted(history), "en", NOON)
    assert bool(card.prior_price) == bool(card.saving) == bool(card.offer_until) == (prior is not None)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 500)), max_size=8, unique_by=lambda step: step[0]))
def test_the_prior_price_was_asked_in_the_thirty_days(steps: list[tuple[int, int]]) -> None:
    history = [PriceSince(cents=cents, since=NOON - timedelta(days=days)) for days, cents in steps]
    prior = prior_price(history, NOON)
    if prior is None:
        assert all(days < 30 for days, _ in steps)
    else:
        assert prior in {cents for days, cents in steps if days > 0}
        assert prior <= min([cents for days, cents in steps if 0 < days < 30], default=prior)


@pytest.mark.parametrize(("starts_days", "cents"), [(1, 249), (-1, 199), (-8, 249)])
def test_a_promotion_has_its_time(starts_days: float, cents: int) -> None:
    offer = offer_now(promoted([(60, 249)], starts_days), NOON)
    assert offer is not None
    assert offer.cents == cents
    assert offer.until is None or offer.until > NOON


FACTS = {"source": "supplier", "verified_on": "2026-11-01"}


@pytest.mark.parametrize(
    ("facts", "verdicts"),
    [
        ({}, {"no_nuts": "unknown", "no_gluten": "unknown", "no_milk": "unknown", "vegan": "unknown"}),
        ({"allergens": FACTS}, {"no_nuts": "fits", "no_milk": "fits", "vegan": "unknown"}),
        ({"allergens": FACTS | {"contains": ["en:peanuts"]}, "vegan": True}, {"no_nuts": "no", "vegan": "fits"}),
        ({"allergens": FACTS | {"may_contain": ["en:nuts"]}}, {"no_nuts": "no"}),
        ({"allergens": FACTS | {"needs_review": ["nl:noten"]}}, {"no_nuts": "unknown"}),
        ({"allergens": FACTS | {"needs_review": ["xx:x"], "contains": ["en:milk"]}}, {"no_milk": "no"}),
        ({"allergens": FACTS | {"contains": ["en:eggs"]}, "vegan": True}, {"vegan": "no"}),
        ({"vegan": False}, {"vegan": "no"}),
        ({"nutrition": {"salt_g": 0.3}}, {"low_salt": "fits"}),
        ({"nutrition": {"salt_g": 0.31}}, {"low_salt": "no"}),
        ({"nutrition": {}}, {"low_salt": "unknown"}),
    ],
)
def test_filters_never_guess(facts: dict[str, Any], verdicts: dict[str, str]) -> None:
    found: dict[str, str] = {one.filter: one.verdict for one in answers(product(**facts))}
    assert tuple(found) == FILTERS
    assert found | verdicts == found


@pytest.mark.parametrize(
    ("language", "reasons"),
    [
        ("nl", ["Kan bevatten noten", "", "Bevat melk", "Bevat melk", "meer dan 0,3 g zout per 100"]),
        (
            "it",
            ["Può contenere frutta a guscio", "", "Contiene latte", "Contiene latte", "più di 0,3 g di sale per 100"],
        ),
        ("en", ["May contain nuts", "", "Contains milk", "Contains milk", "more than 0.3 g of salt per 100"]),
    ],
)
def test_what_does_not_fit_says_why(language: str, reasons: list[str]) -> None:
    facts = {"allergens": FACTS | {"contains": ["en:milk"], "may_contain": ["en:nuts"]}, "nutrition": {"salt_g": 2}}
    assert [line.why for line in product_card(product(**facts), language, NOON).filters] == reasons


def test_allergens_verified_too_long_ago_are_not_known() -> None:
    facts = {"allergens": FACTS | {"contains": ["en:milk"]}}
    late = NOON + timedelta(days=400)
    card = product_card(product(**facts), "en", late, CardRules(allergens_days=365))
    assert card.allergens.contains is None
    assert {line.filter: line.verdict for line in card.filters}["no_milk"] == "unknown"
    assert product_card(product(**facts), "en", late, CardRules(allergens_days=730)).allergens.contains == ("milk",)


PLACES = st.builds(Place, latitude=st.floats(-60, 80), longitude=st.floats(-180, 180))


@given(st.lists(PLACES, min_size=1, max_size=4), st.none() | PLACES)
def test_every_pin_lies_on_its_map(places: list[Place], shop: Place | None) -> None:
    drawn = origin_map(places, shop)
    assert drawn is not None
    left, top, width, height = map(float, drawn.view_box.split())
    for pin in [*drawn.pins, *([drawn.shop] if drawn.shop else [])]:
        assert left <= pin.x <= left + width
        assert top <= pin.y <= top + height


def test_something_else_is_what_the_shop_named_or_of_the_same_kind() -> None:
    tea = {"category": {"en": "Tea"}}
    shelf = [product(**tea), product(gtin=GTINS[1], **tea), product(gtin=GTINS[2]), product(gtin=GTINS[3], **tea)]
    assert [one.gtin for one in others_of(shelf[0], shelf)] == [GTINS[1], GTINS[3]]
    named = shelf[0].model_copy(update={"alternatives": [GTINS[2], "09521009999996"]})
    assert [one.gtin for one in others_of(named, shelf)] == [GTINS[2]]


def test_an_empty_slot_says_what_is_still_there(shop: Shop, web: Web) -> None:
    node = Node()
    shop.say(node.stock("s1-01", 0), node.stock("s1-02", 5), node.stock("s1-03", 0), node.event("reach", "s1-01"))
    panel = web.get("/api/v1/displays/a01").json()["panels"][0]
    assert (panel["is_out"], panel["in_stock"]) == (True, [GTINS[1]])


def test_what_the_camera_doubts_shows_both_or_nothing(shop: Shop, web: Web) -> None:
    node = Node()
    shop.say(node.event("reach", "s1-01", confidence=0.4))
    assert web.get("/api/v1/displays/a01").json()["panels"] == []
    shop.say(node.event("reach", "s1-01", gtin=GTINS[2]))
    assert web.get("/api/v1/displays/a01").json()["panels"][0]["candidates"] == [GTINS[0], GTINS[2]]
    shop.wait(11)
    shop.say(node.event("reach", "s1-01", gtin=GTINS[0], now=shop.clock.now()))
    assert web.get("/api/v1/displays/a01").json()["panels"][0]["candidates"] == []


def test_a_display_is_told_before_anything_is_stored(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(type(shop.hub), "show", lambda _hub, *screens: order.extend(one.topic for one in screens))
    store = shop.database.store
    monkeypatch.setattr(shop.database, "store", lambda *arguments: (order.append("stored"), store(*arguments)))
    shop.say(Node().event("reach", "s1-01"))
    assert order.index("display/a01") < order.index("stored")
    assert order.count("display/a01") == 1


@pytest.fixture
def linked(shop_folder: Path) -> None:
    config = shop_folder / "collector.toml"
    config.write_text(config.read_text() + '[shop]\nlink_domain = "https://shop.example"\n')


def test_a_code_leads_to_the_products_page(linked: None, open_shop: Callable[[], Shop]) -> None:
    web = Web(open_shop())
    assert 'class="qr"' in web.get("/display/a01").text
    page = web.get(f"/01/{GTINS[0]}?lang=it")
    assert page.status_code == 200
    assert "cereali contenenti glutine" in page.text
    links = web.get(f"/01/{GTINS[0]}", Accept="application/linkset+json")
    assert links.headers["content-type"].startswith("application/linkset+json")
    assert links.json()["linkset"][0]["anchor"] == f"https://shop.example/01/{GTINS[0]}"
    assert web.get("/01/09521009999996").status_code == web.get("/01/nonsense").status_code == 404


def test_the_style_guide_shows_every_part_of_a_display(shop: Shop, web: Web) -> None:
    for language in ("nl", "it", "en"):
        page = web.get(f"/styleguide?lang={language}").text
        for part in (
            "chip",
            "ask-button",
            "tag",
            "verdict",
            "night-sample",
            "map",
            "nutri",
            "qr",
            "choices-either",
            "was",
        ):
            assert f'class="{part}"' in page, (language, part)


def test_without_a_public_domain_there_is_no_code(web: Web) -> None:
    assert 'class="qr"' not in web.get("/display/a01").text


def test_hostile_products_are_shown_as_text(shop_folder: Path, open_shop: Callable[[], Shop]) -> None:
    content = json.loads((shop_folder / "products.json").read_text())
    content["products"][0] |= {
        "name": {"en": "<script>alert(1)</script>" + "x" * 300},
        "origin": {"en": "שלום <b>"},
        "recipe": {"title": {"en": '"><i>'}, "text": {"en": "&"}, "minutes": 1},
    }
    (shop_folder / "products.json").write_text(json.dumps(content))
    page = Web(open_shop()).get("/display/a01?lang=en").text
    assert not [tag for tag in ("<script>alert", "<b>", "<i>") if tag in page]
    assert "&lt;script&gt;" in page


# -- help -----------------------------------------------------------------------------------------------------------


def test_asking_twice_is_asking_once_and_the_first_to_claim_has_it(shop: Shop) -> None:
    desk = shop.site.desk
    first = desk.call("a01", "a01", "s1-01", GTINS[0], "192.168.1.9")
    assert desk.call("a01", "a01", None, None, "").id == first.id
    assert desk.claim(first.id, ANNA, "").claimed_by == "Anna"
    assert desk.claim(first.id, ANNA, "").state == "claimed"
    for step in (desk.claim, desk.finish):
        with pytest.raises(TaskRefused, match="task_is_taken"):
            step(first.id, BEN, "")
    assert desk.finish(first.id, ANNA, "").claimed_by is None, "who helped stays in the logbook only"
    assert desk.waiting() == []
    assert desk.call("a01", "a01", None, None, "").id != first.id
    with pytest.raises(TaskRefused, match="task_is_done"):
        desk.claim(999, ANNA, "")


def test_a_call_is_kept_and_ends_when_nobody_can_still_be_waiting(shop: Shop) -> None:
    shop.site.desk.call("a01", "a01", None, None, "")
    again = TaskDesk(TaskList(shop.site.doorkeeper.accounts), shop.hub, shop.clock)
    assert len(again.waiting()) == 1
    shop.clock.advance(31 * 60)
    assert again.waiting() == []
    again.call("a01", "a01", None, None, "")
    assert len(again.waiting()) == 1


def test_every_step_is_in_the_logbook(shop: Shop) -> None:
    task = shop.site.desk.call("a01", "a01", None, None, "192.168.1.9")
    shop.site.desk.claim(task.id, ANNA, "")
    shop.site.desk.finish(task.id, ANNA, "")
    accounts = shop.site.doorkeeper.accounts
    assert accounts.newest_about("task.opened", "display:a01") is not None
    claimed = accounts.newest_about("task.claimed", f"task:{task.id}")
    assert claimed is not None
    assert claimed.actor == "person:Anna"
    assert accounts.newest_about("task.done", f"task:{task.id}") is not None
