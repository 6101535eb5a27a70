"""A bay set up on /calibrate: who may, what is proposed, what is kept, and the page in a real browser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from shelf_collector.adapters.vision_worker import BayPhoto, EdgeLabel, VisionWorker
from shelf_collector.adapters.web.photo_answers import words_of
from shelf_collector.core.access import Role
from shelf_collector.core.texts import WORDS
from shelf_collector.planogram_offers import PlanogramOffers
from shelf_contracts.files import read_model
from shelf_contracts.planogram import Planogram
from shelf_simulator.adapters.fixture_art import Look
from shelf_simulator.adapters.shelf_painter import ShelfPainter
from shelf_simulator.app import demo_bay
from shelf_simulator.core.design import build_planogram
from shelf_simulator.core.stock import fill
from shelf_testing.axe import serious_findings
from tests.collector.builders import GTINS
from tests.collector.conftest import Shop
from tests.collector.live_shop import LiveShop
from tests.collector.visitors import Visitor, logged_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

CORNERS = [0.1, 0.1, 0.9, 0.12, 0.88, 0.9, 0.12, 0.9]


def red_photo() -> bytes:
    picture = np.full((900, 1200, 3), (40, 40, 200), np.uint8)
    cv2.putText(picture, "full shelf", (300, 450), cv2.FONT_HERSHEY_SIMPLEX, 3, (255, 255, 255), 8)
    return bytes(cv2.imencode(".jpg", picture)[1].tobytes())


@pytest.fixture
def shop(locked_folder: Path, open_shop: Any) -> Shop:
    opened: Shop = open_shop()
    return opened


@pytest.fixture
def staff(shop: Shop) -> Visitor:
    return logged_in(shop, "Anna", Role.STAFF)


def marked(visitor: Visitor) -> dict[str, str]:
    return {"X-Form-Mark": visitor.mark("/calibrate")}


def wish(**changes: object) -> str:
    asked = {"bay": "a01", "width": 1200, "height": 900, "depth": 400, "corners": ",".join(map(str, CORNERS))}
    return "/api/v1/calibrate/propose?" + "&".join(f"{key}={value}" for key, value in (asked | changes).items())


def proposed(visitor: Visitor) -> dict[str, Any]:
    answer = visitor.ask("POST", wish(), content=b"a photo", headers=marked(visitor))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def save(visitor: Visitor, plan: dict[str, Any], **changes: object) -> Any:
    content = {"planogram": plan, "camera": "c1", "corners": CORNERS, "width": 1200, "height": 900, **changes}
    return visitor.ask("POST", "/api/v1/calibrate/save", json=content, headers=marked(visitor))


def test_only_staff_may_and_only_from_the_page(shop: Shop, staff: Visitor) -> None:
    viewer = logged_in(shop, "Vera", Role.VIEWER)
    assert viewer.get("/calibrate").status_code == 303
    assert viewer.ask("POST", wish(), content=b"a photo").status_code == 403
    assert staff.ask("POST", wish(), content=b"a photo").status_code == 403, "without the form's mark"
    assert staff.get("/calibrate").status_code == 200


def test_a_proposal_is_saved_the_last_good_one_kept_and_the_log_says_who(
    shop: Shop, staff: Visitor, locked_folder: Path
) -> None:
    file = locked_folder / shop.setup.config.planograms[0]
    before = read_model(file, Planogram)
    plan = proposed(staff)["planogram"]
    assert [len(plan[key]) for key in ("fixtures", "positions", "products")] == [2, 6, 6]
    plan["products"][0]["gtin"] = GTINS[0]
    answer = save(staff, plan)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"bay": "a01", "revision": before.revision + 1, "slots": 6, "unseen": []}
    after = read_model(file, Planogram)
    assert read_model(file.with_suffix(".before.json"), Planogram) == before
    assert (after.id, after.bay, len(after.positions)) == (before.id, "a01", 6)
    assert set(after.view_of("c1").slots) == {position.id for position in after.positions}
    assert staff.get("/calibrate/planograms/a01.json").json()["revision"] == after.revision
    assert not [path for path in locked_folder.rglob("*") if path.suffix in (".jpg", ".png")], "no photo is kept"


def test_what_was_saved_is_offered_to_the_node_and_one_can_go_back(
    shop: Shop, staff: Visitor, locked_folder: Path
) -> None:
    offers = PlanogramOffers(shop.setup.planograms_folder, "http://c", shop.bus, shop.clock, shop.setup.config.store)
    object.__setattr__(shop.site, "planograms", offers)
    file = locked_folder / shop.setup.config.planograms[0]
    before = read_model(file, Planogram)
    assert save(staff, proposed(staff)["planogram"]).status_code == 200
    offer = shop.bus.newest("planogram/a01/offer")
    fetched = staff.get(f"/planograms/{offer['sha256']}")
    assert (fetched.status_code, len(fetched.content)) == (200, offer["size_bytes"])
    assert hashlib.sha256(fetched.content).hexdigest() == offer["sha256"]
    assert Planogram.model_validate_json(fetched.content) == read_model(file, Planogram)
    assert staff.get(f"/planograms/{'0' * 64}").status_code == 404
    assert staff.ask("POST", "/api/v1/calibrate/back?bay=a01").status_code == 403, "without the form's mark"
    back = staff.ask("POST", "/api/v1/calibrate/back?bay=a01", headers=marked(staff))
    assert back.json()["revision"] == before.revision + 2
    assert read_model(file, Planogram) == before.model_copy(update={"revision": before.revision + 2})
    shop.bus.posted.clear()
    PlanogramOffers(shop.setup.planograms_folder, "http://c", shop.bus, shop.clock, shop.setup.config.store).start()
    again = [topic for topic, _ in shop.bus.posted if topic.endswith("planogram/a01/offer")]
    assert len(again) == 1, "a collector that starts says it again"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": 5000.0}, "must lie within the bay"),
        ({"productId": "nothing"}, "must be the id of one of products"),
        ({"x": 0.0, "w": 1200.0}, "must not overlap another slot"),
    ],
)
def test_a_planogram_that_cannot_be_is_refused_and_the_old_one_stays(
    shop: Shop, staff: Visitor, locked_folder: Path, change: dict[str, object], said: str
) -> None:
    file = locked_folder / shop.setup.config.planograms[0]
    before = file.read_bytes()
    plan = proposed(staff)["planogram"]
    plan["positions"][1] |= change
    answer = save(staff, plan)
    assert (answer.status_code, said in answer.text) == (422, True), answer.text
    assert file.read_bytes() == before


def test_corners_that_cannot_be_and_photos_that_are_none_are_told(staff: Visitor) -> None:
    crossed = wish(corners="0.1,0.1,0.9,0.9,0.9,0.1,0.1,0.9")
    for path, body, said in (
        (crossed, b"a photo", "top left, top right"),
        (wish(corners="1,2,3"), b"a photo", "eight numbers"),
        (
            wish(corners="0,0,1.2,0,1,1,0,-0.5"),
            b"a photo",
            "corners = top right 1.2,0, bottom left 0,-0.5: must lie in",
        ),
        (wish(), b"", "empty"),
        (wish(), b"\x00\x01", "must be a JPEG"),
    ):
        answer = staff.ask("POST", path, content=body, headers=marked(staff))
        assert (answer.status_code, said in answer.text) == (422, True), answer.text
    strange = save(staff, proposed(staff)["planogram"] | {"bay": "z99"})
    assert strange.status_code == 404


def test_the_words_are_there_in_every_language() -> None:
    assert {frozenset(words_of("calibrate", language)) for language in WORDS} == {
        frozenset(words_of("calibrate", "en"))
    }


@pytest.mark.slow
def test_the_real_eyes_propose_the_slots_of_a_full_bay() -> None:
    design = demo_bay("a01", 7)
    stocks = fill(design, {slot.id: slot.capacity for slot in design.slots}, np.random.default_rng(1))
    items = [item for stock in stocks.values() for column in stock.columns for item in column]
    photo = cv2.imencode(".jpg", ShelfPainter(design, Look()).paint(items).picture)[1].tobytes()
    plan = build_planogram(design)
    mm = [[0, 0, 0], [plan.width, 0, 0], [plan.width, plan.height, 0], [0, plan.height, 0]]
    corners = tuple(float(value) for x, y in design.camera.project(mm) for value in (x / 960, y / 540))
    worker = VisionWorker()
    try:
        asked = BayPhoto("demo", "a01", "c1", plan.width, plan.height, plan.fixtures[0].d, corners)
        found = worker.propose(asked, photo, None)
        again = worker.view(found.planogram, "c2", corners, 960, 540)
    finally:
        worker.stop()
    assert (found.width_px, found.height_px, found.people) == (960, 540, [])
    assert len(found.planogram.fixtures) == len(plan.fixtures)
    assert {view.camera for view in again.views} == {"c1", "c2"}


@pytest.mark.browser
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_bay_is_set_up_in_the_browser(
    live: LiveShop, open_page: Callable[..., Page], size: tuple[int, int], tmp_path: Path
) -> None:
    photo = tmp_path / "shelf.jpg"
    photo.write_bytes(red_photo())
    assert live.shop.site.enrolling is not None
    live.shop.site.enrolling.worker.labels = [  # type: ignore[attr-defined]
        EdgeLabel(slot="s1-02", gtin=GTINS[1], seen=GTINS[0]),
        EdgeLabel(slot="s1-03", gtin="08712345678906", others=[GTINS[2]]),
    ]
    live.shop.site.enrolling.worker.not_full = ["t2"]  # type: ignore[attr-defined]
    page = open_page("/calibrate?lang=en", *size)
    page.wait_for_selector("#main[data-ready]")
    assert serious_findings(page) == []
    page.set_input_files("#photo", photo)
    corner = page.get_by_role("button", name="Corner, top left")
    corner.wait_for()
    corner.scroll_into_view_if_needed()
    at = corner.bounding_box()
    assert at is not None
    page.mouse.move(at["x"] + 22, at["y"] + 22)
    page.mouse.down()
    page.mouse.move(at["x"] + 42, at["y"] + 32, steps=4)
    page.mouse.up()
    moved = corner.bounding_box()
    assert moved is not None
    assert moved["x"] - at["x"] == pytest.approx(20, abs=2)
    corner.press("ArrowLeft")
    page.get_by_role("button", name="Propose the slots").click()
    page.get_by_text("6 slots on 2 shelves, 2 recognised. Read on shelf edges: 2").wait_for()
    page.get_by_text("The shelf is not full (t2): slots where nothing stands are missing").wait_for()
    assert page.locator("#lines .slot").count() == 6
    covered = "document.getElementById('shown').getContext('2d').getImageData(1150, 700, 1, 1).data.slice(0, 3).join()"
    assert page.evaluate(covered) == "28,26,23", "somebody is covered"

    labelled = page.locator("[data-slot='s1-02']")
    assert labelled.get_by_label("Product").input_value() == "Spaghetti"
    assert "On the shelf edge: Spaghetti" in labelled.inner_text()
    labelled.get_by_role("button", name="looks like: Fusilli").click()
    assert labelled.get_by_label("Product").input_value() == "Fusilli", "a person overrules the label"
    page.locator("[data-slot='s1-03']").get_by_text("On the shelf edge: 08712345678906").wait_for()

    border = page.get_by_role("button", name="Border after slot s1-01")
    before = page.locator("#lines .slot").first.get_attribute("points")
    border.press("ArrowRight")
    assert page.locator("#lines .slot").first.get_attribute("points") != before
    row = page.locator("[data-slot='s1-01']")
    row.get_by_label("Product").fill("not a product")
    row.get_by_label("Side by side").fill("3")
    page.get_by_role("button", name="Save the planogram").click()
    page.get_by_text("Slot s1-01: no product of this name").wait_for()
    row.get_by_label("Product").fill("Fusilli")
    page.locator("[data-slot='s2-01']").get_by_role("button", name="Join with the next").click()
    page.wait_for_function("document.querySelectorAll('#slots > li').length === 5")
    page.locator("[data-slot='s2-01']").get_by_role("button", name="Split").click()
    page.wait_for_function("document.querySelectorAll('#slots > li').length === 6")
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    page.screenshot(path=tmp_path / "calibrate.png", full_page=True)
    page.get_by_role("button", name="Save the planogram").click()
    page.get_by_text("6 slots. The one before is kept").wait_for()
    page.get_by_role("button", name="Back to the one before").wait_for()
    file = live.shop.setup.folder / live.shop.setup.config.planograms[0]
    saved = json.loads(file.read_text())
    first = saved["positions"][0]
    assert (first["facings"]["h"], first["capacity"]) == (3, 3 * first["facings"]["d"])
    assert next(one for one in saved["products"] if one["id"] == first["productId"])["gtin"] == GTINS[0]
